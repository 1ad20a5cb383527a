//! One viewer without any input or output: datagrams, units and time in, datagrams out.
//!
//! ```text
//!   answered ──ICE, DTLS──> connected ──> units from the newest key frame on
//!      │ 20 s                  │ a key frame asked for: again from the newest one, or from the next
//!      v                       v 15 s of silence, its goodbye, ours, other tracks of the camera
//!    ended                   ended
//! ```

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use protocol::time::Stamp;
use str0m::media::{MediaTime, Mid, Pt};
use str0m::rtp::AbsCaptureTime;
use str0m::{Event, IceConnectionState, Input, Output, Rtc, RtcError};

use crate::feed::Feed;
use crate::figures::{CameraFigures, ViewerFigures};
use crate::formats::{Media, Served};
use crate::moment::Moment;
use crate::pace::{Datagram, Pace};
use crate::recent::{Cursor, Taken};
use crate::ticks::Ticks;
use crate::unit::Unit;

/// From the answer to the first picture; browsers take a second, over lines that lose a few.
const COMES_WITHIN: Duration = Duration::from_secs(20);
/// Browsers check their connection every 2.5 s (RFC 7675 section 5.1 wants it within 30).
const SILENT_AFTER: Duration = Duration::from_secs(15);
/// A player asks for a key frame until it has one; what is on its way is none to be sent again.
const ASKED_AGAIN: Duration = Duration::from_millis(500);
/// Who loses pictures again within this time has a line that does not carry them: the pictures since the last
/// key frame would make it worse, and it waits for the next one.
const LOSES_AGAIN: Duration = Duration::from_secs(5);
/// Who skipped something within this time is slow.
const SKIP_COUNTS: Duration = Duration::from_secs(10);
/// Turns of the WebRTC stack at one instant; it takes a few.
const TURNS_MAX: usize = 64;
/// Units at one go, so that the others have theirs.
const UNITS_MAX: usize = 64;

/// Why a viewer is no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum End {
    #[error("the camera sends other tracks now")]
    Changed,
    #[error("{0}")]
    Failed(String),
    #[error("it left")]
    Left,
    #[error("it never came")]
    NeverCame,
    #[error("nothing was heard of it for {} s", SILENT_AFTER.as_secs())]
    Silent,
}

/// How one track goes to one viewer.
#[derive(Debug)]
pub(crate) struct Sending {
    pub(crate) mid: Mid,
    pub(crate) payload: Pt,
    pub(crate) served: Served,
    pub(crate) ticks: Ticks,
}

/// A viewer.
#[derive(Debug)]
pub(crate) struct Viewer {
    pub(crate) camera: String,
    /// Who asked for it.
    pub(crate) origin: IpAddr,
    /// Of the feed when it was answered.
    pub(crate) edition: u64,
    rtc: Rtc,
    /// The addresses that it was told.
    local: Vec<SocketAddr>,
    pub(crate) video: Option<Sending>,
    pub(crate) audio: Option<Sending>,
    pub(crate) pace: Pace,
    /// When the WebRTC stack wants its next turn.
    turn: Instant,
    answered: Instant,
    heard: Instant,
    connected: bool,
    cursor: Option<Cursor>,
    asks: bool,
    /// When it was last given a place.
    began: Option<Instant>,
    /// When a key frame last went out to it.
    keyed: Option<Instant>,
    /// What was counted since it was last looked at.
    tally: CameraFigures,
    /// All that was counted before that.
    counted: CameraFigures,
    pictures: u64,
    peer: Option<SocketAddr>,
    skipped: Option<Instant>,
    end: Option<End>,
}

impl Viewer {
    pub(crate) fn new(
        rtc: Rtc,
        camera: &str,
        origin: IpAddr,
        edition: u64,
        local: Vec<SocketAddr>,
        now: Instant,
    ) -> Self {
        Self {
            camera: camera.to_owned(),
            origin,
            edition,
            rtc,
            local,
            video: None,
            audio: None,
            pace: Pace::default(),
            turn: now,
            answered: now,
            heard: now,
            connected: false,
            cursor: None,
            asks: false,
            began: None,
            keyed: None,
            tally: CameraFigures { sessions: 1, ..CameraFigures::default() },
            counted: CameraFigures::default(),
            pictures: 0,
            peer: None,
            skipped: None,
            end: None,
        }
    }

