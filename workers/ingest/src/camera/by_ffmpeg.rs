//! Connections that FFmpeg reads: streams of its protocols, devices, and the codecs of cameras that our own
//! RTSP client does not take out of their packets.

use std::sync::Arc;
use std::time::Duration;

use media::{AccessUnit, Demuxer, Input, MediaError, Nature};
use protocol::time::{ClockSource, MonoNs, Stamp};
use shmring::clock;
use worker::watchdog::Watchdog;

use super::{GOODBYE, Lost, Message, Reader};
use crate::pace::Pace;
use crate::rtsp::{PATIENCE, Received};

/// Somebody else is to connect or to send: whoever waits for that is in no hurry, and each end of it closes the
/// port for a moment.
const SENDER_PATIENCE: Duration = Duration::from_secs(60);
/// Segments of a playlist may be 10 s long, and come one at a time.
const STORED_PATIENCE: Duration = Duration::from_secs(30);
/// What is due later than this has times that jumped; nobody waits for it.
const DUE_MOST: Duration = Duration::from_secs(10);
/// So have times that step back by more: what follows is not late, and does not catch up.
const BACK_MOST_NS: i64 = 10_000_000_000;
/// Time between two reads beyond which this process was away, and the source is not to blame.
const AWAY: Duration = Duration::from_secs(1);

/// How long a source may be silent.
#[derive(Clone, Copy, Debug)]
struct Patience {
    at_first: Duration,
    later: Duration,
}

fn patience_with(input: &Input, nature: Nature) -> Patience {
    let waits_for_sender = match input {
        Input::Stream(stream) => stream.listens() || stream.is_sent_here(),
        Input::Device(_) | Input::File(_) | Input::Rtsp { .. } => false,
    };
    Patience {
        at_first: if waits_for_sender { SENDER_PATIENCE } else { PATIENCE },
        later: if nature.is_stored { STORED_PATIENCE } else { PATIENCE },
    }
}

impl Reader {
    pub(super) fn stay_with_ffmpeg(&self, input: &Input) -> Lost {
        let at_first = patience_with(input, Nature::default()).at_first;
        let watchdog = Watchdog::new(Arc::clone(&self.stop), at_first, clock::mono());
        let mut demuxer = match Demuxer::open(input, watchdog.interrupt()) {
            Ok(demuxer) => demuxer,
            Err(error) => return self.reason(error, &watchdog),
        };
        tracing::info!("connected to {}, read by FFmpeg", self.address.name);
        watchdog.be_patient(patience_with(input, demuxer.nature()).later, clock::mono());
        let lost = self.relay_ffmpeg(&mut demuxer, &watchdog);
        watchdog.leave(clock::mono(), GOODBYE);
        lost
    }

    fn relay_ffmpeg(&self, demuxer: &mut Demuxer, watchdog: &Watchdog) -> Lost {
        let mut version = demuxer.tracks_version();
        if let Err(lost) = self.say(Message::Connected(demuxer.tracks().to_vec())) {
            return lost;
        }
        let has_video = demuxer.tracks()[0].codec.is_video();
        let Nature { is_untimed, is_stored } = demuxer.nature();
        let (mut schedule, mut damage) = (Schedule::default(), Damage::default());
        loop {
            let mut unit = match demuxer.read() {
                Ok(Some(unit)) => unit,
                Ok(None) => return Lost::Ended(self.address.name.clone()),
                Err(error) => return self.reason(error, watchdog),
            };
            let mut arrival = clock::now();
            let came = arrival.mono;
            if unit.track == 0 || !has_video {
                watchdog.feed(arrival.mono);
            }
            if is_untimed {
                time_by_arrival(&mut unit, arrival);
            } else if is_stored {
                self.wait_until(schedule.due(unit.dts_ns, arrival.mono));
                arrival = clock::now();
            }
            damage.spread(&mut unit);
            if demuxer.tracks_version() != version {
                version = demuxer.tracks_version();
                if let Err(lost) = self.say(Message::Tracks(demuxer.tracks().to_vec())) {
                    return lost;
                }
            }
            let (capture, clock) = (arrival, ClockSource::Arrival);
            let (anew, jumped) = (false, false);
            let received = Received { unit, arrival, capture, clock, anew, jumped };
            if let Err(lost) = self.say(Message::Unit(received, None)) {
                return lost;
            }
            let now = clock::mono();
            if now.saturating_since(came) > AWAY {
                watchdog.feed(now);
            }
        }
    }

