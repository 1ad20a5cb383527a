//! A cut at any picture: what is shown from the first instant to the last, encoded anew. Sound is copied,
//! its packets are short.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use media::{
    AccessUnit, Decoder, DecoderOptions, Filler, MediaError, Muxer, NoMemory, Picture, Reencoder,
};
use protocol::stream::Track;
use protocol::time::UtcNs;
use protocol::verb::{ExportFormat, ExportGaps};
use recordings::cut::{Footage, Part};
use recordings::{Range, Sample};

use crate::error::ExportError;
use crate::remux::{container, position, unit};
use crate::watch::Watch;

const OPTIONS: DecoderOptions = DecoderOptions { threads: 1, max_pixels: u32::MAX };
/// From one picture to the next where the recording does not say: 25 a second.
const UNKNOWN_PICTURE_NS: i64 = 40_000_000;
/// From 240 pictures a second to one: what else is said is no pace.
const PICTURES_NS: std::ops::RangeInclusive<i64> = 4_000_000..=1_000_000_000;

/// What was written, on the camera's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) zero_ns: i64,
    pub(crate) end_ns: i64,
}

/// Writes what a part, the one with this index, shows of the range to `path`. `None`, and no file, when that
/// is nothing.
pub(crate) fn cut(
    footage: &Footage,
    at: usize,
    format: ExportFormat,
    gaps: ExportGaps,
    path: &Path,
    watch: &Watch,
) -> Result<Option<Cut>, ExportError> {
    let part = &footage.parts[at];
    let mut cutter = Cutter::open(footage, part, format, path, watch)?;
    cutter.filling = Filling::of(footage, at, gaps);
    let mut samples = footage.timeline.samples();
    while let Some(sample) = samples.next() {
        let sample = sample.map_err(ExportError::recording(&footage.camera))?;
        if !part.holds(&sample) {
            continue;
        }
        watch.go_on()?;
        if let Some(track) = position(part, sample.track) {
            let unit = unit(footage, &mut samples, &sample, track, 0)?;
            cutter.take(&sample, unit)?;
        }
        watch.did(sample.bytes.into());
    }
    cutter.finish()
}

struct Cutter<'a> {
    footage: &'a Footage,
    part: &'a Part,
    format: ExportFormat,
    path: &'a Path,
    watch: &'a Watch,
    filling: Option<Filling>,
    /// The pictures' track, when there is one.
    video: Option<(u32, Decoder)>,
    /// Durations of pictures that are in the decoder, by the time they are shown at.
    durations_ns: BTreeMap<i64, i64>,
    encoder: Option<Reencoder>,
    muxer: Option<Muxer>,
    /// Sound that came before the first picture was out.
    waiting: VecDeque<AccessUnit>,
    cut: Option<Cut>,
    /// When the last picture ends; before the first one, where pictures begin.
    shown_ns: i64,
}

impl<'a> Cutter<'a> {
    fn open(
        footage: &'a Footage,
        part: &'a Part,
        format: ExportFormat,
        path: &'a Path,
        watch: &'a Watch,
    ) -> Result<Self, ExportError> {
        let mut video = None;
        if let Some((track, stream)) = part.streams.iter().find(|(_, of)| of.codec.is_video()) {
            video = Some((*track, Decoder::open(stream, &OPTIONS, NoMemory::shared())?));
        }
        Ok(Self {
            footage,
            part,
            format,
            path,
            watch,
            filling: None,
            video,
            durations_ns: BTreeMap::new(),
            encoder: None,
            muxer: None,
            waiting: VecDeque::new(),
            cut: None,
            shown_ns: i64::MAX,
        })
    }

    fn take(&mut self, sample: &Sample, unit: AccessUnit) -> Result<(), ExportError> {
        match &mut self.video {
            Some((track, decoder)) if *track == sample.track => {
                self.durations_ns.insert(sample.pts_ns, sample.duration_ns);
                // What cannot be decoded is not shown; the pictures behind it are.
                let _ = decoder.send(&unit.payload, sample.pts_ns.cast_unsigned());
                self.drain()
            }
            Some(_) | None => self.sound(unit),
        }
    }

    /// Pictures that the decoder has ready.
    fn drain(&mut self) -> Result<(), ExportError> {
        while let Some((_, decoder)) = &mut self.video {
            match decoder.receive() {
                Ok(Some(picture)) => self.picture(&picture)?,
                Ok(None) | Err(_) => break,
            }
        }
        Ok(())
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), ExportError> {
        let pts_ns = picture.token.cast_signed();
        let duration_ns = self.durations_ns.remove(&pts_ns).unwrap_or(0);
        if !self.is_wanted(pts_ns, duration_ns) {
            return Ok(());
        }
        if self.encoder.is_none() {
            self.encoder = Some(Reencoder::open(picture)?);
        }
        let begin_ns = self.filling.and_then(|filling| filling.begin_ns).unwrap_or(pts_ns);
        if let Some(filling) = &mut self.filling {
            let known = Some(duration_ns).filter(|ns| PICTURES_NS.contains(ns));
            filling.step_ns = filling.step_ns.or(known);
        }
        if self.cut.is_none() {
            let zero_ns = begin_ns.min(pts_ns);
            self.cut = Some(Cut { zero_ns, end_ns: zero_ns });
            self.shown_ns = zero_ns;
        }
        self.fill_to(pts_ns)?;
        let zero_ns = self.zero_ns();
        let at_ns = pts_ns.saturating_sub(zero_ns);
        self.show(|encoder| encoder.encode(picture, at_ns, duration_ns), pts_ns, duration_ns)
    }

