//! A cut at any picture: what is shown from the first instant to the last, encoded anew. Sound is copied,
//! its packets are short.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use media::{AccessUnit, Decoder, DecoderOptions, Muxer, NoMemory, Picture, Reencoder};
use protocol::stream::Track;
use protocol::time::UtcNs;
use protocol::verb::ExportFormat;
use recordings::cut::{Footage, Part};
use recordings::{Range, Sample};

use crate::error::ExportError;
use crate::remux::{container, position, unit};
use crate::watch::Watch;

const OPTIONS: DecoderOptions = DecoderOptions { threads: 1, max_pixels: u32::MAX };

/// What was written, on the camera's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) zero_ns: i64,
    pub(crate) end_ns: i64,
}

/// Writes what a part shows of the range to `path`. `None`, and no file, when that is nothing.
pub(crate) fn cut(
    footage: &Footage,
    part: &Part,
    format: ExportFormat,
    path: &Path,
    watch: &Watch,
) -> Result<Option<Cut>, ExportError> {
    let mut cutter = Cutter::open(footage, part, format, path)?;
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
    /// The pictures' track, when there is one.
    video: Option<(u32, Decoder)>,
    /// Durations of pictures that are in the decoder, by the time they are shown at.
    durations_ns: BTreeMap<i64, i64>,
    encoder: Option<Reencoder>,
    muxer: Option<Muxer>,
    /// Sound that came before the first picture was out.
    waiting: VecDeque<AccessUnit>,
    cut: Option<Cut>,
}

impl<'a> Cutter<'a> {
    fn open(
        footage: &'a Footage,
        part: &'a Part,
        format: ExportFormat,
        path: &'a Path,
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
            video,
            durations_ns: BTreeMap::new(),
            encoder: None,
            muxer: None,
            waiting: VecDeque::new(),
            cut: None,
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
        let cut = self.cut.get_or_insert(Cut { zero_ns: pts_ns, end_ns: pts_ns });
        let zero_ns = cut.zero_ns;
        cut.end_ns = cut.end_ns.max(pts_ns.saturating_add(duration_ns));
        let encoder = match self.encoder.take() {
            Some(encoder) => self.encoder.insert(encoder),
            None => self.encoder.insert(Reencoder::open(picture)?),
        };
        let mut unit = encoder.encode(picture, pts_ns.saturating_sub(zero_ns), duration_ns)?;
        let track = encoder.track();
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
        if let Some(muxer) = self.muxer {
            muxer.finish()?;
        }
        Ok(self.cut)
    }
}

fn from_zero(unit: AccessUnit, zero_ns: i64) -> AccessUnit {
    AccessUnit {
        pts_ns: unit.pts_ns.saturating_sub(zero_ns),
        dts_ns: unit.dts_ns.saturating_sub(zero_ns),
        ..unit
    }
}
