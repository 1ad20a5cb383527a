//! One track's way from RTP packets to access units with their times. Pure.

use std::borrow::Cow;
use std::time::Duration;

use bitstream::Family;
use media::AccessUnit;
use protocol::stream::Track;
use protocol::time::{ClockSource, MonoNs, NS_PER_S, Stamp, TimeBase, UtcNs};
use rtp_types::RtpPacket;

use super::decode_times::DecodeTimes;
use super::format::{Content, Format, describe};
use super::order::{Order, Ordered, Packet};
use super::rtcp::{Reception, SenderReport};
use crate::camera_clock::{CameraClock, Heard};

/// A step of a track's time that is longer, or one back by more than a second, is a jump.
const JUMP_NS: i64 = 10_000_000_000;
const JUMP_BACK_NS: i64 = 1_000_000_000;
/// Packets of another source after which it is the camera's.
const SOURCE_CHANGES_AT: u32 = 2;

/// An access unit as it came: its times are stream times, of any origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) unit: AccessUnit,
    pub(crate) arrival: Stamp,
    pub(crate) capture: Stamp,
    pub(crate) clock: ClockSource,
    /// What was before has nothing to do with this.
    pub(crate) anew: bool,
    /// The track's time does not follow from what was before.
    pub(crate) jumped: bool,
}

#[derive(Debug)]
pub(crate) struct Lane {
    number: u32,
    payload_type: u8,
    format: Format,
    /// Size and extradata are known.
    described: bool,
    order: Order,
    /// What is whole and was not asked for.
    whole: Vec<Received>,
    patience: Duration,
    source: Option<u32>,
    /// Another source that packets came of, and how many in a row.
    other: Option<(u32, u32)>,
    ticks: Option<i64>,
    last_ns: Option<i64>,
    decode: DecodeTimes,
    clock: CameraClock,
    early: Option<SenderReport>,
    last_report: Option<(u32, MonoNs)>,
    /// Counts at the last report of ours.
    told: (u64, u64),
    anew: bool,
    changed: bool,
}

impl Lane {
    /// `number`: of the track in the ring. A missing packet is waited for as long as `patience`.
    pub(crate) fn new(number: u32, payload_type: u8, format: Format, patience: Duration) -> Self {
        let mut lane = Self {
            number,
            payload_type,
            described: matches!(format.content, Content::Audio(_)),
            format,
            order: Order::new(patience),
            whole: Vec::new(),
            patience,
            source: None,
            other: None,
            ticks: None,
            last_ns: None,
            decode: DecodeTimes::new(0, 0),
            clock: CameraClock::default(),
            early: None,
            last_report: None,
            told: (0, 0),
            anew: false,
            changed: false,
        };
        lane.describe();
        lane
    }

    pub(crate) fn track(&self) -> &Track {
        &self.format.track
    }

    pub(crate) fn is_video(&self) -> bool {
        matches!(self.format.content, Content::Video { .. })
    }

    pub(crate) fn is_described(&self) -> bool {
        self.described
    }

