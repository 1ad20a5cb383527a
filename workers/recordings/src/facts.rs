//! What a recording holds, told by its headers: enough for lists, timelines and the index.

use std::fs;
use std::path::Path;

use fmp4::{FoundFragment, FoundSample, FoundTrack};
use protocol::name::RingName;
use protocol::time::UtcNs;

use crate::error::Error;
use crate::file::RecordingFile;
use crate::folder::modified_ns;
use crate::packet_id::PacketId;

/// A file as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Of the first fragment; a file is of one ring.
    pub ring: Option<RingName>,
    pub fragments: Vec<Fragment>,
    /// Length of the file.
    pub bytes: u64,
    /// When the file was last changed, ns since 1970.
    pub modified_ns: u64,
    /// Length of its whole part.
    pub whole_bytes: u64,
    /// Why the rest is not part of it; `None` when there is no rest.
    pub damage: Option<String>,
}

/// A fragment without its samples. `first <= last`, and all of them were one behind the other in the
/// ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub at_bytes: u64,
    pub bytes: u64,
    pub epoch: u64,
    pub first: u64,
    pub last: u64,
    /// Packets that are in the file; the others of `first..=last` were left out.
    pub recorded: u64,
    /// Of the first packet.
    pub capture: UtcNs,
    /// When its last picture or sound ends.
    pub end: UtcNs,
    /// Sequence of its first picture, when that is a key frame; of its first packet in a file without
    /// pictures. Decoding can start here.
    pub key: Option<u64>,
    /// The first packet does not continue what stands before it.
    pub discontinuity: bool,
    /// `capture` is the camera's own clock, not the time of arrival.
    pub camera_clock: bool,
    /// What lies between it and what stands before it was not to be recorded.
    pub paused: bool,
}

impl Facts {
    /// Reads the headers of a file. What is not whole is told as damage.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::read_part(path, None, u64::MAX)
    }

    /// Of the fragments those from the one on that begins at `from_bytes`, or from the first; none that
    /// ends behind `upto_bytes`.
    pub(crate) fn read_part(
        path: &Path,
        from_bytes: Option<u64>,
        upto_bytes: u64,
    ) -> Result<Self, Error> {
        // Read before the file's length is: who compares both finds out what came between.
        let facts = fs::metadata(path).map_err(Error::io("read", path))?;
        let modified_ns = modified_ns(&facts);
        let mut file = match RecordingFile::open(path) {
            Ok(file) => file,
            Err(Error::Damaged { damage, .. }) => {
                return Ok(Self::of_nothing(facts.len(), modified_ns, damage.to_string()));
            }
            Err(error) => return Err(error),
        };
        let (bytes, tracks) = (file.bytes(), file.tracks().to_vec());
        let from_bytes = from_bytes.unwrap_or_else(|| file.init_bytes());
        let (mut ring, mut fragments) = (None, Vec::new());
        let mut whole_bytes = from_bytes;
        let mut walk = file.fragments_from(from_bytes);
        for found in walk.by_ref() {
            let found = found?;
            if found.at_bytes + found.bytes > upto_bytes {
                break;
            }
            whole_bytes = found.at_bytes + found.bytes;
            fragments.push(Fragment::of(&found, &tracks));
            ring.get_or_insert(found.origin.ring);
        }
        let damage = walk.damage().filter(|damage| damage.at_bytes < upto_bytes);
        let damage = damage.map(|damage| damage.to_string());
        Ok(Self { ring, fragments, bytes, modified_ns, whole_bytes, damage })
    }

    pub(crate) fn of_nothing(bytes: u64, modified_ns: u64, damage: String) -> Self {
        let damage = Some(damage);
        Self { ring: None, fragments: Vec::new(), bytes, modified_ns, whole_bytes: 0, damage }
    }
}

impl Fragment {
    pub fn of(found: &FoundFragment, tracks: &[FoundTrack]) -> Self {
        let origin = &found.origin;
        let is_video = |index: u32| tracks.iter().any(|track| track.track == index && track.video);
        let has_video = tracks.iter().any(|track| track.video);
        let key = if !has_video || found.begins_with_key(tracks) {
            let wanted = |track: u8| !has_video || is_video(track.into());
            let at = origin.packets.iter().position(|track| track.is_some_and(wanted));
            at.map(|at| origin.first.saturating_add(at as u64))
        } else {
            None
        };
        Self {
            at_bytes: found.at_bytes,
            bytes: found.bytes,
            epoch: origin.epoch,
            first: origin.first,
            last: origin.last(),
            recorded: origin.recorded().count() as u64,
            capture: origin.capture,
            end: end_of(found, tracks),
            key,
            discontinuity: origin.flags.discontinuity,
            camera_clock: origin.flags.camera_clock,
            paused: origin.flags.paused,
        }
    }

    pub fn first_id(&self) -> PacketId {
        PacketId { epoch: self.epoch, sequence: self.first }
    }

    pub fn last_id(&self) -> PacketId {
        PacketId { epoch: self.epoch, sequence: self.last }
    }
}

/// The end of the last picture or sound, told from the capture time of the first packet.
fn end_of(found: &FoundFragment, tracks: &[FoundTrack]) -> UtcNs {
    let ends = found.samples.iter().filter_map(|sample| {
        let (from, lasts) = (decode_ns(sample, tracks)?, duration_ns(sample, tracks)?);
        Some(from.saturating_add(lasts))
    });
    let first = first_sample(found).and_then(|sample| decode_ns(sample, tracks)).unwrap_or(0);
    let lasts_ns = ends.max().map_or(0, |end| end.saturating_sub(first));
    UtcNs(found.origin.capture.0.saturating_add_signed(lasts_ns))
}

/// The sample of the first packet of the ring that is in the fragment.
pub(crate) fn first_sample(found: &FoundFragment) -> Option<&FoundSample> {
    let track = found.origin.packets.iter().flatten().next()?;
    found.samples.iter().find(|sample| sample.track == u32::from(*track))
}

/// Decode time on the clock of the file, which all its tracks share.
pub(crate) fn decode_ns(sample: &FoundSample, tracks: &[FoundTrack]) -> Option<i64> {
    let track = tracks.iter().find(|track| track.track == sample.track)?;
    let ticks = i64::try_from(sample.decode_ticks).ok()?;
    Some(track.base.to_ns(ticks.saturating_sub(i64::try_from(track.lead_ticks).ok()?)))
}

/// What a sample lasts: from the difference of absolute times, so that nothing is rounded twice.
pub(crate) fn duration_ns(sample: &FoundSample, tracks: &[FoundTrack]) -> Option<i64> {
    let until = sample.decode_ticks.checked_add(sample.duration_ticks.into())?;
    let next = FoundSample { decode_ticks: until, ..*sample };
    Some(decode_ns(&next, tracks)?.saturating_sub(decode_ns(sample, tracks)?))
}
