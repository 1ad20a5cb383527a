//! Fragments into bytes, on the timeline of one file.
//!
//! The file's time zero is the earliest picture or sound of its first fragment. Decode times are the
//! ring's dts from there on, moved up where B-pictures would make them negative; an edit list takes
//! that lead off again, so that every file starts at zero. (Signed composition offsets would do it
//! without an edit list, but FFmpeg 5.1 then shows the picture that much later than the sound.)
//! Every tick is rounded from the absolute time, so rounding never adds up.

use mp4_atom::{Encode, Mfhd, Moof, Tfdt, Tfhd, Traf, Trun, TrunEntry};

use crate::error::Error;
use crate::fragment::{Fragment, NextDecode, Sample};
use crate::framing::Piece;
use crate::movie::{FLAGS_DEPENDS, FLAGS_SYNC, Movie, MovieTrack};
use crate::origin::CRC_BYTES;

const BOX_HEADER_BYTES: usize = 8;

/// Writes the fragments of one file, in order.
#[derive(Debug)]
pub struct Muxer {
    movie: Movie,
    clocks: Vec<Clock>,
    /// Presentation time that is zero in the file.
    origin_ns: i64,
    fragments: u32,
}

/// A track's place on the timeline. Ticks never go backwards: `last_tick <= next tick`.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// Decode time that is zero in the file: `origin_ns`, or the first dts where that is earlier.
    zero_ns: i64,
    last_tick: i64,
}

/// The samples of one track in one fragment.
struct Run<'a> {
    track: &'a MovieTrack,
    first_tick: i64,
    entries: Vec<TrunEntry>,
    /// Pieces of the samples, one after the other.
    pieces: Vec<Piece<'a>>,
    bytes: usize,
}

impl Muxer {
    /// Begins a file whose first fragment will be `first`.
    pub fn new(movie: Movie, first: &Fragment) -> Self {
        let origin_ns = first.samples().iter().map(|sample| sample.pts_ns).min().unwrap_or(0);
        let clock = |track: &MovieTrack| {
            let of_track = first.samples().iter().find(|sample| sample.track == track.index);
            let zero_ns = of_track.map_or(origin_ns, |sample| sample.dts_ns.min(origin_ns));
            Clock { zero_ns, last_tick: 0 }
        };
        let clocks = movie.tracks().iter().map(clock).collect();
        Self { movie, clocks, origin_ns, fragments: 0 }
    }

    /// Begins a stream that many may join anywhere: its times count from `zero_ns`, which no time of it lies
    /// before. Two that begin with different fragments of a stream write the same tracks and times.
    pub fn since(movie: Movie, zero_ns: i64) -> Self {
        let clocks = vec![Clock { zero_ns, last_tick: 0 }; movie.tracks().len()];
        Self { movie, clocks, origin_ns: zero_ns, fragments: 0 }
    }

    pub fn movie(&self) -> &Movie {
        &self.movie
    }

    /// The file's first bytes: `ftyp` and `moov`.
    pub fn init_segment(&self) -> Result<Vec<u8>, Error> {
        let tracks = self.movie.tracks().iter().zip(&self.clocks);
        let lead = |index| {
            let (track, clock) = tracks.clone().find(|(track, _)| track.index == index)?;
            u64::try_from(track.base.from_ns(self.origin_ns.saturating_sub(clock.zero_ns))).ok()
        };
        self.movie.init_segment(|index| lead(index).unwrap_or(0))
    }

    /// The fragment's `uuid`, `moof` and `mdat`, ready to be written at once. `next` is the packet
    /// that follows, when there is one.
    pub fn write(
        &mut self,
        fragment: &Fragment,
        next: Option<NextDecode>,
    ) -> Result<Vec<u8>, Error> {
        self.fragments += 1;
        let tracks = self.movie.tracks().iter().zip(&mut self.clocks);
        let runs: Vec<Run<'_>> =
            tracks.filter_map(|(track, clock)| run(track, clock, fragment, next)).collect();
        assemble(fragment, &runs, self.fragments)
    }
}

