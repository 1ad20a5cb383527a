//! Packets into fragments. Pure, but for the numbers of stretches, which outlive it (`numbers`).
//!
//! A fragment is made when its picture comes, with the sounds since the one before: a viewer waits for nothing. Sound
//! that no picture follows (slow cameras, none at all) makes one by itself after a tenth of a second.
//!
//! A sound track is told of only while sound comes: a player that was promised some shows no picture without it. So the
//! first pictures of an epoch are held back until a sound is heard, or until they last a second without one. Sound that
//! begins or ends later is told at the next key frame.
//!
//! What is made depends on the packets alone, not on where reading began: every web worker, and one that was
//! restarted, gives viewers the same names, times and bytes from the same ring (but for the number in `mfhd`, which
//! players ignore).

use std::sync::Arc;

use fmp4::{Fragment, Movie, Muxer, NextDecode, OriginFlags, Sample, carries, codecs, described};
use protocol::name::RingName;
use protocol::stream::Track;
use protocol::time::{ClockSource, MonoNs};
use shmring::{Packet, PacketMeta};

use super::ears::Ears;
use super::numbers::Numbers;
use super::pace::Pace;
use super::unit::{Init, Run, Unit, ZERO_NS};
use crate::playback::transfer::sum;

/// Sound is sent after this long though no picture came.
const SOUND_NS: i64 = 100_000_000;
/// Most packets that wait until it is known whether sound comes with them.
const HELD_MAX: usize = 500;
/// Times may step back this far (jitter of a camera's clock); farther, they are another stretch.
const BACK_MAX_NS: i64 = 1_000_000_000;
/// So much is missing of no stretch: players of lists would wait for it, were they not told to go on.
const AHEAD_MAX_NS: i64 = 60_000_000_000;

/// The track whose key frames begin everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Picture(u32),
    /// Each packet of it is a begin.
    Sound(u32),
}

/// Makes fragments of one camera's packets.
#[derive(Debug)]
pub struct Packager {
    ring: RingName,
    numbers: Arc<Numbers>,
    open: Option<Open>,
    ears: Ears,
    /// From an entry on, until it is known whether sound comes with it.
    held: Vec<Packet>,
    /// Packets are missing: nothing decodes before the next begin.
    waits: bool,
    refused: String,
    /// Epoch of the last run, and how many it had before that one.
    runs: (u64, u64),
}

/// The stretch under way.
#[derive(Debug)]
struct Open {
    run: Arc<Run>,
    /// As the ring described them when it began, and with what the key frames say.
    ring_tracks: Vec<Track>,
    tracks: Vec<Track>,
    lead: Lead,
    /// Whether it was told of sound; `None` where the ring has no track of it.
    sounds: Option<bool>,
    muxer: Muxer,
    pending: Option<Pending>,
    pace: Pace,
    last_dts_ns: i64,
}

/// Samples that wait for their picture.
#[derive(Debug)]
struct Pending {
    fragment: Fragment,
    first: PacketMeta,
    first_sequence: u64,
    arrived: MonoNs,
}

impl Packager {
    pub fn new(ring: &RingName, numbers: Arc<Numbers>) -> Self {
        Self {
            ring: ring.clone(),
            numbers,
            open: None,
            ears: Ears::default(),
            held: Vec::new(),
            waits: false,
            refused: String::new(),
            runs: (0, 0),
        }
    }

    /// Packets are missing before the next one.
    pub fn gap(&mut self) {
        self.waits = true;
        self.held.clear();
        if let Some(open) = &mut self.open {
            open.pending = None;
        }
    }

    /// Why nothing is made of what comes; empty when all is well.
    pub fn refused(&self) -> &str {
        &self.refused
    }

    /// Takes the next packet. `tracks` is how the ring describes itself now.
    pub fn take(&mut self, packet: Packet, tracks: &[Track]) -> Result<Vec<Unit>, fmp4::Error> {
        let Some(lead) = lead(tracks) else {
            (self.open, self.refused) = (None, refusal(tracks));
            self.held.clear();
            return Ok(Vec::new());
        };
        let sound = sound_beside(lead, tracks);
        self.ears.hear(&packet, lead.track(), sound);
        if self.held.first().is_some_and(|first| first.epoch != packet.epoch) {
            self.held.clear();
        }
        if self.is_undecided(&packet, lead, sound) {
            self.held.push(packet);
            return Ok(Vec::new());
        }
        let mut made = Vec::new();
        for packet in std::mem::take(&mut self.held).into_iter().chain([packet]) {
            made.extend(self.take_one(packet, tracks, lead, sound)?);
        }
        Ok(made)
    }

    /// Whether a stretch that begins with this packet, or with what is held, would have to be told of sound that nobody
    /// knows of yet.
    fn is_undecided(&self, packet: &Packet, lead: Lead, sound: Option<u32>) -> bool {
        let would_begin = !self.held.is_empty()
            || (lead.begins(&packet.meta)
                && self.open.as_ref().is_none_or(|open| open.run.epoch != packet.epoch));
        sound.is_some()
            && would_begin
            && self.held.len() < HELD_MAX
            && self.ears.flows(packet.meta.dts_ns).is_none()
    }

