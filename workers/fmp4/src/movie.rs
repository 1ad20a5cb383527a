//! What a file says once, at its start: `ftyp` and `moov`, with one track for each carried track of
//! the ring. The MP4 track id is the ring's track index plus one, so that both always agree.

use mp4_atom::{
    Codec as Entry, Dinf, Dref, Edts, Elst, ElstEntry, Encode, FourCC, Ftyp, Hdlr, Mdhd, Mdia,
    Minf, Moov, Mvex, Mvhd, Smhd, Stbl, Stco, Stsd, Tkhd, Trak, Trex, Url, Vmhd,
};
use protocol::stream::{Codec, Track};
use protocol::time::{NS_PER_S, TimeBase};

use crate::error::Error;
use crate::params::ParameterSets;
use crate::{audio, video};

/// Ticks a second of every video track; RTP's clock, and a multiple of all usual frame rates.
pub(crate) const VIDEO_TIMESCALE_HZ: u32 = 90_000;
/// A picture's duration when nothing tells: 25 a second.
const UNKNOWN_PICTURE_NS: i64 = 40_000_000;

/// Sample flags (ISO/IEC 14496-12, 8.8.3.1): depends on no other sample, a sync sample.
pub(crate) const FLAGS_SYNC: u32 = 0x0200_0000;
/// Depends on others, not a sync sample.
pub(crate) const FLAGS_DEPENDS: u32 = 0x0101_0000;

/// The tracks of one file.
#[derive(Clone, Debug)]
pub struct Movie {
    tracks: Vec<MovieTrack>,
}

#[derive(Clone, Debug)]
pub(crate) struct MovieTrack {
    trak: Trak,
    /// Index into the ring's tracks.
    pub(crate) index: u32,
    pub(crate) codec: Codec,
    pub(crate) base: TimeBase,
    /// What a sample lasts when neither the next one nor the packet says.
    pub(crate) nominal_ns: i64,
    /// Kept in the sample entry, and so out of the samples.
    pub(crate) sets: ParameterSets,
}

impl Movie {
    /// A movie of all tracks that MP4 can carry, and why the others are not in it.
    pub fn new(tracks: &[Track]) -> (Self, Vec<Error>) {
        let mut movie = Self { tracks: Vec::new() };
        let mut refused = Vec::new();
        for (index, track) in tracks.iter().enumerate() {
            match carry(index, track) {
                Ok(carried) => movie.tracks.push(carried),
                Err(why) => refused.push(why),
            }
        }
        (movie, refused)
    }

    /// `ftyp` and `moov`: what stands before the first fragment. `lead` tells how much of a track's
    /// decode time passes before it is shown from the file's time zero on.
    pub(crate) fn init_segment(&self, lead: impl Fn(u32) -> u64) -> Result<Vec<u8>, Error> {
        let traks = self.tracks.iter().map(|track| {
            let mut trak = track.trak.clone();
            trak.edts = edit(lead(track.index));
            trak
        });
        init_segment(traks.collect())
    }

    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    pub fn carries(&self, track: u32) -> bool {
        self.track(track).is_some()
    }

    /// Whether the parameter sets in this access unit are those of the sample entry. An access unit
    /// without any agrees.
    pub fn agrees_with(&self, track: u32, access_unit: &[u8]) -> bool {
        let Some(track) = self.track(track) else {
            return true;
        };
        let sets = ParameterSets::in_annexb(track.codec, access_unit);
        sets == ParameterSets::default() || sets == track.sets
    }

    pub(crate) fn track(&self, index: u32) -> Option<&MovieTrack> {
        self.tracks.iter().find(|track| track.index == index)
    }

    pub(crate) fn tracks(&self) -> &[MovieTrack] {
        &self.tracks
    }
}

fn carry(index: usize, track: &Track) -> Result<MovieTrack, Error> {
    let codec = track.codec;
    let sets = ParameterSets::in_annexb(codec, &track.extradata);
    let (entry, timescale_hz, nominal_ns) = match codec {
        Codec::H264 | Codec::H265 => {
            let entry = video::sample_entry(index, track, &sets)?;
            (entry, VIDEO_TIMESCALE_HZ, picture_ns(track.frame_rate))
        }
        Codec::Aac | Codec::Opus => {
            let entry = audio::sample_entry(index, track)?;
            let hz = audio::timescale_hz(track);
            let nominal = TimeBase { num: 1, den: hz }.to_ns(audio::nominal_samples(codec).into());
            (entry, hz, nominal)
        }
        _ => return Err(Error::Codec { track: index, codec }),
    };
    let index = u32::try_from(index).unwrap_or(u32::MAX - 1);
    let trak = trak(index, track, timescale_hz, entry);
    let base = TimeBase { num: 1, den: timescale_hz };
    Ok(MovieTrack { trak, index, codec, base, nominal_ns, sets })
}

fn picture_ns((pictures, seconds): (u32, u32)) -> i64 {
    let ns = (u64::from(seconds) * NS_PER_S).checked_div(u64::from(pictures));
    ns.and_then(|ns| i64::try_from(ns).ok()).filter(|&ns| ns > 0).unwrap_or(UNKNOWN_PICTURE_NS)
}

