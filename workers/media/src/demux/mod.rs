//! A file or camera as a sequence of access units in the ring's form.

mod device;
mod input;
mod lane;
mod queue;
mod track;

use std::io::Read;

use ffmpeg_next::{Discard, Packet, format};
use protocol::stream::{TRACKS_MAX, Track};

use crate::error::MediaError;
use crate::raw;
use lane::{Described, Lane};
use queue::Queue;

pub(crate) use input::Alarm;
pub use input::{Input, Interrupt};

/// Damaged packets in a row after which a source is given up: some demuxers stay at the same place.
const DAMAGED_MAX: u32 = 1000;
/// Codec headers of all tracks together: a ring describes 60 KiB, and real ones have less than one.
const HEADERS_MAX_BYTES: usize = 56 << 10;

/// One picture or audio frame, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Index into [`Demuxer::tracks`].
    pub track: u32,
    pub key: bool,
    pub corrupt: bool,
    /// Stream times; they start anywhere and may jump, as the source's do.
    pub pts_ns: i64,
    pub dts_ns: i64,
    /// 0 when the source does not say and no frame rate is known.
    pub duration_ns: i64,
    pub payload: Vec<u8>,
}

/// An open source.
pub struct Demuxer {
    input: format::context::Input,
    alarm: Alarm,
    /// For messages: without credentials.
    name: String,
    /// By FFmpeg's stream index; `None` for a stream that is not carried.
    lanes: Vec<Option<Lane>>,
    tracks: Vec<Track>,
    tracks_version: u64,
    /// Units already read and not yet given out.
    pending: Queue,
    nature: Nature,
}

/// What a source is by its form, whatever is in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nature {
    /// It tells no times: those of its units are counted, at a rate that is guessed.
    pub is_untimed: bool,
    /// It comes as fast as it is read: a file on a server, or segments of a playlist.
    pub is_stored: bool,
}

impl Demuxer {
    /// Connects and reads until every track is known. `interrupt` is asked many times a second
    /// while FFmpeg waits, here and in [`Self::read`]; once it says true, the call ends with an
    /// error and this demuxer is of no more use.
    pub fn open(source: &Input, interrupt: Interrupt) -> Result<Self, MediaError> {
        crate::init();
        let name = source.name();
        let alarm = Alarm::default();
        let input = source.open(&alarm, interrupt)?;
        Self::over(input, alarm, name)
    }

    /// As [`Self::open`], of bytes that come by themselves, in the form that FFmpeg calls `form`. A read that
    /// brings nothing has to end soon, as interrupted: it is tried again as long as `interrupt` says false.
    pub fn open_bytes(
        bytes: impl Read + Send + 'static,
        form: &str,
        name: &str,
        interrupt: Interrupt,
    ) -> Result<Self, MediaError> {
        crate::init();
        let alarm = Alarm::default();
        let input = input::open_bytes(bytes, form, name, &alarm, interrupt)?;
        Self::over(input, alarm, name.to_owned())
    }

    fn over(input: format::context::Input, alarm: Alarm, name: String) -> Result<Self, MediaError> {
        let mut demuxer = Self {
            nature: raw::nature(&input),
            input,
            alarm,
            name,
            lanes: Vec::new(),
            tracks: Vec::new(),
            tracks_version: 0,
            pending: Queue::default(),
        };
        demuxer.choose_tracks()?;
        Ok(demuxer)
    }

    pub fn nature(&self) -> Nature {
        self.nature
    }

    /// Goes on with the key frame at or before `at_ns` from the beginning.
    ///
    /// # Errors
    ///
    /// [`MediaError::Other`] where there is none, or the form cannot be sought in.
    pub fn seek(&mut self, at_ns: i64) -> Result<(), MediaError> {
        // FFmpeg counts µs, from where the first track begins.
        let at_us = raw::start_us(&self.input).saturating_add(at_ns / 1_000);
        self.input
            .seek(at_us, ..at_us)
            .map_err(|source| MediaError::of(&self.name, "going to the start time", source))
    }

