//! All tracks of one connection, on one line of time. Pure.
//!
//! Each track counts from a number of its own. What belongs together is told, best first, by the camera's
//! reports, by what it says of the beginning, and by when the first packets came.

use std::collections::VecDeque;

use protocol::stream::Track;
use protocol::time::{MonoNs, Stamp};

use super::lane::{Lane, Received, utc_of};
use super::rtcp;
use crate::camera_clock::Heard;

/// What a camera says of its tracks may differ so much from when they came, and no more.
const BELIEVED_NS: i64 = 5_000_000_000;
/// A later report moves a track that is further from where it should be; less is not seen nor heard.
const APART_NS: i64 = 40_000_000;
/// So much a unit of a placed track is led after reports that drift: 1 ms in a second of sound.
const LEAD_NS: i64 = 20_000;

#[derive(Debug)]
pub(crate) struct Streams {
    lanes: Vec<Lane>,
    places: Vec<Place>,
    /// The first unit of all: its lane, and when it came.
    first: Option<(usize, MonoNs)>,
    out: VecDeque<Happening>,
    /// The tracks were told.
    told: bool,
    packets: u64,
}

/// What comes of a camera's packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    /// What flows from here on; before the first unit, and when it changes.
    Tracks(Vec<Track>),
    Unit(Received),
}

/// Where a track is on the line: its stream times less `origin_ns`.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    origin_ns: Option<i64>,
    /// By reports; else a report may still move it, once.
    is_final: bool,
    /// The timestamp that belongs to the beginning, as the answer to PLAY has it.
    begin_ticks: Option<u32>,
    /// On the line, of the last unit, and when that came.
    last: Option<(i64, MonoNs)>,
    /// It was moved back: up to here on the line something was told already.
    told_ns: Option<i64>,
}

impl Place {
    /// Whether a unit's place on the line is free.
    fn take(&mut self, at_ns: i64, came: MonoNs, is_moved_back: bool) -> bool {
        if is_moved_back {
            self.told_ns = self.last.map(|(last_ns, _)| last_ns);
        }
        self.told_ns = self.told_ns.filter(|told_ns| at_ns <= *told_ns);
        if self.told_ns.is_none() {
            self.last = Some((at_ns, came));
        }
        self.told_ns.is_none()
    }
}

impl Streams {
    /// `lanes`: in the order of the ring's tracks.
    pub(crate) fn new(lanes: Vec<Lane>) -> Self {
        let places = vec![Place::default(); lanes.len()];
        let out = VecDeque::new();
        Self { lanes, places, first: None, out, told: false, packets: 0 }
    }

    /// What the answer to PLAY says of each track.
    pub(crate) fn begin(&mut self, ticks: &[Option<u32>]) {
        // Of all tracks or of none: else it says nothing of what belongs together.
        if ticks.len() == self.lanes.len() && ticks.iter().all(Option::is_some) {
            for (place, ticks) in self.places.iter_mut().zip(ticks) {
                place.begin_ticks = *ticks;
            }
        }
    }

    /// Packets that came, of all tracks.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }

