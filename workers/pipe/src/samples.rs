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
/// By then the rate is known well enough.
const RATE_AFTER: Duration = Duration::from_secs(5);
/// So often in a row it is another before that is told: a pause looks like it once.
const RATE_TIMES: u32 = 2;
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
    tally: Tally,
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
            line: Line { hz: told.hz, samples, next: None, torn: false },
            gop,
            tally: Tally::default(),
        })
    }

    /// What the command has printed by `now`. The sequence of the newest packet that it completes.
    pub(crate) fn take(&mut self, bytes: &[u8], now: Stamp) -> Result<Option<u64>, Fault> {
        self.tally.took(bytes.len(), self.expected(), now.mono);
        self.rest.extend_from_slice(bytes);
        let mut made = None;
        while self.rest.len() >= self.packet_bytes {
            // What lies behind the packet's begin was heard since then.
            let behind = self.rest.len() / frame_bytes(self.told);
            let capture = earlier(now, span_ns(behind as u64, self.told.hz));
            let packet: Vec<u8> = self.rest.drain(..self.packet_bytes).collect();
            made = self.publish(&packet, capture, now.mono)?.or(made);
        }
        Ok(made)
    }

    /// Why what is printed is not what was said; the same words for as long as it is not.
    pub(crate) fn off(&self) -> Option<String> {
        let (seen, expected) = (self.tally.wrong?, self.expected());
        Some(format!(
            "prints {seen:.0} bytes a second: expected {expected:.0} of {} samples at {} Hz in {} channels; is \
             that what 'sound' says?",
            self.told.samples.as_str(),
            self.told.hz,
            self.told.channels
        ))
    }

    /// Bytes a second.
    fn expected(&self) -> f64 {
        f64::from(self.told.hz) * frame_bytes(self.told) as f64
    }

    pub(crate) fn finish(&mut self) {
        self.ring.finish();
    }

    /// `None`: it was printed faster than it can have been heard, and is left out.
    fn publish(
        &mut self,
        packet: &[u8],
        capture: Stamp,
        now: MonoNs,
    ) -> Result<Option<u64>, Fault> {
        let Some(placed) = self.line.place(capture.mono) else { return Ok(None) };
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
        Ok(Some(self.ring.publish(&meta, &to_s16le(packet, self.told.samples))?))
    }
}

/// How fast bytes come. Pure.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// When this window began; `None` before the first bytes.
    since: Option<MonoNs>,
    bytes: u64,
    /// Windows in a row that were off.
    off: u32,
    /// Bytes a second, where they are not as expected.
    wrong: Option<f64>,
}

impl Tally {
    fn took(&mut self, bytes: usize, expected: f64, now: MonoNs) {
        // What the pipe held before anybody looked came at no rate.
        let Some(since) = self.since else {
            self.since = Some(now);
            return;
        };
        self.bytes += bytes as u64;
        let passed = now.saturating_since(since);
        if passed < RATE_AFTER {
            return;
        }
        let seen = self.bytes as f64 / passed.as_secs_f64();
        (self.since, self.bytes) = (Some(now), 0);
        let is_off = (seen / expected - 1.0).abs() > RATE_OFF;
        self.off = if is_off { self.off.saturating_add(1) } else { 0 };
        self.wrong = (self.off >= RATE_TIMES).then(|| self.wrong.unwrap_or(seen));
    }
}

/// Times of packets, counted by their samples for as long as that is true. Pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    hz: u32,
    /// Of a packet.
    samples: u32,
    /// Time of the line's begin, and samples since.
    next: Option<(i64, u64)>,
    /// Something was left out behind it.
    torn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    pts_ns: i64,
    duration_ns: i64,
    jumps: bool,
}

impl Line {
    /// `None` where the line is farther ahead than a pause: going back to `captured` would repeat times, and
    /// going on would leave the clock behind for good.
    fn place(&mut self, captured: MonoNs) -> Option<Placed> {
        let captured_ns = i64::try_from(captured.0).unwrap_or(i64::MAX);
        let counted_ns =
            |(begin, samples): (i64, u64)| begin.saturating_add(span_ns(samples, self.hz));
        let behind_ns = |next| captured_ns.saturating_sub(counted_ns(next));
        if self.next.is_some_and(|next| behind_ns(next) < -PAUSE_NS) {
            self.torn = true;
            return None;
        }
        let goes_on = self.next.filter(|next| behind_ns(*next) <= PAUSE_NS);
        let (begin_ns, before) = goes_on.unwrap_or((captured_ns, 0));
        let after = before + u64::from(self.samples);
        let jumps = goes_on.is_none() | std::mem::take(&mut self.torn);
        let (pts_ns, end_ns) = (counted_ns((begin_ns, before)), counted_ns((begin_ns, after)));
        self.next = Some((begin_ns, after));
        Some(Placed { pts_ns, duration_ns: end_ns - pts_ns, jumps })
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
        let mut line = Line { hz: 44_100, samples: 882, next: None, torn: false };
        let mut at = |ms: u64| {
            let Placed { pts_ns, jumps, .. } = line.place(MonoNs(ZERO + ms * MS)).unwrap();
            (u64::try_from(pts_ns).unwrap() - ZERO, jumps)
        };
        // What the machine does to arrivals is not heard.
        assert_eq!([at(0), at(35), at(38)], [(0, true), (20 * MS, false), (40 * MS, false)]);
        assert_eq!([at(900), at(920)], [(900 * MS, true), (920 * MS, false)]);
    }

    #[test]
    fn sound_that_comes_faster_than_it_is_heard_is_left_out_and_times_never_go_back() {
        let mut line = Line { hz: 48_000, samples: 960, next: None, torn: false };
        // A second each half of one.
        let captured = (0..2_000u64).map(|number| ZERO + number * 10 * MS);
        let placed: Vec<Placed> = captured.filter_map(|at| line.place(MonoNs(at))).collect();
        let is_in_order = |pair: &[Placed]| pair[0].pts_ns + pair[0].duration_ns <= pair[1].pts_ns;
        assert!(placed.windows(2).all(is_in_order));
        assert!((1_000..1_100).contains(&placed.len()), "{} of 20 s", placed.len());
        let last_ns = placed.last().unwrap().pts_ns.cast_unsigned();
        assert!(last_ns <= ZERO + 20_600 * MS, "{last_ns}");
        assert!(placed.iter().skip(1).any(|it| it.jumps), "what is left out is told");
    }

    #[test]
    fn another_rate_is_told_until_it_is_right_and_an_hour_of_silence_is_none() {
        let (mut tally, mut now_ms) = (Tally::default(), 0);
        let mut took = |seconds: u64, bytes: usize| {
            for _ in 0..seconds * 10 {
                now_ms += 100;
                tally.took(bytes, 1_000.0, MonoNs(now_ms * MS));
            }
            tally.wrong
        };
        assert_eq!(took(30, 100), None);
        assert_eq!(took(1, 0), None);
        let wrong = took(30, 200);
        assert!(wrong.is_some_and(|seen| seen > 1_200.0), "{wrong:?}");
        assert_eq!(took(30, 210), wrong);
        assert_eq!(took(15, 100), None);
        let mut tally = Tally::default();
        let later = (0..100).map(|at| if at < 50 { at } else { at + 36_000 });
        for at in later {
            tally.took(100, 1_000.0, MonoNs(at * 100 * MS));
            assert_eq!(tally.wrong, None, "{at}");
        }
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
