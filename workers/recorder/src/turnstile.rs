//! Which packets go into the files, and where reading begins anew. Pure.
//!
//! Packets that are not recorded are remembered by their ids, not kept: the ring has them. When it turns
//! out that one of them is wanted after all, because an event of that time has been told of, the ring is
//! read again from the key frame before it.
//!
//! ```text
//! Fresh ── the next packet is wanted ──> Recording ── one is not ──> Idle (Close)
//!   └───── it is not ──────────────────────────────────────────────> Idle
//! Idle ── one that was skipped is wanted ──> Recording: Begin at once, Again from its key frame, or
//!                                            by a Rejoin in the middle of its group
//! ```
//!
//! Time is that of the first video track, and never runs back within a group of pictures: neither sound
//! that comes late nor pictures out of order begin or end anything.

use std::collections::VecDeque;

use protocol::time::UtcNs;

use crate::gate::{Gate, Moment};
use crate::packet_id::PacketId;

/// Skipped packets remembered: minutes, where rings mostly hold less.
const SKIPPED_MAX: usize = 16 * 1024;
/// Times that run back farther are another timeline.
const BACK_MAX_NS: u64 = 1_000_000_000;

/// A packet, by what the choice needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) id: PacketId,
    /// A file may begin here.
    pub(crate) entry: bool,
    /// Of the track whose key frames files begin with; any, without video.
    pub(crate) lead: bool,
    pub(crate) at: Moment,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// The first after others that nobody wanted.
    Begin,
    Record,
    /// It is not recorded, as the ones before it were.
    Close,
    Skip,
    Again(Again),
}

/// Packets that were skipped are to be recorded, all up to `through` whatever the gate says of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    /// Read from `begin` on; nothing between the last recorded packet and this one is wanted.
    From { begin: PacketId, through: PacketId },
    /// Go on behind the last recorded packet, in the middle of its group.
    Rejoin { through: PacketId },
}

#[derive(Debug)]
pub(crate) struct Turnstile {
    state: State,
    /// The last packet that was recorded, in this life or before.
    passed: Option<PacketId>,
    /// Behind it, and not recorded.
    skipped: VecDeque<Mark>,
    /// Of the gate, when it was asked last about all that is skipped.
    version: u64,
    latest: Moment,
    wanted: Moment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Idle,
    Recording { through: PacketId },
}

impl Turnstile {
    /// Behind `last`.
    pub(crate) fn new(last: Option<PacketId>) -> Self {
        let (skipped, latest) = (VecDeque::new(), Moment::default());
        Self { state: State::Fresh, passed: last, skipped, version: 0, latest, wanted: latest }
    }