    pub(crate) fn packet(&mut self, lane: usize, bytes: &[u8], arrival: Stamp) {
        self.packets += 1;
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.packet(bytes, arrival);
        }
        self.drain(arrival.mono);
    }

    /// A packet of the camera's reports came on the channel of a lane.
    pub(crate) fn reports(&mut self, lane: usize, bytes: &[u8], now: MonoNs) {
        for report in rtcp::reports(bytes) {
            let Some(lane) = self.lanes.get_mut(lane) else { return };
            match lane.report(report, now) {
                Some(Heard::Set(off_ns)) => {
                    tracing::info!("the camera's clock was set by {} ms", off_ns / 1_000_000);
                }
                Some(heard) => tracing::trace!(?heard, "sender report"),
                None => {}
            }
        }
    }

    /// Takes what was waited for long enough.
    pub(crate) fn drain(&mut self, now: MonoNs) {
        let mut fresh = Vec::new();
        for at in 0..self.lanes.len() {
            self.lanes[at].drain(now, &mut fresh);
            self.tell_tracks(at);
            for received in fresh.drain(..) {
                // Nobody could use what comes before all is known of the tracks.
                if self.told {
                    let placed = self.placed(at, received);
                    self.out.extend(placed.map(Happening::Unit));
                }
            }
        }
    }

    fn tell_tracks(&mut self, changed: usize) {
        let is_news = self.lanes[changed].take_changed() || !self.told;
        if is_news && self.lanes.iter().all(Lane::is_described) {
            self.told = true;
            let tracks = self.lanes.iter().map(|lane| lane.track().clone()).collect();
            self.out.push_back(Happening::Tracks(tracks));
        }
    }

    /// When [`Self::drain`] has something though nothing came.
    pub(crate) fn due(&self) -> Option<MonoNs> {
        self.lanes.iter().filter_map(Lane::due).min()
    }

    pub(crate) fn pop(&mut self) -> Option<Happening> {
        self.out.pop_front()
    }

    /// Reports of ours: the lane, and what to send on its channel.
    pub(crate) fn receptions(&mut self, own_ssrc: u32, now: MonoNs) -> Vec<(usize, Vec<u8>)> {
        let lanes = self.lanes.iter_mut().enumerate();
        lanes
            .filter_map(|(at, lane)| Some((at, rtcp::write(own_ssrc, &lane.reception(now)?))))
            .collect()
    }

    /// The shortest delay from capture to arrival by the camera's clock, of the first track.
    pub(crate) fn delay_ns(&self) -> Option<i64> {
        self.lanes.first()?.clock().delay_ns()
    }

    /// `None`: its place on the line is taken.
    fn placed(&mut self, at: usize, mut received: Received) -> Option<Received> {
        let (first, began) = *self.first.get_or_insert((at, received.arrival.mono));
        if received.anew {
            self.places[at] = Place::default();
        }
        if received.jumped {
            self.jump(at, &received);
        }
        let stream_ns = received.unit.pts_ns;
        let before_ns = self.places[at].origin_ns;
        let origin_ns = if at == first && !received.anew {
            *self.places[at].origin_ns.get_or_insert(stream_ns)
        } else {
            self.origin_beside(first, at, stream_ns, received.arrival.mono, began)
        };
        received.unit.pts_ns = stream_ns.saturating_sub(origin_ns);
        received.unit.dts_ns = received.unit.dts_ns.saturating_sub(origin_ns);
        let is_moved_back =
            before_ns.is_some_and(|before_ns| origin_ns.saturating_sub(before_ns) > APART_NS);
        let is_taken =
            self.places[at].take(received.unit.pts_ns, received.arrival.mono, is_moved_back);
        is_taken.then_some(received)
    }

    /// Only this track's count jumped: on the line it goes on where it was, or after its pause.
    fn jump(&mut self, at: usize, received: &Received) {
        let Some((last_ns, came)) = self.places[at].last else { return };
        let passed = received.arrival.mono.saturating_since(came).as_nanos();
        let passed_ns = i64::try_from(passed).unwrap_or(i64::MAX);
        let step_ns =
            if passed_ns > BELIEVED_NS { passed_ns } else { received.unit.duration_ns.max(1) };
        let next_ns = last_ns.saturating_add(step_ns);
        let origin_ns = Some(received.unit.pts_ns.saturating_sub(next_ns));
        self.places[at] = Place { origin_ns, ..Place::default() };
    }

    fn origin_beside(
        &mut self,
        first: usize,
        at: usize,
        stream_ns: i64,
        arrival: MonoNs,
        began: MonoNs,
    ) -> i64 {
        let place = self.places[at];
        if let Some(old_ns) = place.origin_ns.filter(|_| place.is_final) {
            let origin_ns = led(old_ns, self.by_reports(first, at, stream_ns));
            self.places[at].origin_ns = Some(origin_ns);
            return origin_ns;
        }
        let passed = arrival.saturating_since(began).as_nanos();
        let by_arrival_ns = stream_ns.saturating_sub(i64::try_from(passed).unwrap_or(i64::MAX));
        let believed =
            |origin_ns: &i64| origin_ns.abs_diff(by_arrival_ns) <= BELIEVED_NS.unsigned_abs();
        if let Some(origin_ns) = self.by_reports(first, at, stream_ns).filter(believed) {
            let origin_ns = match place.origin_ns {
                // What was heard so far is moved only when it is far from its picture.
                Some(old_ns) if old_ns.abs_diff(origin_ns) <= APART_NS.unsigned_abs() => old_ns,
                // Of sound some may be left out, of pictures none, so these stay.
                Some(old_ns) if old_ns < origin_ns && self.lanes[at].is_video() => {
                    self.move_others_on(at, origin_ns.saturating_sub(old_ns));
                    old_ns
                }
                _ => origin_ns,
            };
            self.places[at] = Place { origin_ns: Some(origin_ns), is_final: true, ..place };
            return origin_ns;
        }
        let origin_ns = place.origin_ns.unwrap_or_else(|| {
            self.by_beginning(first, at, stream_ns).filter(believed).unwrap_or(by_arrival_ns)
        });
        self.places[at].origin_ns = Some(origin_ns);
        origin_ns
    }

    fn move_others_on(&mut self, at: usize, by_ns: i64) {
        let others = self.places.iter_mut().enumerate().filter(|(other, _)| *other != at);
        for (_, place) in others {
            place.origin_ns = place.origin_ns.map(|origin_ns| origin_ns.saturating_sub(by_ns));
        }
        let earlier = |began: MonoNs| MonoNs(began.0.saturating_sub(by_ns.unsigned_abs()));
        self.first = self.first.map(|(first, began)| (first, earlier(began)));
    }

    /// Both tracks' times by the camera's clock.
    fn by_reports(&self, first: usize, at: usize, stream_ns: i64) -> Option<i64> {
        let zero = utc_of(&self.lanes[first], self.places[first].origin_ns?)?;
        let own = utc_of(&self.lanes[at], stream_ns)?;
        let since_zero_ns = i64::try_from(own.0).ok()? - i64::try_from(zero.0).ok()?;
        Some(stream_ns.saturating_sub(since_zero_ns))
    }

    fn by_beginning(&self, first: usize, at: usize, stream_ns: i64) -> Option<i64> {
        let begin_ns = |at: usize, near_ns: i64| {
            let time_base = self.lanes[at].track().time_base;
            let round_ns = time_base.to_ns(1 << 32);
            let begin_ns = time_base.to_ns(i64::from(self.places[at].begin_ticks?));
            // The beginning of the same round of the 32 bits.
            let half_ns = round_ns / 2;
            let since_ns = near_ns.saturating_sub(begin_ns).saturating_add(half_ns);
            Some(near_ns.saturating_sub(since_ns.rem_euclid(round_ns) - half_ns))
        };
        let first_ns = self.places[first].origin_ns?;
        let lead_ns = first_ns.saturating_sub(begin_ns(first, first_ns)?);
        begin_ns(at, stream_ns)?.checked_add(lead_ns)
    }
}

/// A track whose clock drifts from the other's is led after it, in steps that nobody hears.
fn led(old_ns: i64, now_ns: Option<i64>) -> i64 {
    let off_ns = now_ns.map_or(0, |now_ns| now_ns.saturating_sub(old_ns));
    if off_ns.unsigned_abs() > BELIEVED_NS.unsigned_abs() {
        return old_ns;
    }
    old_ns.saturating_add(off_ns.clamp(-LEAD_NS, LEAD_NS))
}

#[cfg(test)]
mod tests;