    /// Why it is no more.
    pub(crate) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    pub(crate) fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
    }

    /// What was counted since it was last asked.
    pub(crate) fn take_tally(&mut self) -> CameraFigures {
        let tally = std::mem::take(&mut self.tally);
        self.counted.add(&tally);
        tally
    }

    /// How it is; `None` of one that has not come yet, or is no more.
    pub(crate) fn figures(&self, now: Instant) -> Option<ViewerFigures> {
        let lately = |at: Instant| now.saturating_duration_since(at) < SKIP_COUNTS;
        (self.connected && self.end.is_none()).then(|| ViewerFigures {
            camera: self.camera.clone(),
            peer: self.peer,
            lasts: now.saturating_duration_since(self.answered),
            pictures: self.pictures,
            bytes: self.counted.bytes + self.tally.bytes,
            skipped: self.counted.skipped + self.tally.skipped,
            slow: self.skipped.is_some_and(lately),
        })
    }

    /// The WebRTC stack, to be changed once, and what it then has to say.
    pub(crate) fn change<T>(
        &mut self,
        change: impl FnOnce(&mut Rtc) -> Result<T, RtcError>,
    ) -> Result<T, RtcError> {
        let changed = change(&mut self.rtc)?;
        self.settle();
        Ok(changed)
    }

    pub(crate) fn accepts(&self, input: &Input<'_>) -> bool {
        self.end.is_none() && self.rtc.accepts(input)
    }

    /// Takes a datagram that it [accepts](Self::accepts). One that the stack does not like is lost, and no more.
    pub(crate) fn receive(&mut self, input: Input<'_>) {
        let Input::Receive(at, mut receive) = input else { return };
        let is_like = |local: &&SocketAddr| local.is_ipv4() == receive.source.is_ipv4();
        if let Some(local) = self.local.iter().find(is_like) {
            receive.destination = *local;
        }
        self.heard = self.heard.max(at);
        self.peer = Some(receive.source);
        if let Err(error) = self.rtc.handle_input(Input::Receive(at, receive)) {
            tracing::debug!(camera = self.camera, %error, "a datagram of a viewer was passed over");
        }
        self.settle();
    }

    /// Goes on: time passes, units go out as far as there is room.
    pub(crate) fn go_on(&mut self, now: &Moment, feed: &Feed) {
        self.pass(now.instant);
        self.look_at_the_clock(now.instant);
        if self.connected && self.end.is_none() {
            self.find_place(now.instant, feed);
            self.send(now, feed);
        }
    }

    /// When it wants to go on by itself.
    pub(crate) fn due(&self, now: Instant) -> Instant {
        self.pace.due(now).map_or(self.turn, |due| due.min(self.turn))
    }

    /// Says goodbye. What is to be sent for it waits in the pace.
    pub(crate) fn close(&mut self) {
        if self.rtc.is_alive() {
            // Without a connection there is nobody to say it to.
            let _ = self.rtc.close();
            self.settle();
        }
    }

    fn pass(&mut self, now: Instant) {
        for _ in 0..TURNS_MAX {
            if self.turn > now || self.end.is_some() {
                return;
            }
            if let Err(error) = self.rtc.handle_input(Input::Timeout(now)) {
                return self.fail(&error);
            }
            self.settle();
        }
    }

    /// All that the stack has to say after a change.
    fn settle(&mut self) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(turn)) => {
                    self.turn = turn;
                    return;
                }
                Ok(Output::Transmit(datagram)) => {
                    let bytes: Vec<u8> = datagram.contents.into();
                    self.tally.bytes += bytes.len() as u64;
                    self.pace.push(Datagram { to: datagram.destination, bytes });
                }
                Ok(Output::Event(event)) => self.hear(event),
                Err(error) => return self.fail(&error),
            }
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Connected => self.connected = true,
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => {
                self.finish(if self.connected { End::Silent } else { End::NeverCame });
            }
            Event::KeyframeRequest(_) => {
                self.asks = true;
                self.tally.key_requests += 1;
            }
            Event::Closed => self.finish(End::Left),
            _ => {}
        }
    }

    fn look_at_the_clock(&mut self, now: Instant) {
        if !self.rtc.is_alive() {
            self.finish(End::Left);
        } else if !self.connected && now.saturating_duration_since(self.answered) > COMES_WITHIN {
            self.finish(End::NeverCame);
        } else if self.connected && now.saturating_duration_since(self.heard) > SILENT_AFTER {
            self.finish(End::Silent);
        }
    }

    /// Where it begins, and begins again when it asks for a key frame.
    fn find_place(&mut self, now: Instant, feed: &Feed) {
        let since = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let place = Place::of(&Asking {
            asks: std::mem::take(&mut self.asks),
            waits: self.cursor.map(|cursor| cursor.waits()),
            keyed: since(self.keyed),
            began: since(self.began),
        });
        let cursor = match place {
            Place::Newest => feed.join(),
            Place::Next => Some(feed.wait()),
            Place::Stay => None,
        };
        if cursor.is_some() {
            (self.cursor, self.began) = (cursor, Some(now));
        }
    }

    fn send(&mut self, now: &Moment, feed: &Feed) {
        let Some(mut cursor) = self.cursor else { return };
        for _ in 0..UNITS_MAX {
            if !self.pace.has_room() || self.end.is_some() {
                break;
            }
            match feed.take(self.edition, &mut cursor) {
                None => self.finish(End::Changed),
                Some(Taken::Nothing) => break,
                Some(Taken::Skipped { units }) => {
                    self.tally.skipped += units;
                    self.skipped = Some(now.instant);
                }
                Some(Taken::Unit { unit, behind_ns }) => self.write(&unit, behind_ns, now),
            }
        }
        self.cursor = Some(cursor);
    }

    fn write(&mut self, unit: &Unit, behind_ns: i64, now: &Moment) {
        let sending = match unit.media {
            Media::Audio => &mut self.audio,
            Media::Video => &mut self.video,
        };
        let Some(sending) = sending else { return };
        let placed = sending.ticks.place(unit.pts_ns, behind_ns);
        let time = MediaTime::new(placed.ticks, sending.served.format.frequency());
        // It is sent with a later time than its own: so is it captured, for who compares.
        let captured = now.when(unit.captured).checked_add(placed.later);
        let captured = captured.map_or(now.instant, |captured| captured.min(now.instant));
        let (mid, payload) = (sending.mid, sending.payload);
        let Some(writer) = self.rtc.writer(mid) else { return };
        let writer = writer.abs_capture_time(capture_time(unit.captured));
        let written = writer.write(payload, captured, time, Arc::clone(&unit.data));
        if let Err(error) = written {
            return self.fail(&error);
        }
        self.tally.units += 1;
        self.pictures += u64::from(unit.media == Media::Video);
        if unit.entry {
            self.keyed = Some(now.instant);
        }
        self.settle();
        self.pass(now.instant);
    }

    fn fail(&mut self, error: &RtcError) {
        self.finish(End::Failed(error.to_string()));
    }
}

