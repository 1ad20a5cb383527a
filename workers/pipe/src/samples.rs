//! Samples into a ring of packets, as PCM of 16 bits.

use std::time::Duration;

use protocol::config::{SampleForm, Samples};
use protocol::control::RingContract;
use protocol::name::ProjectName;
use protocol::stream::{Codec, Track};
use protocol::time::{ClockSource, MonoNs, NS_PER_S, Stamp, TimeBase, UtcNs};
use shmring::{PacketMeta, PacketWriter, clock};
use worker::Fault;

/// A packet is 20 ms, as those of other sound are.
const PACKETS_A_SECOND: u32 = 50;
/// Farther from its place than this sound has paused, and goes on elsewhere.
const PAUSE_NS: i64 = 500_000_000;
/// By then the rate is known well enough to say that it is another.
const RATE_AFTER: Duration = Duration::from_secs(5);
/// Who was silent for so long among it has paused, which is no rate.
const PAUSED_AFTER: Duration = Duration::from_secs(8);
/// Rates that are mistaken for each other differ by more.
const RATE_OFF: f64 = 0.2;

#[derive(Debug)]
pub(crate) struct Sound {
    ring: PacketWriter,
    told: Samples,
    /// Bytes of a packet, as the command prints them.
    packet_bytes: usize,
    /// Less than a packet.
    rest: Vec<u8>,
    line: Line,
    gop: u64,
    rate: Rate,
}

impl Sound {
    pub(crate) fn open(
        project: &ProjectName,
        told: Samples,
        contract: &RingContract,
    ) -> Result<Self, Fault> {
        let ring = PacketWriter::create(project, contract, &[track(told)])?;
        let samples = (told.hz / PACKETS_A_SECOND).max(1);
        let gop = if contract.gop_floor == 0 {
            clock::now().utc.0 / 1_000_000
        } else {
            contract.gop_floor
        };
        Ok(Self {
            ring,
            told,
            packet_bytes: samples as usize * frame_bytes(told),
            rest: Vec::new(),
            line: Line { hz: told.hz, samples, next: None },
            gop,
            rate: Rate::default(),
        })
    }

    /// What the command has printed by `now`. The sequence of the newest packet that it completes.
    pub(crate) fn take(&mut self, bytes: &[u8], now: Stamp) -> Result<Option<u64>, Fault> {
        self.rate.took(bytes.len(), self.told, now.mono);
        self.rest.extend_from_slice(bytes);
        let mut made = None;
        while self.rest.len() >= self.packet_bytes {
            // What lies behind the packet's begin was heard since then.
            let behind = self.rest.len() / frame_bytes(self.told);
            let capture = earlier(now, span_ns(behind as u64, self.told.hz));
            let packet: Vec<u8> = self.rest.drain(..self.packet_bytes).collect();
            made = Some(self.publish(&packet, capture, now.mono)?);
        }
        Ok(made)
    }

    /// Why what is printed is not what was said.
    pub(crate) fn off(&self) -> Option<&str> {
        self.rate.wrong.as_deref()
    }

    pub(crate) fn finish(&mut self) {
        self.ring.finish();
    }

    fn publish(&mut self, packet: &[u8], capture: Stamp, now: MonoNs) -> Result<u64, Fault> {
        let placed = self.line.place(capture.mono);
        let meta = PacketMeta {
            key: true,
            discontinuity: placed.jumps,
            pts_ns: placed.pts_ns,
            dts_ns: placed.pts_ns,
            duration_ns: placed.duration_ns,
            capture,
            clock: ClockSource::Arrival,
            ingest: now,
            gop_index: self.gop,
            ..PacketMeta::default()
        };
        Ok(self.ring.publish(&meta, &to_s16le(packet, self.told.samples))?)
    }
}

/// How fast samples come, some seconds at a time. Pure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rate {
    /// Of these seconds, and when they began.
    bytes: u64,
    since: Option<MonoNs>,
    /// As of the last ones; in the same words for as long as it is wrong.
    wrong: Option<String>,
}

impl Rate {
    fn took(&mut self, bytes: usize, told: Samples, now: MonoNs) {
        let since = *self.since.get_or_insert(now);
        self.bytes += bytes as u64;
        let span = now.saturating_since(since);
        if span < RATE_AFTER {
            return;
        }
        let seen = (span < PAUSED_AFTER).then(|| self.bytes as f64 / span.as_secs_f64());
        (self.bytes, self.since) = (0, Some(now));
        let wrong = seen.and_then(|seen| wrong(seen, told));
        self.wrong = wrong.map(|why| self.wrong.take().unwrap_or(why));
    }
}

/// `seen`: bytes a second.
fn wrong(seen: f64, told: Samples) -> Option<String> {
    let expected = f64::from(told.hz) * frame_bytes(told) as f64;
    let is_off = (seen / expected - 1.0).abs() > RATE_OFF;
    is_off.then(|| {
        format!(
            "prints {seen:.0} bytes a second: expected {expected:.0} of {} samples at {} Hz in {} \
             channels; is that what 'sound' says?",
            told.samples.as_str(),
            told.hz,
            told.channels
        )
    })
}

/// Times of packets, counted by their samples for as long as that is true. Pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    hz: u32,
    /// Of a packet.
    samples: u32,
    /// Time of the line's begin, and samples since.
    next: Option<(i64, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    pts_ns: i64,
    duration_ns: i64,
    jumps: bool,
}