/// `None` when the fragment has no sample of this track.
fn run<'a>(
    track: &'a MovieTrack,
    clock: &mut Clock,
    fragment: &'a Fragment,
    next: Option<NextDecode>,
) -> Option<Run<'a>> {
    let of_track = |sample: &&Sample| sample.track == track.index;
    let samples: Vec<&Sample> = fragment.samples().iter().filter(of_track).collect();
    let last = *samples.last()?;
    let zero_ns = clock.zero_ns;
    let to_tick = |ns: i64| track.base.from_ns(ns.saturating_sub(zero_ns));
    let mut ticks = Vec::with_capacity(samples.len() + 1);
    for sample in &samples {
        clock.last_tick = to_tick(sample.dts_ns).max(clock.last_tick);
        ticks.push(clock.last_tick);
    }
    let end_tick = match next.filter(|next| next.track == track.index) {
        Some(next) => to_tick(next.dts_ns),
        None => clock.last_tick.saturating_add(nominal_ticks(track, last)),
    };
    ticks.push(end_tick.max(clock.last_tick));
    let shown = samples.iter().map(|sample| to_tick(sample.pts_ns));
    let offsets: Vec<i64> =
        shown.zip(&ticks).map(|(shown, tick)| shown.saturating_sub(*tick)).collect();
    Some(Run::new(track, &samples, &ticks, &offsets))
}

fn nominal_ticks(track: &MovieTrack, last: &Sample) -> i64 {
    let ns = if last.duration_ns > 0 { last.duration_ns } else { track.nominal_ns };
    track.base.from_ns(ns)
}

impl<'a> Run<'a> {
    /// `ticks` are the decode times of the samples and the end of the last one; `offsets` lead from
    /// there to presentation.
    fn new(track: &'a MovieTrack, samples: &[&'a Sample], ticks: &[i64], offsets: &[i64]) -> Self {
        let first_tick = ticks[0];
        let mut run = Self { track, first_tick, entries: Vec::new(), pieces: Vec::new(), bytes: 0 };
        let shown_when_decoded = offsets.iter().all(|&offset| offset == 0);
        for ((sample, span), offset) in samples.iter().zip(ticks.windows(2)).zip(offsets) {
            let size = run.add_pieces(sample);
            let offset = (*offset).clamp(i32::MIN.into(), i32::MAX.into());
            run.bytes += size;
            run.entries.push(TrunEntry {
                duration: Some(u32::try_from(span[1] - span[0]).unwrap_or(u32::MAX)),
                size: Some(u32::try_from(size).unwrap_or(u32::MAX)),
                flags: None,
                cts: (!shown_when_decoded).then_some(offset),
            });
        }
        run.flag_keys(samples);
        run
    }

    /// Bytes the sample takes in the file.
    fn add_pieces(&mut self, sample: &'a Sample) -> usize {
        let begin = self.pieces.len();
        self.track.framing.pieces(sample, &mut self.pieces);
        self.pieces[begin..].iter().map(Piece::bytes).sum()
    }

    /// Audio and non-key pictures are as the `trex` box says; only what differs is written.
    fn flag_keys(&mut self, samples: &[&Sample]) {
        if !self.track.is_video {
            return;
        }
        let keys: Vec<bool> =
            samples.iter().map(|sample| self.track.framing.is_key(sample)).collect();
        let count = keys.iter().filter(|&&key| key).count();
        if count == 0 {
            return;
        }
        // Flags for the first sample alone take four bytes; for any other pattern all have them.
        let first_alone = count == 1 && keys[0];
        for (entry, key) in self.entries.iter_mut().zip(keys) {
            let flags = if key { FLAGS_SYNC } else { FLAGS_DEPENDS };
            entry.flags = (key || !first_alone).then_some(flags);
        }
    }
}