/// What a viewer's place depends on.
#[derive(Clone, Copy, Debug, Default)]
struct Asking {
    /// Whether it asks for a key frame.
    asks: bool,
    /// Whether it waits for one at its place; `None` when it has no place yet.
    waits: Option<bool>,
    /// How long ago one went out to it, and how long ago it was given its place.
    keyed: Option<Duration>,
    began: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// From the newest key frame.
    Newest,
    /// From the next key frame.
    Next,
    Stay,
}

impl Place {
    fn of(asking: &Asking) -> Self {
        let is_within = |since: Option<Duration>, span| since.is_some_and(|since| since < span);
        match asking.waits {
            None => Self::Newest,
            Some(true) => Self::Stay,
            Some(false) if !asking.asks || is_within(asking.keyed, ASKED_AGAIN) => Self::Stay,
            Some(false) if is_within(asking.began, LOSES_AGAIN) => Self::Next,
            Some(false) => Self::Newest,
        }
    }
}

fn capture_time(captured: Stamp) -> AbsCaptureTime {
    let since_1970 = Duration::from_nanos(captured.utc.0);
    let capture_time =
        SystemTime::UNIX_EPOCH.checked_add(since_1970).unwrap_or(SystemTime::UNIX_EPOCH);
    AbsCaptureTime { capture_time, clock_offset: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(asks: bool, waits: bool, keyed_ms: u64, began_ms: u64) -> Place {
        let [keyed, began] = [keyed_ms, began_ms].map(|ms| Some(Duration::from_millis(ms)));
        Place::of(&Asking { asks, waits: Some(waits), keyed, began })
    }

    #[test]
    fn who_begins_begins_at_the_newest_key_frame() {
        assert_eq!(Place::of(&Asking::default()), Place::Newest);
    }

    #[test]
    fn who_asks_while_a_key_frame_is_on_its_way_gets_no_second_one() {
        assert_eq!(place(true, false, 100, 100), Place::Stay);
        assert_eq!(place(true, true, 60_000, 60_000), Place::Stay);
        assert_eq!(place(false, false, 60_000, 60_000), Place::Stay);
    }

    #[test]
    fn who_asks_gets_the_newest_one_again_and_who_soon_asks_again_waits_for_the_next() {
        assert_eq!(place(true, false, 6_000, 6_000), Place::Newest);
        assert_eq!(place(true, false, 1_000, 1_000), Place::Next);
        assert_eq!(place(true, false, 1_000, 6_000), Place::Newest);
    }
}