impl Line {
    fn place(&mut self, captured: MonoNs) -> Placed {
        let captured_ns = i64::try_from(captured.0).unwrap_or(i64::MAX);
        let counted_ns =
            |(begin, samples): (i64, u64)| begin.saturating_add(span_ns(samples, self.hz));
        let goes_on = self
            .next
            .filter(|next| captured_ns.saturating_sub(counted_ns(*next)).abs() <= PAUSE_NS);
        let (begin_ns, before) = goes_on.unwrap_or((captured_ns, 0));
        let after = before + u64::from(self.samples);
        let jumps = goes_on.is_none();
        let (pts_ns, end_ns) = (counted_ns((begin_ns, before)), counted_ns((begin_ns, after)));
        self.next = Some((begin_ns, after));
        Placed { pts_ns, duration_ns: end_ns - pts_ns, jumps }
    }
}

fn track(told: Samples) -> Track {
    Track {
        codec: Codec::PcmS16le,
        time_base: TimeBase { num: 1, den: told.hz.max(1) },
        width: 0,
        height: 0,
        sample_rate_hz: told.hz,
        channels: told.channels,
        frame_rate: (0, 1),
        extradata: Vec::new(),
    }
}

/// Of one sample of all channels.
fn frame_bytes(told: Samples) -> usize {
    (told.samples.bytes() * told.channels as usize).max(1)
}

fn span_ns(samples: u64, hz: u32) -> i64 {
    let ns = u128::from(samples) * u128::from(NS_PER_S) / u128::from(hz.max(1));
    i64::try_from(ns).unwrap_or(i64::MAX)
}

fn earlier(now: Stamp, by_ns: i64) -> Stamp {
    let by_ns = by_ns.unsigned_abs();
    let (mono, utc) = (now.mono.0.saturating_sub(by_ns), now.utc.0.saturating_sub(by_ns));
    Stamp { mono: MonoNs(mono), utc: UtcNs(utc) }
}

fn to_s16le(packet: &[u8], form: SampleForm) -> Vec<u8> {
    let fours = packet.as_chunks::<4>().0;
    match form {
        SampleForm::S16le => packet.to_vec(),
        // The upper half.
        SampleForm::S32le => fours.iter().flat_map(|[.., low, high]| [*low, *high]).collect(),
        SampleForm::F32le => {
            let sample = |four: &[u8; 4]| {
                let scaled = (f32::from_le_bytes(*four) * 32_768.0).round();
                #[expect(clippy::cast_possible_truncation, reason = "it ends at the range")]
                let whole = scaled.clamp(-32_768.0, 32_767.0) as i16;
                whole
            };
            fours.iter().flat_map(|four| sample(four).to_le_bytes()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: u64 = 7_000_000_000;
    const MS: u64 = 1_000_000;

    #[test]
    fn times_are_counted_while_sound_goes_on_and_begin_anew_behind_a_pause() {
        let mut line = Line { hz: 44_100, samples: 882, next: None };
        let mut at = |ms: u64| {
            let Placed { pts_ns, jumps, .. } = line.place(MonoNs(ZERO + ms * MS));
            (u64::try_from(pts_ns).unwrap() - ZERO, jumps)
        };
        // What the machine does to arrivals is not heard.
        assert_eq!([at(0), at(35), at(38)], [(0, true), (20 * MS, false), (40 * MS, false)]);
        assert_eq!([at(900), at(920)], [(900 * MS, true), (920 * MS, false)]);
    }

    #[test]
    fn another_rate_is_told_once_and_a_pause_is_none() {
        let told = Samples { hz: 48_000, channels: 1, samples: SampleForm::S16le };
        let mut rate = Rate::default();
        let mut print = |from_s: u64, to_s: u64, bytes: usize| {
            for tenth in from_s * 10..to_s * 10 {
                rate.took(bytes, told, MonoNs(ZERO + tenth * 100 * MS));
            }
            rate.wrong.clone()
        };
        assert_eq!(print(0, 12, 9_600), None);
        let wrong = print(12, 24, 4_800).unwrap();
        assert!(wrong.contains("expected 96000"), "{wrong}");
        assert_eq!(print(24, 36, 4_900), Some(wrong), "it stays as it is");
        assert_eq!(print(36, 48, 9_600), None);
        assert_eq!(print(60, 72, 9_600), None, "it was quiet for a while");
    }

    #[test]
    fn samples_of_other_forms_become_16_bits() {
        assert_eq!(to_s16le(&[1, 2, 3, 4], SampleForm::S16le), [1, 2, 3, 4]);
        assert_eq!(to_s16le(&[1, 2, 3, 4], SampleForm::S32le), [3, 4]);
        let floats = [0.5f32, -2.0, f32::NAN].map(f32::to_le_bytes).concat();
        assert_eq!(to_s16le(&floats, SampleForm::F32le), [0x00, 0x40, 0x00, 0x80, 0, 0]);
    }

    #[test]
    fn a_block_was_heard_before_it_came() {
        let now = Stamp { mono: MonoNs(ZERO), utc: UtcNs(2 * ZERO) };
        let heard = earlier(now, span_ns(960, 48_000));
        assert_eq!((heard.mono.0, heard.utc.0), (ZERO - 20 * MS, 2 * ZERO - 20 * MS));
    }
}