    /// The next access unit in the order of the file or network; `None` at the end.
    pub fn read(&mut self) -> Result<Option<AccessUnit>, MediaError> {
        let mut damaged = 0;
        loop {
            if let Some(unit) = self.pending.pop() {
                return Ok(Some(unit));
            }
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) => self.take(packet)?,
                Err(_) if self.alarm.is_raised() => {
                    let stopped = ffmpeg_next::Error::Exit;
                    return Err(MediaError::of(&self.name, "reading", stopped));
                }
                Err(ffmpeg_next::Error::Eof) => {
                    self.pending.settle();
                    return Ok(self.pending.pop());
                }
                // One damaged packet; the demuxer finds its way behind it.
                Err(ffmpeg_next::Error::InvalidData) if damaged < DAMAGED_MAX => damaged += 1,
                Err(error) => return Err(MediaError::of(&self.name, "reading", error)),
            }
        }
    }

    /// The tracks carried, at most [`TRACKS_MAX`]: video, then audio, in the source's order.
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Rises when [`Self::tracks`] changed: parameter sets that were unknown or other ones.
    pub fn tracks_version(&self) -> u64 {
        self.tracks_version
    }

    /// Opens a lane for every stream the ring can carry, video before the rest: a packet ring's
    /// key packets are those of its track 0.
    fn choose_tracks(&mut self) -> Result<(), MediaError> {
        let mut order: Vec<(bool, usize)> = (self.input.streams())
            .map(|stream| (!track::is_video(&stream), stream.index()))
            .collect();
        order.sort_unstable();
        self.lanes.resize_with(order.len(), || None);
        let mut seen = Vec::new();
        for (_, index) in order {
            seen.extend(self.open_lane(index)?);
        }
        if self.tracks.is_empty() {
            let seen = if seen.is_empty() { "no streams".to_owned() } else { seen.join(", ") };
            return Err(MediaError::NoTracks { input: self.name.clone(), seen });
        }
        Ok(())
    }

    /// Answers the stream in words.
    fn open_lane(&mut self, index: usize) -> Result<Option<String>, MediaError> {
        let Some(mut stream) = self.input.stream_mut(index) else {
            return Ok(None);
        };
        let number = self.tracks.len();
        let in_words = track::describe(&stream);
        match Lane::open(&stream, number, &self.name)?.filter(|_| number < TRACKS_MAX) {
            Some((_, track)) if !has_room(&self.tracks, None, &track.extradata) => {
                track::set_discard(&mut stream, Discard::All);
                let bytes = track.extradata.len();
                tracing::warn!("{}: {in_words} is left out: {bytes} bytes of headers", self.name);
                return Ok(Some(format!("{in_words} with {bytes} bytes of headers")));
            }
            Some((lane, track)) => {
                self.tracks.push(track);
                self.lanes[index] = Some(lane);
            }
            None => track::set_discard(&mut stream, Discard::All),
        }
        Ok(Some(in_words))
    }

    fn take(&mut self, packet: Packet) -> Result<(), MediaError> {
        // RTSP servers and TS files may add streams later; those have no lane.
        let Some(Some(lane)) = self.lanes.get_mut(packet.stream()) else {
            return Ok(());
        };
        let number = lane.track_number();
        let change = lane.take(packet, &mut self.pending).map_err(|source| {
            MediaError::of(&self.name, "converting to the ring's form", source)
        })?;
        let change = change.filter(|new| has_room(&self.tracks, Some(number), &new.extradata));
        if let (Some(Described { extradata, size }), Some(track)) =
            (change, self.tracks.get_mut(number))
        {
            let before = (track.width, track.height);
            // FFmpeg tells the size that it saw at first.
            (track.width, track.height) = size.unwrap_or(before);
            if track.extradata != extradata || (track.width, track.height) != before {
                track.extradata = extradata;
                self.tracks_version += 1;
            }
        }
        Ok(())
    }
}

/// Whether a ring can describe the tracks with these headers: of another one, or of the one with that number.
fn has_room(tracks: &[Track], number: Option<usize>, headers: &[u8]) -> bool {
    let others = tracks.iter().enumerate().filter(|(at, _)| Some(*at) != number);
    let bytes: usize = others.map(|(_, track)| track.extradata.len()).sum();
    bytes.saturating_add(headers.len()) <= HEADERS_MAX_BYTES
}

impl std::fmt::Debug for Demuxer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demuxer")
            .field("name", &self.name)
            .field("tracks", &self.tracks)
            .finish_non_exhaustive()
    }
}