    fn reason(&self, error: MediaError, watchdog: &Watchdog) -> Lost {
        let interrupted = matches!(error, MediaError::Interrupted { .. });
        if interrupted && watchdog.has_expired(clock::mono()) {
            let (name, seconds) = (self.address.name.clone(), watchdog.patience().as_secs());
            return if watchdog.patience() == SENDER_PATIENCE {
                Lost::NobodySends { name, seconds }
            } else {
                Lost::Silent { name, seconds }
            };
        }
        if interrupted { Lost::Stopping } else { Lost::Media(error) }
    }

    fn wait_until(&self, due: MonoNs) {
        self.rest(due.saturating_since(clock::mono()));
    }
}

/// When units of what comes as fast as it is read are to go on. Pure.
#[derive(Clone, Copy, Debug, Default)]
struct Schedule {
    pace: Pace,
    /// Of the unit before, whatever its track is.
    last_ns: Option<i64>,
}

impl Schedule {
    fn due(&mut self, dts_ns: i64, now: MonoNs) -> MonoNs {
        let last_ns = self.last_ns.replace(dts_ns).unwrap_or(dts_ns);
        let steps_back = last_ns.saturating_sub(dts_ns) > BACK_MOST_NS;
        let due = self.pace.due(dts_ns, now);
        if !steps_back && due.saturating_since(now) <= DUE_MOST {
            return due;
        }
        self.pace = Pace::default();
        self.pace.due(dts_ns, now)
    }
}

/// A form without times counts units at a rate that nobody told: when they come is nearer to the truth.
fn time_by_arrival(unit: &mut AccessUnit, arrival: Stamp) {
    let at_ns = i64::try_from(arrival.mono.0).unwrap_or(i64::MAX);
    (unit.pts_ns, unit.dts_ns, unit.duration_ns) = (at_ns, at_ns, 0);
}

/// Pictures behind a damaged one refer to it, up to the next key frame. Pure.
#[derive(Clone, Copy, Debug, Default)]
struct Damage {
    is_on: bool,
}

impl Damage {
    fn spread(&mut self, unit: &mut AccessUnit) {
        if unit.track != 0 {
            return;
        }
        self.is_on = unit.corrupt || self.is_on && !unit.key;
        unit.corrupt = self.is_on;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(track: u32, key: bool, corrupt: bool) -> AccessUnit {
        let (pts_ns, dts_ns, duration_ns, payload) = (0, 0, 40_000_000, Vec::new());
        AccessUnit { track, key, corrupt, pts_ns, dts_ns, duration_ns, payload }
    }

    #[test]
    fn damage_lasts_until_the_next_key_frame_and_is_the_pictures_alone() {
        let mut damage = Damage::default();
        let came = [
            (0, true, false),
            (0, false, true),
            (1, true, false),
            (0, false, false),
            (0, true, false),
            (0, true, true),
            (0, false, false),
        ];
        let told = came.map(|(track, key, corrupt)| {
            let mut unit = unit(track, key, corrupt);
            damage.spread(&mut unit);
            unit.corrupt
        });
        assert_eq!(told, [false, true, false, true, false, true, true]);
    }

    #[test]
    fn what_is_stored_goes_on_at_its_own_pace_and_a_jump_is_not_waited_for() {
        let mut schedule = Schedule::default();
        let now = MonoNs(1_000_000_000);
        assert_eq!(schedule.due(5, now), now);
        assert_eq!(schedule.due(40_000_005, now), now + Duration::from_millis(40));
        assert_eq!(schedule.due(3_600_000_000_000, now), now);
        assert_eq!(schedule.due(3_600_040_000_000, now), now + Duration::from_millis(40));
        // A playlist whose next part begins at 0 again: else an hour of it would come at once.
        assert_eq!(schedule.due(7, now), now);
        assert_eq!(schedule.due(40_000_007, now), now + Duration::from_millis(40));
        // What is late catches up.
        let late = now + Duration::from_secs(30);
        assert_eq!(schedule.due(80_000_007, late), now + Duration::from_millis(80));
    }

    #[test]
    fn a_unit_without_a_time_has_that_of_its_arrival() {
        let mut unit = unit(0, true, false);
        time_by_arrival(&mut unit, Stamp { mono: MonoNs(77), ..Stamp::default() });
        assert_eq!((unit.pts_ns, unit.dts_ns, unit.duration_ns), (77, 77, 0));
    }
}