    /// Behind `last`; all up to `through` is wanted, because of the moment `wanted`.
    pub(crate) fn rejoining(last: Option<PacketId>, through: PacketId, wanted: Moment) -> Self {
        Self { state: State::Recording { through }, wanted, ..Self::new(last) }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    /// Whether all that was skipped has been asked about since the gate learned something.
    pub(crate) fn is_settled(&self, gate: &Gate) -> bool {
        self.version == gate.version()
    }

    /// The last packet that was recorded.
    pub(crate) fn passed(&self) -> Option<PacketId> {
        self.passed
    }

    /// The newest moment seen.
    pub(crate) fn latest(&self) -> Moment {
        self.latest
    }

    /// The moment because of which recording began last.
    pub(crate) fn wanted(&self) -> Moment {
        self.wanted
    }

    /// The next packet of the ring.
    pub(crate) fn take(&mut self, mark: Mark, gate: &Gate) -> Pass {
        let mark = self.in_time(mark);
        match self.state {
            State::Fresh if self.goes_on_with(mark.id, gate) && gate.wants(mark.at) => {
                self.wanted = mark.at;
                self.record(mark.id, mark.id)
            }
            State::Recording { through }
                if mark.id <= through || !mark.lead || gate.wants(mark.at) =>
            {
                self.record(mark.id, through)
            }
            State::Recording { .. } => {
                self.skip(mark);
                Pass::Close
            }
            State::Fresh | State::Idle => {
                self.skip(mark);
                let has_news = gate.version() != self.version;
                let asks = has_news || (mark.lead && gate.wants(mark.at));
                let again = if asks { self.again(gate) } else { None };
                match again {
                    Some(Again::From { begin, .. }) if begin == mark.id => {
                        self.record(begin, begin);
                        Pass::Begin
                    }
                    Some(again) => self.begin(again),
                    None => Pass::Skip,
                }
            }
        }
    }

    /// Whether what lies between the last recorded packet and this one, if anything, was wanted.
    fn goes_on_with(&self, id: PacketId, gate: &Gate) -> bool {
        self.passed.is_none_or(|passed| id.follows(passed)) || gate.is_always()
    }

    /// Whether packets that were skipped are wanted now; to be asked while none comes.
    pub(crate) fn look(&mut self, gate: &Gate) -> Option<Again> {
        if self.state != State::Idle || gate.version() == self.version {
            return None;
        }
        let again = self.again(gate)?;
        self.begin(again);
        Some(again)
    }

    fn again(&mut self, gate: &Gate) -> Option<Again> {
        self.version = gate.version();
        let first = self.skipped.iter().position(|mark| mark.lead && gate.wants(mark.at))?;
        let through = self.skipped[first].id;
        let wanted = self.skipped[first].at;
        // A picture is shown until the next one comes. Where that is a key frame, what is wanted may begin in the group
        // before it.
        let shown = if gate.wants(wanted.just_before()) { first.saturating_sub(1) } else { first };
        let key_at = |last: usize| self.skipped.range(..=last).rfind(|mark| mark.entry);
        let keys = [shown, first].map(|last| key_at(last).map(|mark| mark.id));
        let from = |id: PacketId| self.skipped.iter().position(|mark| mark.id == id).unwrap_or(0);
        // What a command has stopped is not needed that much by what comes behind it.
        let may_begin =
            |begin: usize| self.skipped.range(begin..=first).all(|it| gate.lets_through(it.at));
        if let Some(begin) = keys.into_iter().flatten().find(|key| may_begin(from(*key))) {
            self.wanted = wanted;
            return Some(Again::From { begin, through });
        }
        let joins = self
            .passed
            .zip(self.skipped.front())
            .is_some_and(|(passed, front)| front.id.follows(passed));
        if keys == [None; 2] && joins && may_begin(0) {
            self.wanted = wanted;
            return Some(Again::Rejoin { through });
        }
        let mut behind = self.skipped.range(first..);
        let mark = *behind.find(|mark| mark.entry && gate.wants(mark.at))?;
        self.wanted = mark.at;
        Some(Again::From { begin: mark.id, through: mark.id })
    }

    fn record(&mut self, id: PacketId, through: PacketId) -> Pass {
        self.state = State::Recording { through };
        self.passed = self.passed.max(Some(id));
        self.skipped.clear();
        Pass::Record
    }

    fn begin(&mut self, again: Again) -> Pass {
        let (Again::From { through, .. } | Again::Rejoin { through }) = again;
        self.state = State::Recording { through };
        self.skipped.clear();
        Pass::Again(again)
    }

    fn skip(&mut self, mark: Mark) {
        self.state = State::Idle;
        if self.skipped.len() == SKIPPED_MAX {
            self.skipped.pop_front();
        }
        self.skipped.push_back(mark);
    }

    fn in_time(&mut self, mark: Mark) -> Mark {
        if !mark.lead {
            return mark;
        }
        let ahead = |latest: UtcNs, next: UtcNs| {
            let is_jitter = next < latest && latest.0 - next.0 <= BACK_MAX_NS;
            if is_jitter { latest } else { next }
        };
        self.latest = Moment {
            capture: ahead(self.latest.capture, mark.at.capture),
            arrival: ahead(self.latest.arrival, mark.at.arrival),
        };
        Mark { at: self.latest, ..mark }
    }
}

#[cfg(test)]
mod tests {
    use protocol::config::{EventRule, When};
    use protocol::record::Record;
    use protocol::recorder::Order;
    use protocol::units::Span;

    use super::*;
    use crate::command::Command;

    /// Pictures a second, and in a group.
    const RATE: u64 = 10;

    fn id(sequence: u64) -> PacketId {
        PacketId { epoch: 1, sequence }
    }

    /// Picture `sequence`, at a tenth of a second; key frames are 1, 11, 21 and so on.
    fn picture(sequence: u64) -> Mark {
        let time = UtcNs(sequence * 1_000_000_000 / RATE);
        let at = Moment { capture: time, arrival: time };
        Mark { id: id(sequence), entry: sequence % RATE == 1, lead: true, at }
    }

    /// Records 2 s before to 3 s after a door opens.
    fn gate() -> Gate {
        let rule = EventRule {
            pre: Span(2_000_000_000),
            post: Span(3_000_000_000),
            ..EventRule::default()
        };
        Gate::new(&"cam1.packets".parse().unwrap(), When::on(rule))
    }

    fn open_door(gate: &mut Gate, second: u64) {
        open_door_at(gate, second * 1_000_000_000);
    }

