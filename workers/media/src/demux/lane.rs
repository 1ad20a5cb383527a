//! One track's way from FFmpeg's packets to access units.

use bitstream::{Family, ParameterSet, nal, sps};
use ffmpeg_next::codec::packet::side_data::Type as SideData;
use ffmpeg_next::format::stream::StreamMut;
use ffmpeg_next::{Error, Packet};
use protocol::stream::{Codec, Track};
use protocol::time::{NS_PER_S, TimeBase};

use super::queue::Queue;
use super::{AccessUnit, track};
use crate::annexb::ParameterSets;
use crate::bitstream_filter::BitstreamFilter;
use crate::error::MediaError;

pub(super) struct Lane {
    track_number: usize,
    time_base: TimeBase,
    filter: Option<BitstreamFilter>,
    /// H.264 and H.265 only.
    sets: Option<ParameterSets>,
    /// Duration of a picture at the nominal rate, 0 when that is unknown.
    frame_ns: i64,
    /// Decoding time of the next unit, should it carry none.
    next_dts_ns: i64,
    /// Decoding times of units without one are still to be told by those that follow.
    is_untimed: bool,
}

impl Lane {
    /// `None` for a stream the ring does not carry.
    pub(super) fn open(
        stream: &StreamMut<'_>,
        track_number: usize,
        input: &str,
    ) -> Result<Option<(Self, Track)>, MediaError> {
        let Some(mut track) = track::of(stream) else {
            return Ok(None);
        };
        let filter = filter_of(track.codec)
            .map(|chain| BitstreamFilter::open(chain, &stream.parameters(), stream.time_base()))
            .transpose()
            .map_err(|source| MediaError::Codec {
                input: input.to_owned(),
                what: "the conversion to the ring's form",
                expected: format!("{:?}", track.codec),
                source,
            })?;
        if let Some(filter) = &filter {
            track.extradata = filter.extradata().to_vec();
        }
        let sets =
            Family::of(track.codec).map(|family| ParameterSets::of(family, &track.extradata));
        if let Some(sets) = &sets {
            track.extradata = sets.to_annexb();
        }
        let lane = Self {
            track_number,
            time_base: track.time_base,
            filter,
            sets,
            frame_ns: frame_ns(track.frame_rate),
            next_dts_ns: 0,
            // Only these two show pictures in another order than they decode them in.
            is_untimed: Family::of(track.codec).is_some(),
        };
        Ok(Some((lane, track)))
    }

    pub(super) fn track_number(&self) -> usize {
        self.track_number
    }

    /// Appends the units of `packet` to `out`. Answers what the packet says of the track, if anything.
    pub(super) fn take(
        &mut self,
        packet: Packet,
        out: &mut Queue,
    ) -> Result<Option<Described>, Error> {
        let packets = match &mut self.filter {
            None => vec![packet],
            Some(filter) => match filter.filter(packet) {
                Ok(packets) => packets,
                // One damaged packet costs itself; decoders see the gap and wait for a key frame.
                Err(Error::InvalidData) => Vec::new(),
                Err(error) => return Err(error),
            },
        };
        let mut described = None;
        for packet in &packets {
            if let Some(unit) = self.unit(packet) {
                self.is_untimed &= packet.dts().is_none() && packet.pts().is_some();
                match self.is_untimed {
                    true => self.is_untimed = out.push_untimed(unit),
                    false => out.push(unit),
                }
            }
            described = self.described_by(packet).or(described);
        }
        Ok(described)
    }

    fn unit(&mut self, packet: &Packet) -> Option<AccessUnit> {
        let data = packet.data().filter(|data| !data.is_empty())?;
        let payload = match &mut self.sets {
            None => data.to_vec(),
            Some(sets) => sets.normalise(data, packet.is_key()),
        };
        let ns = |ticks: i64| self.time_base.to_ns(ticks);
        let dts_ns = packet.dts().or_else(|| packet.pts()).map_or(self.next_dts_ns, ns);
        let pts_ns = packet.pts().map_or(dts_ns, ns);
        let duration_ns = match packet.duration() {
            ticks if ticks > 0 => ns(ticks),
            _ => self.frame_ns,
        };
        self.next_dts_ns = dts_ns.saturating_add(duration_ns);
        Some(AccessUnit {
            track: u32::try_from(self.track_number).unwrap_or(u32::MAX),
            key: packet.is_key(),
            corrupt: packet.is_corrupt(),
            pts_ns,
            dts_ns,
            duration_ns,
            payload,
        })
    }

    fn described_by(&self, packet: &Packet) -> Option<Described> {
        let Some(sets) = &self.sets else {
            // The AAC filter learns the AudioSpecificConfig from the first ADTS header.
            let anew = packet.side_data().find(|data| data.kind() == SideData::NewExtraData)?;
            return Some(Described { extradata: anew.data().to_vec(), size: None });
        };
        let size = || size_in(sets.family(), packet.data()?);
        packet.is_key().then(|| Described { extradata: sets.to_annexb(), size: size() })
    }
}

/// What a packet says of its track.
pub(super) struct Described {
    pub(super) extradata: Vec<u8>,
    /// Of the pictures from it on, where it says that itself.
    pub(super) size: Option<(u32, u32)>,
}

/// Of the pictures, as the last sequence parameter set in `stream` has it.
fn size_in(family: Family, stream: &[u8]) -> Option<(u32, u32)> {
    let is_of_sequence = |nal: &&[u8]| family.parameter_set(nal) == Some(ParameterSet::Sequence);
    let set = nal::units(stream).filter(is_of_sequence).last()?;
    sps::read(family, set).map(|pictures| (pictures.width, pictures.height))
}

/// FFmpeg's filters from a container's form to the ring's; each passes through what is in the
/// ring's form already.
fn filter_of(codec: Codec) -> Option<&'static str> {
    match codec {
        Codec::H264 => Some("h264_mp4toannexb"),
        Codec::H265 => Some("hevc_mp4toannexb"),
        // OBU type 2 is the temporal delimiter.
        Codec::Av1 => Some("filter_units=remove_types=2"),
        Codec::Aac => Some("aac_adtstoasc"),
        _ => None,
    }
}

fn frame_ns((num, den): (u32, u32)) -> i64 {
    match u64::from(den) * NS_PER_S / u64::from(num.max(1)) {
        _ if num == 0 => 0,
        ns => i64::try_from(ns).unwrap_or(0),
    }
}