fn init_segment(trak: Vec<Trak>) -> Result<Vec<u8>, Error> {
    let ftyp = Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        // iso6 brings tfdt version 1, default-base-is-moof and signed composition offsets.
        compatible_brands: vec![FourCC::new(b"iso6"), FourCC::new(b"mp41")],
    };
    let ids = trak.iter().map(|trak| trak.tkhd.track_id);
    let trex = ids.clone().zip(&trak).map(|(track_id, trak)| Trex {
        track_id,
        default_sample_description_index: 1,
        default_sample_flags: if is_video(trak) { FLAGS_DEPENDS } else { FLAGS_SYNC },
        ..Trex::default()
    });
    let moov = Moov {
        mvhd: Mvhd {
            timescale: 1000,
            rate: 1.into(),
            volume: 1.into(),
            next_track_id: ids.max().unwrap_or(0) + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex { mehd: None, trex: trex.collect() }),
        trak,
        ..Moov::default()
    };
    let mut bytes = Vec::new();
    ftyp.encode(&mut bytes)?;
    moov.encode(&mut bytes)?;
    Ok(bytes)
}

fn is_video(trak: &Trak) -> bool {
    trak.mdia.minf.vmhd.is_some()
}

/// The edit that makes a stream with B-pictures, whose decode times run ahead, start at zero.
fn edit(lead_ticks: u64) -> Option<Edts> {
    let entry = ElstEntry {
        segment_duration: 0, // to the end, however long the file grows
        media_time: Some(lead_ticks),
        media_rate: 1.into(),
    };
    (lead_ticks > 0).then(|| Edts { elst: Some(Elst { entries: vec![entry] }) })
}

fn trak(index: u32, track: &Track, timescale_hz: u32, entry: Entry) -> Trak {
    let video = track.codec.is_video();
    let (handler, name) = if video { (b"vide", "video") } else { (b"soun", "audio") };
    let side = |pixels: u32| u16::try_from(pixels).unwrap_or(0).into();
    let tkhd = Tkhd {
        track_id: index + 1,
        enabled: true,
        in_movie: true,
        volume: u8::from(!video).into(),
        width: side(track.width),
        height: side(track.height),
        ..Tkhd::default()
    };
    let mdhd = Mdhd { timescale: timescale_hz, language: "und".to_owned(), ..Mdhd::default() };
    let minf = Minf {
        vmhd: video.then(Vmhd::default),
        smhd: (!video).then(Smhd::default),
        dinf: Dinf { dref: Dref { entries: vec![Url::default().into()] } },
        stbl: Stbl {
            stsd: Stsd { codecs: vec![entry] },
            stco: Some(Stco::default()),
            ..Stbl::default()
        },
        ..Minf::default()
    };
    let hdlr = Hdlr { handler: FourCC::new(handler), name: name.to_owned() };
    Trak { tkhd, mdia: Mdia { mdhd, hdlr, minf }, ..Trak::default() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// x264, High, 640x480.
    pub(crate) const SETS: &[u8] = &[
        0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1e, 0xac, 0xd9, 0x40, 0xa0, 0x3d, 0xa1, 0, 0, 0, 1, 0x68,
        0xeb, 0xe3, 0xcb, 0x22, 0xc0,
    ];

    pub(crate) fn h264() -> Track {
        Track {
            codec: Codec::H264,
            time_base: TimeBase::VIDEO_90K,
            width: 640,
            height: 480,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: SETS.to_vec(),
        }
    }

    pub(crate) fn aac() -> Track {
        Track {
            codec: Codec::Aac,
            time_base: TimeBase { num: 1, den: 48_000 },
            width: 0,
            height: 0,
            sample_rate_hz: 48_000,
            channels: 2,
            frame_rate: (0, 1),
            extradata: vec![0x11, 0x90],
        }
    }

    #[test]
    fn what_mp4_cannot_carry_is_named_and_the_rest_is_kept() {
        let mut sound = aac();
        sound.codec = Codec::PcmMulaw;
        let (movie, refused) = Movie::new(&[h264(), sound]);
        assert!(movie.carries(0) && !movie.carries(1));
        assert!(refused[0].to_string().contains("PcmMulaw"), "{}", refused[0]);
    }

    #[test]
    fn a_video_track_without_parameter_sets_is_refused() {
        let mut track = h264();
        track.extradata.truncate(14);
        let (movie, refused) = Movie::new(&[track]);
        assert!(movie.is_empty());
        assert!(refused[0].to_string().contains("picture parameter set"), "{}", refused[0]);
    }

    #[test]
    fn other_parameter_sets_in_a_key_frame_are_noticed() {
        let (movie, _) = Movie::new(&[h264()]);
        let mut other = SETS.to_vec();
        other[9] ^= 1;
        assert!(movie.agrees_with(0, SETS));
        assert!(movie.agrees_with(0, &[0, 0, 1, 0x41, 7]));
        assert!(!movie.agrees_with(0, &other));
    }
}
