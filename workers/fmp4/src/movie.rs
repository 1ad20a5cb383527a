//! What a file says once, at its start: `ftyp` and `moov`, with one track for each carried track of
//! the ring. The MP4 track id is the ring's track index plus one, so that both always agree.

use mp4_atom::{
    Dinf, Dref, Edts, Elst, ElstEntry, Encode, FourCC, Ftyp, Hdlr, Mdhd, Mvex, Mvhd, Smhd, Stco,
    Stsc, Stsz, Stts, Tkhd, Trex, Url, Vmhd,
};
use protocol::stream::Track;
use protocol::time::{NS_PER_S, TimeBase};

use crate::boxes::nested;
use crate::error::Error;
use crate::framing::Framing;
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
    /// Index into the ring's tracks.
    pub(crate) index: u32,
    pub(crate) is_video: bool,
    width: u32,
    height: u32,
    pub(crate) base: TimeBase,
    /// What a sample lasts when neither the next one nor the packet says.
    pub(crate) nominal_ns: i64,
    pub(crate) framing: Framing,
    /// The whole box.
    sample_entry: Vec<u8>,
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
        let mut bytes = Vec::new();
        ftyp().encode(&mut bytes)?;
        nested(&mut bytes, b"moov", |moov| {
            let ids = self.tracks.iter().map(|track| track.id());
            mvhd(ids.max().unwrap_or(0) + 1).encode(moov)?;
            for track in &self.tracks {
                track.write(moov, lead(track.index))?;
            }
            Mvex { mehd: None, trex: self.tracks.iter().map(trex).collect() }.encode(moov)
        })?;
        Ok(bytes)
    }

    /// Leaves out all tracks but those `wanted`, by their indices in the ring.
    pub fn keep(&mut self, wanted: impl Fn(u32) -> bool) {
        self.tracks.retain(|track| wanted(track.index));
    }

    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    pub fn carries(&self, track: u32) -> bool {
        self.track(track).is_some()
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
    if !crate::carries(codec) {
        return Err(Error::Codec { track: index, codec });
    }
    let framing = Framing::of(track);
    let is_video = codec.is_video();
    let (sample_entry, timescale_hz, nominal_ns) = if is_video {
        let entry = video::sample_entry(index, track, &framing)?;
        (entry, VIDEO_TIMESCALE_HZ, picture_ns(track.frame_rate))
    } else {
        let entry = audio::sample_entry(index, track)?;
        let hz = audio::timescale_hz(track);
        let nominal = TimeBase { num: 1, den: hz }.to_ns(audio::nominal_samples(codec).into());
        (entry, hz, nominal)
    };
    Ok(MovieTrack {
        index: u32::try_from(index).unwrap_or(u32::MAX - 1),
        is_video,
        width: track.width,
        height: track.height,
        base: TimeBase { num: 1, den: timescale_hz },
        nominal_ns,
        framing,
        sample_entry,
    })
}

fn picture_ns((pictures, seconds): (u32, u32)) -> i64 {
    let ns = (u64::from(seconds) * NS_PER_S).checked_div(u64::from(pictures));
    ns.and_then(|ns| i64::try_from(ns).ok()).filter(|&ns| ns > 0).unwrap_or(UNKNOWN_PICTURE_NS)
}

fn ftyp() -> Ftyp {
    Ftyp {
        major_brand: FourCC::new(b"iso6"),
        minor_version: 0,
        // iso6 brings tfdt version 1, default-base-is-moof and signed composition offsets.
        compatible_brands: vec![FourCC::new(b"iso6"), FourCC::new(b"mp41")],
    }
}

fn mvhd(next_track_id: u32) -> Mvhd {
    Mvhd { timescale: 1000, rate: 1.into(), volume: 1.into(), next_track_id, ..Mvhd::default() }
}