    fn take_one(
        &mut self,
        packet: Packet,
        tracks: &[Track],
        lead: Lead,
        sound: Option<u32>,
    ) -> Result<Option<Unit>, fmp4::Error> {
        let entry = lead.begins(&packet.meta);
        // Held until it was clear, or as long as may be: then there is none.
        let sounds = sound.map(|_| self.ears.flows(packet.meta.dts_ns).unwrap_or(false));
        let goes_on =
            |open: &Open| open.goes_on(&packet, tracks, entry) && !(entry && open.sounds != sounds);
        if !self.open.as_ref().is_some_and(goes_on) {
            self.open = None;
            if !entry {
                return Ok(None);
            }
            let sound = sound.filter(|_| sounds == Some(true));
            self.open = self.begin(&packet, tracks, lead, sound)?;
            if let Some(open) = &mut self.open {
                open.sounds = sounds;
            }
        }
        if self.waits && !entry {
            return Ok(None);
        }
        self.waits = false;
        match &mut self.open {
            Some(open) => open.push(&self.ring, packet, entry),
            None => Ok(None),
        }
    }

    /// `None` when players could not be told what it is.
    fn begin(
        &mut self,
        packet: &Packet,
        tracks: &[Track],
        lead: Lead,
        sound: Option<u32>,
    ) -> Result<Option<Open>, fmp4::Error> {
        let told = describe(tracks, packet);
        let (mut movie, left_out) = Movie::new(&told);
        movie.keep(|index| index == lead.track() || Some(index) == sound);
        let left_out: Vec<String> = left_out.iter().map(ToString::to_string).collect();
        let kept = (0u32..).zip(&told).filter(|(index, _)| movie.carries(*index));
        let words = codecs(kept.map(|(_, track)| track)).filter(|_| movie.carries(lead.track()));
        let Some(words) = words else {
            self.refused = if left_out.is_empty() {
                format!("ring {}: its key frames do not say what they are", self.ring)
            } else {
                left_out.join("; ")
            };
            return Ok(None);
        };
        self.refused.clear();
        let zero_ns = if packet.meta.dts_ns < ZERO_NS {
            packet.meta.dts_ns.saturating_add(ZERO_NS)
        } else {
            ZERO_NS
        };
        let muxer = Muxer::since(movie, zero_ns);
        let shown = &told[lead.track() as usize];
        let init = init(shown, lead, words, left_out, muxer.init_segment()?);
        let run = Run { number: self.number(packet.epoch), epoch: packet.epoch, init, zero_ns };
        Ok(Some(Open {
            pace: Pace::new(run.init.frame_rate),
            run: Arc::new(run),
            ring_tracks: tracks.to_vec(),
            tracks: told,
            lead,
            sounds: None,
            muxer,
            pending: None,
            last_dts_ns: packet.meta.dts_ns,
        }))
    }

    fn number(&mut self, epoch: u64) -> u64 {
        let before = if self.runs.0 == epoch { self.runs.1 + 1 } else { 0 };
        self.runs = (epoch, before);
        self.numbers.of(epoch, before)
    }
}

impl Open {
    /// Whether the packet is of this stretch.
    fn goes_on(&self, packet: &Packet, tracks: &[Track], entry: bool) -> bool {
        let ahead_ns = packet.meta.dts_ns.saturating_sub(self.last_dts_ns);
        packet.epoch == self.run.epoch
            && ahead_ns >= -BACK_MAX_NS
            && !(entry && ahead_ns > AHEAD_MAX_NS)
            && !(entry && self.is_described_anew(packet, tracks))
    }

    fn is_described_anew(&self, packet: &Packet, tracks: &[Track]) -> bool {
        if tracks != self.ring_tracks {
            return describe(tracks, packet) != self.tracks;
        }
        let own = self.tracks.get(packet.meta.track as usize);
        own.is_some_and(|track| {
            described(track, &packet.payload).is_some_and(|anew| anew != *track)
        })
    }