    /// Whether [`Self::track`] is another one since this was asked last.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    pub(crate) fn clock(&self) -> &CameraClock {
        &self.clock
    }

    /// A packet of the stream came. What is none is passed over.
    pub(crate) fn packet(&mut self, bytes: &[u8], arrival: Stamp) {
        let Ok(packet) = RtpPacket::parse(bytes) else { return };
        if packet.payload_type() != self.payload_type || !self.is_of_source(packet.ssrc()) {
            return;
        }
        let next = self.order.push(Packet {
            sequence: packet.sequence_number(),
            ticks: packet.timestamp(),
            marker: packet.marker_bit(),
            payload: Cow::Borrowed(packet.payload()),
            arrival,
        });
        if let Some(ordered) = next {
            self.take(&ordered);
        }
    }

    /// Appends what is whole by now to `out`.
    pub(crate) fn drain(&mut self, now: MonoNs, out: &mut Vec<Received>) {
        while let Some(ordered) = self.order.pop(now) {
            self.take(&ordered);
        }
        out.append(&mut self.whole);
    }

    /// When [`Self::drain`] has something though nothing came.
    pub(crate) fn due(&self) -> Option<MonoNs> {
        self.order.due()
    }

    /// A report of the camera's clock came; what it was good for.
    pub(crate) fn report(&mut self, report: SenderReport, now: MonoNs) -> Option<Heard> {
        if self.ticks.is_none() {
            self.early = Some(report);
            return None;
        }
        if self.source != Some(report.ssrc) {
            return None;
        }
        self.last_report = Some((report.middle, now));
        let ticks = self.unwrapped(report.ticks);
        let stream_ns = self.ns(ticks);
        let rate = i64::from(self.format.track.time_base.den);
        let wrap_ns = (1i64 << 32) * i64::try_from(NS_PER_S).unwrap_or(0) / rate;
        Some(self.clock.report(stream_ns, report.captured, wrap_ns))
    }

    /// What we tell the camera of this stream; `None` while nothing came.
    pub(crate) fn reception(&mut self, now: MonoNs) -> Option<Reception> {
        let (received, lost) = self.order.counts();
        let (received_before, lost_before) = std::mem::replace(&mut self.told, (received, lost));
        let (received_now, lost_now) = (received - received_before, lost - lost_before);
        let part = (lost_now * 256).checked_div(received_now + lost_now).unwrap_or(0);
        let (last_report, since_report) = self.last_report.map_or((0, 0), |(middle, at)| {
            let since = now.saturating_since(at).as_nanos() * 65_536 / u128::from(NS_PER_S);
            (middle, u32::try_from(since).unwrap_or(u32::MAX))
        });
        Some(Reception {
            ssrc: self.source?,
            lost_part: u8::try_from(part).unwrap_or(u8::MAX),
            lost: u32::try_from(lost).unwrap_or(u32::MAX),
            highest: self.order.highest(),
            last_report,
            since_report,
        })
    }

    /// Cameras may change the source of a stream; a stray packet does not.
    fn is_of_source(&mut self, ssrc: u32) -> bool {
        match self.source {
            None => {
                self.source = Some(ssrc);
                true
            }
            Some(source) if source == ssrc => {
                self.other = None;
                true
            }
            Some(_) => {
                let seen = self.other.filter(|(other, _)| *other == ssrc).map_or(1, |(_, n)| n + 1);
                self.other = Some((ssrc, seen));
                if seen >= SOURCE_CHANGES_AT {
                    self.begin_anew(ssrc);
                }
                seen >= SOURCE_CHANGES_AT
            }
        }
    }

    fn begin_anew(&mut self, ssrc: u32) {
        self.source = Some(ssrc);
        self.other = None;
        self.order = Order::anew(self.patience);
        self.told = (0, 0);
        self.ticks = None;
        self.forget_times();
        self.anew = true;
    }

    fn forget_times(&mut self) {
        self.last_ns = None;
        self.clock = CameraClock::default();
        self.describe();
    }

    fn take(&mut self, ordered: &Ordered<'_>) {
        let arrival = ordered.packet.arrival;
        self.anew |= ordered.anew;
        match &mut self.format.content {
            Content::Audio(packing) => {
                let mut sounds = Vec::new();
                packing.push(ordered, &mut sounds);
                for sound in sounds {
                    let unit = self.unit(sound.bytes, true, false);
                    self.date(unit, sound.ticks, i64::from(sound.length_ticks), arrival);
                }
            }
            Content::Video { assembler, .. } => {
                let mut units = Vec::new();
                assembler.push(ordered, &mut units);
                for unit in units {
                    let Some(payload) = self.picture(unit.bytes, unit.key) else { continue };
                    let access = self.unit(payload, unit.key, unit.damaged);
                    self.date(access, unit.ticks, 0, arrival);
                }
            }
        }
    }

    /// The picture in the ring's form; `None` while nothing is known of its stream.
    fn picture(&mut self, bytes: Vec<u8>, key: bool) -> Option<Vec<u8>> {
        let Content::Video { sets, .. } = &mut self.format.content else { return None };
        let payload = sets.normalise(bytes, key);
        if key && sets.to_annexb() != self.format.track.extradata {
            self.describe();
        }
        self.described.then_some(payload)
    }

    fn describe(&mut self) {
        let Content::Video { sets, .. } = &self.format.content else { return };
        let family = Family::of(self.format.track.codec).unwrap_or(Family::H264);
        let before = self.format.track.clone();
        let Some(reordered) = describe(&mut self.format.track, family, sets) else { return };
        self.described = true;
        self.changed |= self.format.track != before;
        self.decode = DecodeTimes::new(reordered, self.frame_ns());
    }

    fn unit(&self, payload: Vec<u8>, key: bool, corrupt: bool) -> AccessUnit {
        let (pts_ns, dts_ns, duration_ns) = (0, 0, 0);
        AccessUnit { track: self.number, key, corrupt, pts_ns, dts_ns, duration_ns, payload }
    }

    fn date(&mut self, mut unit: AccessUnit, ticks: u32, length_ticks: i64, arrival: Stamp) {
        let ticks = self.unwrapped(ticks);
        self.ticks = Some(ticks);
        if let Some(report) = self.early.take() {
            self.report(report, arrival.mono);
        }
        let pts_ns = self.ns(ticks);
        let step_ns = self.last_ns.map_or(0, |last_ns| pts_ns.saturating_sub(last_ns));
        let jumped = !(-JUMP_BACK_NS..=JUMP_NS).contains(&step_ns);
        if jumped {
            self.forget_times();
        }
        self.last_ns = Some(pts_ns);
        unit.pts_ns = pts_ns;
        unit.dts_ns = if self.is_video() { self.decode.of(pts_ns) } else { pts_ns };
        unit.duration_ns = if length_ticks > 0 { self.ns(length_ticks) } else { self.frame_ns() };
        let (capture, clock) = self.clock.date(pts_ns, arrival);
        let anew = std::mem::take(&mut self.anew);
        self.whole.push(Received { unit, arrival, capture, clock, anew, jumped });
    }

    /// Timestamps count on over the wraps of their 32 bits.
    fn unwrapped(&self, ticks: u32) -> i64 {
        let Some(last) = self.ticks else { return i64::from(ticks) };
        let ahead = i64::from(ticks) - last.rem_euclid(1 << 32);
        last + (ahead + (1 << 31)).rem_euclid(1 << 32) - (1 << 31)
    }

    fn ns(&self, ticks: i64) -> i64 {
        self.format.track.time_base.to_ns(ticks)
    }

    fn frame_ns(&self) -> i64 {
        let (num, den) = self.format.track.frame_rate;
        if num == 0 { 0 } else { TimeBase { num: den, den: num }.to_ns(1) }
    }
}

/// UTC of a stream time by the camera's clock, unproven; for placing tracks beside each other.
pub(crate) fn utc_of(lane: &Lane, stream_ns: i64) -> Option<UtcNs> {
    let utc_ns = stream_ns.checked_add(lane.clock.distance_ns()?)?;
    u64::try_from(utc_ns).ok().map(UtcNs)
}