fn assemble(fragment: &Fragment, runs: &[Run<'_>], number: u32) -> Result<Vec<u8>, Error> {
    let mdat_bytes = BOX_HEADER_BYTES + runs.iter().map(|run| run.bytes).sum::<usize>();
    // The length of a moof does not depend on the offsets in it: the first pass finds it.
    let mut head = Vec::new();
    moof(runs, number, 0).encode(&mut head)?;
    let moof_bytes = head.len();
    let mut bytes = fragment.origin().encode();
    let crc_at = bytes.len();
    let total = crc_at + CRC_BYTES + moof_bytes + mdat_bytes;
    if i32::try_from(total).is_err() {
        return Err(Error::TooLarge { bytes: total });
    }
    bytes.reserve_exact(total - crc_at);
    bytes.extend([0; CRC_BYTES]);
    moof(runs, number, moof_bytes + BOX_HEADER_BYTES).encode(&mut bytes)?;
    bytes.extend(u32::try_from(mdat_bytes).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend(b"mdat");
    for piece in runs.iter().flat_map(|run| &run.pieces) {
        piece.write(&mut bytes);
    }
    let crc = checksum(&bytes[..crc_at], &bytes[crc_at + CRC_BYTES..]);
    bytes[crc_at..crc_at + CRC_BYTES].copy_from_slice(&crc.to_be_bytes());
    Ok(bytes)
}

/// CRC-32 (IEEE) of a fragment: everything but the checksum itself.
pub(crate) fn checksum(before: &[u8], after: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(before);
    hasher.update(after);
    hasher.finalize()
}

/// `data_at`: bytes from the moof's start to the first sample.
fn moof(runs: &[Run<'_>], number: u32, data_at: usize) -> Moof {
    let mut at = data_at;
    let traf = runs.iter().map(|run| {
        let data_offset = i32::try_from(at).ok();
        at += run.bytes;
        Traf {
            tfhd: Tfhd {
                track_id: run.track.index + 1,
                default_base_is_moof: true,
                ..Tfhd::default()
            },
            tfdt: Some(Tfdt { base_media_decode_time: u64::try_from(run.first_tick).unwrap_or(0) }),
            trun: vec![Trun { data_offset, samples: run.entries.clone().into() }],
            ..Traf::default()
        }
    });
    Moof { mfhd: Mfhd { sequence_number: number }, traf: traf.collect() }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use protocol::time::UtcNs;

    use super::*;
    use crate::movie::tests::{aac, h264};
    use crate::{OriginFlags, read_init, scan};

    #[test]
    fn who_joins_a_stream_later_writes_the_same_tracks_and_times() {
        let ring = "cam1.packets".parse().unwrap();
        let picture = |sequence: u64| {
            let dts_ns = i64::try_from(sequence).unwrap() * 40_000_000 - 80_000_000;
            let flags = OriginFlags::default();
            let mut fragment = Fragment::new(&ring, 1, sequence, UtcNs(0), flags);
            let payload = vec![0, 0, 1, 0x65, 1];
            let pts_ns = dts_ns + 80_000_000;
            fragment.push(Sample { key: true, pts_ns, dts_ns, payload, ..Sample::default() });
            fragment
        };
        let muxer = || Muxer::since(Movie::new(&[h264()]).0, -10_000_000_000);
        let (mut early, mut late) = (muxer(), muxer());
        let init = early.init_segment().unwrap();
        assert_eq!(init, late.init_segment().unwrap());
        let read = read_init(&mut Cursor::new(&init)).unwrap().unwrap();
        assert_eq!(read.tracks[0].lead_ticks, 0, "times are those of the stream, without an edit");
        early.write(&picture(0), None).unwrap();
        early.write(&picture(1), None).unwrap();
        let times = |muxer: &mut Muxer| {
            let bytes = [init.clone(), muxer.write(&picture(2), None).unwrap()].concat();
            scan(&mut Cursor::new(&bytes)).unwrap().fragments[0].samples.clone()
        };
        let of_late = times(&mut late);
        assert_eq!(times(&mut early), of_late);
        assert_eq!(of_late[0].decode_ticks, 10 * 90_000);
    }

    proptest! {
        /// The ring's writer is another process: its times may be anything.
        #[test]
        fn any_times_give_a_file_that_reads_back(
            times in proptest::collection::vec((0u32..2, any::<i64>(), any::<i64>(), any::<i64>()), 1..20),
            rate_hz in 1u32..,
        ) {
            let mut sound = aac();
            sound.sample_rate_hz = rate_hz;
            let (movie, _) = Movie::new(&[h264(), sound]);
            let ring = "cam1.packets".parse().unwrap();
            let mut fragment = Fragment::new(&ring, 1, 1, UtcNs(0), OriginFlags::default());
            for &(track, pts_ns, dts_ns, duration_ns) in &times {
                let payload = vec![0, 0, 1, 0x41, 1];
                fragment.push(Sample { track, key: false, pts_ns, dts_ns, duration_ns, payload });
            }
            let next = NextDecode { track: 0, dts_ns: times[0].1 };
            let mut muxer = Muxer::new(movie, &fragment);
            let mut bytes = muxer.init_segment().unwrap();
            bytes.extend(muxer.write(&fragment, Some(next)).unwrap());
            let found = scan(&mut Cursor::new(&bytes)).unwrap();
            prop_assert_eq!(found.damage, None);
            prop_assert_eq!(found.fragments[0].samples.len(), times.len());
        }
    }
}
