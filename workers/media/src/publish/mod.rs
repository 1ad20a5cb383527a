//! Access units of the ring, as they are, out to a server or an address: RTSP, RTMP, SRT, MPEG-TS over
//! UDP, RTP.
//!
//! ```text
//! AccessUnit ──> Lane (times of the muxer) ──> rtsp, flv, mpegts ──> server
//!                                         └──> rtp, one a track ───> address, with a description (SDP)
//! ```
//!
//! What belongs here: opening, writing, taking leave, and saying why not. When to try again is for the
//! caller, and so is how long a call may take: the interrupt is asked many times a second.

mod error;
mod options;
mod output;

use std::sync::{Arc, Mutex};

use ffmpeg_next::packet::Flags;
use ffmpeg_next::{Error, Packet};
use protocol::config::push::{Place, Protocol, PushTransport};
use protocol::stream::Track;
use protocol::time::TimeBase;

use crate::demux::{AccessUnit, Alarm, Interrupt};
use crate::{delayed, log, mux};

pub use error::PublishError;
use output::Connection;

pub(crate) const CONNECTING: &str = "connecting";
const WRITING: &str = "sending";

/// Where to, and how it is called where people see it.
#[derive(Clone, Debug)]
pub struct Target {
    pub place: Place,
    pub transport: PushTransport,
    pub name: String,
}

/// An open connection.
pub struct Publisher {
    /// One, or of RTP one for each track.
    connections: Vec<Connection>,
    lanes: Vec<Lane>,
    alarm: Alarm,
    protocol: Protocol,
    name: String,
}

/// One track's place.
#[derive(Debug)]
struct Lane {
    connection: usize,
    stream: usize,
    base: TimeBase,
    /// In the muxer's ticks; muxers take rising times only.
    last_dts: Option<i64>,
}

impl Publisher {
    /// Connects, and says what follows. H.264 and H.265 tracks need their parameter sets, AAC its
    /// configuration. Once `interrupt` says true, the call ends with an error; so do those that follow,
    /// and this publisher is of no more use but to be closed.
    pub fn open(
        target: &Target,
        tracks: &[Track],
        interrupt: Interrupt,
    ) -> Result<Self, PublishError> {
        crate::init();
        if delayed::load_libavformat().is_err() {
            let name = target.name.clone();
            return Err(PublishError::Missing { name, what: "libavformat" });
        }
        let protocol = target.place.protocol();
        let alarm = Alarm::default();
        let asked = Arc::new(Mutex::new(interrupt));
        log::hide(options::secrets(&target.place));
        let heard = log::listen();
        let failed = |error: Error| {
            let error = if alarm.is_raised() { Error::Exit } else { error };
            PublishError::of(&target.name, protocol, CONNECTING, error, &heard.said())
        };
        let doors = options::doors(&target.place, target.transport, tracks.len());
        let mut connections = Vec::new();
        for (door, tracks) in doors.iter().zip(shares(protocol, tracks)) {
            let (raised, asked) = (alarm.clone(), Arc::clone(&asked));
            let is_over = move || {
                // Who cannot be asked does not wait for ever.
                asked.lock().map_or(true, |mut asked| (*asked)()) && raised.raise()
            };
            let mut connection = Connection::open(door, is_over).map_err(failed)?;
            for track in tracks {
                mux::add(connection.output(), track).map_err(failed)?;
            }
            connection.begin(door).map_err(failed)?;
            connections.push(connection);
        }
        let lanes = lanes(protocol, &connections, tracks.len());
        let name = target.name.clone();
        Ok(Self { connections, lanes, alarm, protocol, name })
    }

    /// Units of a track in decode order; `track` counts as the tracks it was opened with.
    pub fn write(&mut self, unit: &AccessUnit) -> Result<(), PublishError> {
        let Some(lane) = self.lanes.get_mut(unit.track as usize) else { return Ok(()) };
        let Some(connection) = self.connections.get_mut(lane.connection) else { return Ok(()) };
        let mut packet = Packet::copy(&unit.payload);
        packet.set_stream(lane.stream);
        let (pts, dts) = lane.times(unit);
        packet.set_pts(Some(pts));
        packet.set_dts(Some(dts));
        packet.set_duration(lane.base.from_ns(unit.duration_ns));
        if unit.key {
            packet.set_flags(Flags::KEY);
        }
        let heard = log::listen();
        let written = packet.write(connection.output());
        let error = match written {
            // RTSP's muxer does not tell of a write that was given up.
            _ if self.alarm.is_raised() => Error::Exit,
            // Muxers may answer how much they wrote, which the wrapper takes for an error.
            Ok(_) | Err(Error::Other { errno: i32::MIN..0 }) => return Ok(()),
            Err(error) => error,
        };
        Err(PublishError::of(&self.name, self.protocol, WRITING, error, &heard.said()))
    }

    /// What receivers of plain RTP need to know (SDP); `None` for all others.
    pub fn description(&mut self) -> Option<String> {
        (self.protocol == Protocol::Rtp).then(|| output::describe(&mut self.connections))
    }

    /// Takes leave, as far as the interrupt allows; errors are nobody's business any more.
    pub fn close(mut self) {
        for connection in &mut self.connections {
            connection.end();
        }
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Lane {
    /// When it is shown and when decoded, in the muxer's ticks.
    fn times(&mut self, unit: &AccessUnit) -> (i64, i64) {
        let earliest = self.last_dts.map_or(i64::MIN, |last| last.saturating_add(1));
        let dts = self.base.from_ns(unit.dts_ns).max(earliest);
        self.last_dts = Some(dts);
        (self.base.from_ns(unit.pts_ns).max(dts), dts)
    }
}

/// The tracks of each connection.
fn shares(protocol: Protocol, tracks: &[Track]) -> Vec<&[Track]> {
    if protocol == Protocol::Rtp { tracks.chunks(1).collect() } else { vec![tracks] }
}

fn lanes(protocol: Protocol, connections: &[Connection], tracks: usize) -> Vec<Lane> {
    (0..tracks)
        .filter_map(|track| {
            let at = if protocol == Protocol::Rtp { (track, 0) } else { (0, track) };
            let base = connections.get(at.0)?.base(at.1)?;
            Some(Lane { connection: at.0, stream: at.1, base, last_dts: None })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(pts_ms: i64, dts_ms: i64) -> AccessUnit {
        AccessUnit {
            track: 0,
            key: false,
            corrupt: false,
            pts_ns: pts_ms * 1_000_000,
            dts_ns: dts_ms * 1_000_000,
            duration_ns: 0,
            payload: Vec::new(),
        }
    }

    #[test]
    fn times_rise_whatever_the_source_says_and_nothing_is_shown_before_it_is_decoded() {
        let base = TimeBase { num: 1, den: 1000 };
        let mut lane = Lane { connection: 0, stream: 0, base, last_dts: None };
        let given = [unit(80, 0), unit(40, 40), unit(40, 40), unit(20, 10), unit(120, 60)];
        let times = given.map(|unit| lane.times(&unit));
        assert_eq!(times, [(80, 0), (40, 40), (41, 41), (42, 42), (120, 60)]);
    }
}