    fn open_door_at(gate: &mut Gate, time_utc_ns: u64) {
        let record = Record {
            id: time_utc_ns.to_string(),
            kind: "door".to_owned(),
            camera: "cam1".to_owned(),
            frame: None,
            time_utc_ns,
            data: serde_json::Value::Null,
        };
        gate.hear(&"ext.door.events".parse().unwrap(), &record, UtcNs(time_utc_ns));
    }

    /// Sequences that go into files when the ring is read as the turnstile says; a `Rejoin` as after a
    /// restart that finds the last packet in its file.
    fn recorded(
        turnstile: &mut Turnstile,
        gate: &Gate,
        pictures: std::ops::RangeInclusive<u64>,
    ) -> Vec<u64> {
        let (mut next, mut recorded) = (*pictures.start(), Vec::new());
        while next <= *pictures.end() {
            match turnstile.take(picture(next), gate) {
                Pass::Begin | Pass::Record => recorded.push(next),
                Pass::Close | Pass::Skip => {}
                Pass::Again(again) => {
                    next = reread(turnstile, again);
                    continue;
                }
            }
            next += 1;
        }
        recorded
    }

    fn reread(turnstile: &mut Turnstile, again: Again) -> u64 {
        match again {
            Again::From { begin, .. } => begin.sequence,
            Again::Rejoin { through } => {
                let last = turnstile.passed();
                *turnstile = Turnstile::rejoining(last, through, turnstile.wanted());
                last.map_or(1, |last| last.sequence + 1)
            }
        }
    }

    fn span(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
        range.collect()
    }

    #[test]
    fn what_is_always_wanted_passes_from_the_first_packet_on() {
        let gate = Gate::open(&"cam1.packets".parse().unwrap());
        let mut turnstile = Turnstile::new(None);
        assert_eq!(recorded(&mut turnstile, &gate, 5..=50), span(5..=50));
    }

    #[test]
    fn an_event_is_recorded_from_the_key_frame_before_its_pre_roll_to_the_end_of_its_post_roll() {
        let (mut turnstile, mut gate) = (Turnstile::new(None), gate());
        assert_eq!(recorded(&mut turnstile, &gate, 1..=100), Vec::<u64>::new());
        // At 10 s; 8 s is picture 80, whose group began with 71.
        open_door(&mut gate, 10);
        assert_eq!(recorded(&mut turnstile, &gate, 101..=200), span(71..=129));
    }

    #[test]
    fn a_pre_roll_that_begins_between_a_picture_and_the_key_frame_behind_it_takes_that_pictures_group()
     {
        let (mut turnstile, mut gate) = (Turnstile::new(None), gate());
        recorded(&mut turnstile, &gate, 1..=110);
        // From 9.05 s on: picture 90 is shown then, and 91 is a key frame.
        open_door_at(&mut gate, 11_050_000_000);
        assert_eq!(recorded(&mut turnstile, &gate, 111..=200), span(81..=140));
    }

    #[test]
    fn a_pre_roll_that_begins_with_a_key_frame_takes_nothing_before_it() {
        let (mut turnstile, mut gate) = (Turnstile::new(None), gate());
        recorded(&mut turnstile, &gate, 1..=110);
        open_door_at(&mut gate, 11_100_000_000);
        assert_eq!(recorded(&mut turnstile, &gate, 111..=200), span(91..=140));
    }

    #[test]
    fn an_event_is_heard_while_the_camera_says_nothing() {
        let (mut turnstile, mut gate) = (Turnstile::new(None), gate());
        recorded(&mut turnstile, &gate, 1..=100);
        assert_eq!(turnstile.look(&gate), None);
        open_door(&mut gate, 10);
        assert_eq!(turnstile.look(&gate), Some(Again::From { begin: id(71), through: id(80) }));
        assert_eq!(turnstile.look(&gate), None);
        assert_eq!(recorded(&mut turnstile, &gate, 71..=200), span(71..=129));
    }

    #[test]
    fn the_next_event_repeats_nothing_and_leaves_no_hole_where_both_meet() {
        let (mut turnstile, mut gate) = (Turnstile::new(None), gate());
        recorded(&mut turnstile, &gate, 1..=100);
        open_door(&mut gate, 10);
        let first = recorded(&mut turnstile, &gate, 101..=139);
        assert_eq!(first, span(71..=129));
        // At 14 s: from 12 s on, which is recorded already; goes on in the middle of a group.
        open_door(&mut gate, 14);
        assert_eq!(recorded(&mut turnstile, &gate, 140..=200), span(130..=169));
    }