fn trex(track: &MovieTrack) -> Trex {
    Trex {
        track_id: track.id(),
        default_sample_description_index: 1,
        default_sample_flags: if track.is_video { FLAGS_DEPENDS } else { FLAGS_SYNC },
        ..Trex::default()
    }
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

impl MovieTrack {
    fn id(&self) -> u32 {
        self.index + 1
    }

    /// The `trak` box. mp4-atom has no sample entry of JPEG in MP4, so those are bytes here.
    fn write(&self, moov: &mut Vec<u8>, lead_ticks: u64) -> mp4_atom::Result<()> {
        nested(moov, b"trak", |trak| {
            self.tkhd().encode(trak)?;
            edit(lead_ticks).encode(trak)?;
            nested(trak, b"mdia", |mdia| {
                let language = "und".to_owned();
                Mdhd { timescale: self.base.den, language, ..Mdhd::default() }.encode(mdia)?;
                self.hdlr().encode(mdia)?;
                nested(mdia, b"minf", |minf| self.write_media(minf))
            })
        })
    }

    fn write_media(&self, minf: &mut Vec<u8>) -> mp4_atom::Result<()> {
        match self.is_video {
            true => Vmhd::default().encode(minf)?,
            false => Smhd::default().encode(minf)?,
        }
        Dinf { dref: Dref { entries: vec![Url::default().into()] } }.encode(minf)?;
        nested(minf, b"stbl", |stbl| {
            nested(stbl, b"stsd", |stsd| {
                stsd.extend([0, 0, 0, 0, 0, 0, 0, 1]); // version and flags; one entry
                stsd.extend_from_slice(&self.sample_entry);
                Ok(())
            })?;
            // All samples are in fragments.
            Stts::default().encode(stbl)?;
            Stsc::default().encode(stbl)?;
            Stsz::default().encode(stbl)?;
            Stco::default().encode(stbl)
        })
    }

    fn tkhd(&self) -> Tkhd {
        let side = |pixels: u32| u16::try_from(pixels).unwrap_or(0).into();
        Tkhd {
            track_id: self.id(),
            enabled: true,
            in_movie: true,
            volume: u8::from(!self.is_video).into(),
            width: side(self.width),
            height: side(self.height),
            ..Tkhd::default()
        }
    }

    fn hdlr(&self) -> Hdlr {
        let (handler, name) = if self.is_video { (b"vide", "video") } else { (b"soun", "audio") };
        Hdlr { handler: FourCC::new(handler), name: name.to_owned() }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use protocol::stream::Codec;

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

    pub(crate) fn av1() -> Track {
        let extradata = crate::av1::tests::SEQUENCE.to_vec();
        Track { codec: Codec::Av1, width: 320, height: 240, extradata, ..h264() }
    }

    pub(crate) fn vp9() -> Track {
        let extradata = vec![0, 20, 0x82, 2, 2, 2, 0, 0];
        Track { codec: Codec::Vp9, width: 320, height: 240, extradata, ..h264() }
    }

    pub(crate) fn mjpeg() -> Track {
        Track { codec: Codec::Mjpeg, width: 320, height: 240, extradata: Vec::new(), ..h264() }
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
    fn every_codec_that_is_carried_has_a_sample_entry() {
        for track in [h264(), mjpeg(), vp9(), av1(), aac()] {
            let (movie, refused) = Movie::new(std::slice::from_ref(&track));
            assert!(movie.carries(0) && refused.is_empty(), "{track:?}: {refused:?}");
        }
        for codec in Codec::ALL.into_iter().filter(|&codec| !crate::carries(codec)) {
            let (movie, refused) = Movie::new(&[Track { codec, ..h264() }]);
            assert!(movie.is_empty());
            assert!(refused[0].to_string().contains("VP9"), "{}", refused[0]);
        }
    }

    #[test]
    fn av1_without_a_sequence_header_is_refused() {
        let (movie, refused) = Movie::new(&[Track { extradata: Vec::new(), ..av1() }]);
        assert!(movie.is_empty());
        assert!(refused[0].to_string().contains("sequence header"), "{}", refused[0]);
    }
}