    fn push(
        &mut self,
        ring: &RingName,
        packet: Packet,
        entry: bool,
    ) -> Result<Option<Unit>, fmp4::Error> {
        let meta = packet.meta;
        if !self.muxer.movie().carries(meta.track) {
            if let Some(pending) = &mut self.pending {
                pending.fragment.leave_out();
            }
            return Ok(None);
        }
        self.last_dts_ns = self.last_dts_ns.max(meta.dts_ns);
        let (sequence, published) = (packet.sequence, packet.published);
        let arrived = if meta.ingest == MonoNs(0) { published } else { meta.ingest };
        let is_picture = self.lead.picture() == Some(meta.track);
        let told = is_picture.then(|| self.pace.next(meta.dts_ns, meta.duration_ns, entry));
        let dts_ns = told.map_or(meta.dts_ns, |told| told.dts_ns);
        let pending = self.pending.get_or_insert_with(|| Pending::new(ring, &packet, arrived));
        pending.fragment.push(sample(packet, dts_ns));
        let sound_ns = meta.dts_ns.saturating_sub(pending.first.dts_ns);
        if !is_picture && sound_ns.saturating_add(meta.duration_ns) < SOUND_NS {
            return Ok(None);
        }
        let next = told.map(|told| NextDecode {
            track: meta.track,
            dts_ns: told.dts_ns.saturating_add(told.lasts_ns),
        });
        let Some(Pending { fragment, first, first_sequence, arrived: first_arrived }) =
            self.pending.take()
        else {
            return Ok(None);
        };
        let bytes = self.muxer.write(&fragment, next)?;
        let of = if is_picture { meta } else { first };
        Ok(Some(Unit {
            run: Arc::clone(&self.run),
            entry,
            has_picture: is_picture,
            group: of.gop_index,
            pts_ns: of.pts_ns,
            dts_ns: of.dts_ns,
            lasts_ns: told.map_or(sound_ns, |told| told.lasts_ns),
            sequence: if is_picture { sequence } else { first_sequence },
            captured: of.capture.utc,
            arrived: if is_picture { arrived } else { first_arrived },
            bytes: bytes.into(),
        }))
    }
}

impl Pending {
    fn new(ring: &RingName, first: &Packet, arrived: MonoNs) -> Self {
        let flags = OriginFlags {
            discontinuity: first.meta.discontinuity,
            camera_clock: first.meta.clock == ClockSource::Camera,
            paused: false,
        };
        let (epoch, sequence) = (first.epoch, first.sequence);
        let fragment = Fragment::new(ring, epoch, sequence, first.meta.capture.utc, flags);
        Self { fragment, first: first.meta, first_sequence: sequence, arrived }
    }
}

impl Lead {
    fn track(self) -> u32 {
        match self {
            Self::Picture(track) | Self::Sound(track) => track,
        }
    }

    fn picture(self) -> Option<u32> {
        match self {
            Self::Picture(track) => Some(track),
            Self::Sound(_) => None,
        }
    }

    /// Whether a player may begin with this packet.
    fn begins(self, meta: &PacketMeta) -> bool {
        match self {
            Self::Picture(track) => meta.key && meta.track == track,
            Self::Sound(track) => meta.track == track,
        }
    }
}

fn init(shown: &Track, lead: Lead, codecs: String, left_out: Vec<String>, bytes: Vec<u8>) -> Init {
    Init {
        name: format!("{:016x}", sum(&bytes)),
        mime: format!("video/mp4; codecs=\"{codecs}\""),
        codecs,
        width: shown.width,
        height: shown.height,
        frame_rate: shown.frame_rate,
        video: lead.picture(),
        left_out,
        bytes: bytes.into(),
    }
}

/// The first picture that MP4 carries; in a ring without pictures its first sound. Sound alone of a camera whose
/// pictures cannot be shown is not what anybody came for.
fn lead(tracks: &[Track]) -> Option<Lead> {
    let fits = |track: &Track| carries(track.codec);
    if tracks.iter().any(|track| track.codec.is_video()) {
        return first(tracks, |track| track.codec.is_video() && fits(track)).map(Lead::Picture);
    }
    first(tracks, fits).map(Lead::Sound)
}

/// The sound that goes with pictures.
fn sound_beside(lead: Lead, tracks: &[Track]) -> Option<u32> {
    lead.picture()?;
    first(tracks, |track| !track.codec.is_video() && carries(track.codec))
}

fn first(tracks: &[Track], fits: impl Fn(&Track) -> bool) -> Option<u32> {
    tracks.iter().position(fits).and_then(|index| u32::try_from(index).ok())
}

fn refusal(tracks: &[Track]) -> String {
    if tracks.is_empty() {
        return "the ring names no track".to_owned();
    }
    let seen: Vec<String> = tracks.iter().map(|track| format!("{:?}", track.codec)).collect();
    format!("no browser plays what the camera sends ({})", seen.join(", "))
}

/// The tracks in the form that key frames describe them in, taken from the packet itself where it is one: the ring's
/// description may be older or newer than the packet.
fn describe(tracks: &[Track], packet: &Packet) -> Vec<Track> {
    let mut told = tracks.to_vec();
    for (index, track) in told.iter_mut().enumerate() {
        let own = packet.meta.key && packet.meta.track as usize == index;
        let from_packet = own.then(|| described(track, &packet.payload)).flatten();
        if let Some(anew) = from_packet.or_else(|| described(track, &track.extradata)) {
            *track = anew;
        }
    }
    told
}

fn sample(packet: Packet, dts_ns: i64) -> Sample {
    let PacketMeta { track, key, pts_ns, duration_ns, .. } = packet.meta;
    Sample { track, key, pts_ns, dts_ns, duration_ns, payload: packet.payload }
}

#[cfg(test)]
mod tests;