    #[test]
    fn an_event_after_a_pause_begins_with_a_key_frame_of_the_pause() {
        let (mut turnstile, mut gate) = (Turnstile::new(None), gate());
        recorded(&mut turnstile, &gate, 1..=100);
        open_door(&mut gate, 10);
        recorded(&mut turnstile, &gate, 101..=180);
        open_door(&mut gate, 18);
        assert_eq!(recorded(&mut turnstile, &gate, 181..=300), span(151..=209));
    }

    #[test]
    fn a_restart_inside_an_event_goes_on_behind_the_last_packet() {
        let mut gate = gate();
        open_door(&mut gate, 10);
        let mut turnstile = Turnstile::new(Some(id(97)));
        assert_eq!(recorded(&mut turnstile, &gate, 98..=200), span(98..=129));
        // Its rule is heard again only after it has begun.
        let mut deaf = super::tests::gate();
        let mut turnstile = Turnstile::new(Some(id(97)));
        assert_eq!(recorded(&mut turnstile, &deaf, 98..=119), Vec::<u64>::new());
        open_door(&mut deaf, 10);
        assert_eq!(recorded(&mut turnstile, &deaf, 120..=200), span(98..=129));
    }

    #[test]
    fn a_restart_before_the_first_wanted_picture_leaves_nothing_out() {
        let mut gate = gate();
        open_door(&mut gate, 10);
        // It died having recorded 71 to 75 of the group in front of the pre-roll.
        let mut turnstile = Turnstile::new(Some(id(75)));
        assert_eq!(recorded(&mut turnstile, &gate, 76..=200), span(76..=129));
    }

    #[test]
    fn after_a_long_absence_a_recording_begins_anew_with_a_key_frame() {
        let mut gate = gate();
        open_door(&mut gate, 10);
        let mut turnstile = Turnstile::new(Some(id(3)));
        assert_eq!(turnstile.take(picture(95), &gate), Pass::Skip);
        assert_eq!(turnstile.take(picture(101), &gate), Pass::Begin);
        // What is always wanted was wanted meanwhile too, and is lost.
        let gate = Gate::open(&"cam1.packets".parse().unwrap());
        let mut turnstile = Turnstile::new(Some(id(3)));
        assert_eq!(turnstile.take(picture(95), &gate), Pass::Record);
    }

    #[test]
    fn a_stop_and_a_start_take_effect_at_their_time() {
        let mut gate = Gate::open(&"cam1.packets".parse().unwrap());
        let command =
            |order, tenths: u64| Command { order, at: UtcNs(tenths * 100_000_000), until: None };
        let mut turnstile = Turnstile::new(None);
        gate.command(command(Order::Stop, 45));
        assert_eq!(recorded(&mut turnstile, &gate, 1..=60), span(1..=44));
        // Nothing of the stopped time is taken for the sake of a key frame: the next one begins.
        gate.command(command(Order::Start, 65));
        assert_eq!(recorded(&mut turnstile, &gate, 61..=90), span(71..=90));
    }

    #[test]
    fn late_sound_and_pictures_out_of_order_end_nothing_and_begin_nothing() {
        let (mut turnstile, mut gate) = (Turnstile::new(None), gate());
        open_door(&mut gate, 10);
        recorded(&mut turnstile, &gate, 71..=128);
        let sound = Mark { lead: false, ..picture(129) };
        let late = |mark: Mark, by: u64| {
            let time = UtcNs(mark.at.capture.0 - by * 100_000_000);
            Mark { at: Moment { capture: time, arrival: time }, ..mark }
        };
        assert_eq!(turnstile.take(sound, &gate), Pass::Record);
        assert_eq!(turnstile.take(picture(130), &gate), Pass::Close);
        assert_eq!(turnstile.take(late(picture(131), 4), &gate), Pass::Skip);
        assert_eq!(
            turnstile.take(Mark { lead: false, ..late(picture(132), 4) }, &gate),
            Pass::Skip
        );
    }

    #[test]
    fn a_pre_roll_reaches_into_the_life_before_of_the_camera() {
        let (mut turnstile, mut gate) = (Turnstile::new(None), gate());
        recorded(&mut turnstile, &gate, 1..=100);
        let second_life = |sequence: u64| {
            let Mark { at, .. } = picture(100 + sequence);
            Mark { id: PacketId { epoch: 2, sequence }, at, entry: sequence == 1, lead: true }
        };
        for sequence in 1..=5 {
            assert_eq!(turnstile.take(second_life(sequence), &gate), Pass::Skip);
        }
        open_door(&mut gate, 10);
        let again = turnstile.look(&gate);
        assert_eq!(again, Some(Again::From { begin: id(71), through: id(80) }));
    }
}