    /// Shows something until that instant, when nothing is shown before it.
    fn fill_to(&mut self, until_ns: i64) -> Result<(), ExportError> {
        let Some(Filling { with, step_ns, .. }) = self.filling else { return Ok(()) };
        let step_ns = step_ns.unwrap_or(UNKNOWN_PICTURE_NS);
        // Times are rounded, and clocks of arrival known to some ms: half a picture is no gap.
        while until_ns.saturating_sub(self.shown_ns) > step_ns / 2 {
            self.watch.go_on()?;
            let lasts_ns = step_ns.min(until_ns.saturating_sub(self.shown_ns));
            let at_ns = self.shown_ns.saturating_sub(self.zero_ns());
            self.show(|encoder| encoder.fill(with, at_ns, lasts_ns), self.shown_ns, lasts_ns)?;
        }
        Ok(())
    }

    fn zero_ns(&self) -> i64 {
        self.cut.map_or(0, |cut| cut.zero_ns)
    }

    /// Writes a picture that is shown from that instant on, so long.
    fn show(
        &mut self,
        encode: impl FnOnce(&mut Reencoder) -> Result<AccessUnit, MediaError>,
        pts_ns: i64,
        duration_ns: i64,
    ) -> Result<(), ExportError> {
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        let mut unit = encode(encoder)?;
        let track = encoder.track();
        self.shown_ns = pts_ns.saturating_add(duration_ns);
        if let Some(cut) = &mut self.cut {
            cut.end_ns = cut.end_ns.max(self.shown_ns);
        }
        unit.track = self.video_position();
        self.write(unit, Some(track))
    }

    /// A sound is wanted when it begins inside; before there is a picture it waits.
    fn sound(&mut self, unit: AccessUnit) -> Result<(), ExportError> {
        if !self.is_wanted(unit.pts_ns, 0) {
            return Ok(());
        }
        if self.video.is_some() && self.cut.is_none() {
            self.waiting.push_back(unit);
            return Ok(());
        }
        let (begin_ns, end_ns) = (unit.pts_ns, unit.pts_ns.saturating_add(unit.duration_ns));
        let cut = self.cut.get_or_insert(Cut { zero_ns: begin_ns, end_ns });
        cut.end_ns = cut.end_ns.max(end_ns);
        let unit = from_zero(unit, cut.zero_ns);
        self.write(unit, None)
    }

    fn write(&mut self, unit: AccessUnit, video: Option<Track>) -> Result<(), ExportError> {
        let muxer = match self.muxer.take() {
            Some(muxer) => self.muxer.insert(muxer),
            None => {
                let tracks = self.tracks(video.as_ref());
                let muxer = Muxer::create(self.path, container(self.format), &tracks)?;
                self.muxer.insert(muxer)
            }
        };
        muxer.write(&unit)?;
        let zero_ns = self.cut.map_or(0, |cut| cut.zero_ns);
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.pts_ns >= zero_ns {
                muxer.write(&from_zero(waiting, zero_ns))?;
            }
        }
        Ok(())
    }

    fn tracks(&self, video: Option<&Track>) -> Vec<Track> {
        let own = |(_, stream): &(u32, Track)| match video {
            Some(encoded) if stream.codec.is_video() => encoded.clone(),
            _ => stream.clone(),
        };
        self.part.streams.iter().map(own).collect()
    }

    fn video_position(&self) -> u32 {
        let track = self.video.as_ref().map(|(track, _)| *track);
        track.and_then(|track| position(self.part, track)).unwrap_or(0)
    }

    /// Whether it is shown at some instant of the range.
    fn is_wanted(&self, pts_ns: i64, duration_ns: i64) -> bool {
        let Range { from, to } = self.footage.timeline.range;
        let UtcNs(begin) = self.footage.clock.utc(pts_ns);
        let end = begin.saturating_add(u64::try_from(duration_ns).unwrap_or(0));
        begin < to.0 && (begin >= from.0 || end > from.0)
    }

    fn finish(mut self) -> Result<Option<Cut>, ExportError> {
        if let Some((_, decoder)) = &mut self.video {
            decoder.finish()?;
        }
        self.drain()?;
        if let Some(end_ns) = self.filling.and_then(|filling| filling.end_ns) {
            self.fill_to(end_ns)?;
        }
        if let Some(muxer) = self.muxer {
            muxer.finish()?;
        }
        Ok(self.cut)
    }
}

/// What is shown where nothing was recorded, on the camera's timeline.
#[derive(Clone, Copy, Debug)]
struct Filling {
    with: Filler,
    /// From one picture to the next; `None` before the first.
    step_ns: Option<i64>,
    /// The range's own begin, for the first part.
    begin_ns: Option<i64>,
    end_ns: Option<i64>,
}

impl Filling {
    fn of(footage: &Footage, at: usize, gaps: ExportGaps) -> Option<Self> {
        let with = match gaps {
            ExportGaps::Leave => return None,
            ExportGaps::Black => Filler::Black,
            ExportGaps::Hold => Filler::Held,
        };
        let (clock, range) = (&footage.clock, footage.timeline.range);
        // Between two parts the one before goes on.
        let end = footage.parts.get(at + 1).map(|next| next.zero_ns);
        Some(Self {
            with,
            step_ns: None,
            begin_ns: (at == 0).then(|| clock.pts_ns(range.from)),
            end_ns: Some(end.unwrap_or_else(|| clock.pts_ns(range.to))),
        })
    }
}

fn from_zero(unit: AccessUnit, zero_ns: i64) -> AccessUnit {
    AccessUnit {
        pts_ns: unit.pts_ns.saturating_sub(zero_ns),
        dts_ns: unit.dts_ns.saturating_sub(zero_ns),
        ..unit
    }
}
