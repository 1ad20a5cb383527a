//! Decoded pictures into H.264 of good quality, for cuts between key frames.

use bitstream::Family;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling;
use ffmpeg_next::{Dictionary, Error, Packet, Rational, codec, color, encoder, frame, picture};
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;

use crate::annexb::ParameterSets;
use crate::decode::Picture;
use crate::demux::AccessUnit;
use crate::error::MediaError;

const NAME: &str = "the cut";
/// Ticks of the encoder; those of the recordings.
const BASE: TimeBase = TimeBase::VIDEO_90K;
/// From one key frame to the next at most; a player seeks that finely.
const GROUP_PICTURES: u32 = 50;
/// x264's constant rate factor: eyes see no difference to the original at 18.
const QUALITY: u32 = 18;
/// Of eight bits: 16 to 235 are the brightness of a picture in limited range, 128 is no colour.
const LIMITED_BLACK: u8 = 16;
const NO_COLOUR: u8 = 128;

/// What is shown where there is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filler {
    Black,
    /// The last picture; black before there was one.
    Held,
}

/// One picture in, one unit out, in the order of showing.
pub struct Reencoder {
    encoder: encoder::video::Encoder,
    convert: Option<scaling::Context>,
    sets: ParameterSets,
    size: (u32, u32),
    format: Pixel,
    last_tick: i64,
    last: Option<frame::Video>,
    range: color::Range,
}

impl Reencoder {
    /// For pictures like `first`.
    pub fn open(first: &Picture) -> Result<Self, MediaError> {
        crate::init();
        let codec = encoder::find_by_name("libx264").ok_or_else(|| MediaError::Missing {
            input: NAME.to_owned(),
            what: "encoder libx264".to_owned(),
        })?;
        let like = first.frame().map_err(|source| failed("looking at a picture", source))?;
        let opened = open_x264(codec, like).map_err(|source| failed("opening libx264", source))?;
        Ok(Self {
            encoder: opened,
            convert: None,
            sets: ParameterSets::of(Family::H264, &[]),
            size: (like.width(), like.height()),
            format: pixel_of(like),
            last_tick: i64::MIN,
            last: None,
            range: like.color_range(),
        })
    }

    /// `pts_ns` rises from picture to picture.
    pub fn encode(
        &mut self,
        picture: &Picture,
        pts_ns: i64,
        duration_ns: i64,
    ) -> Result<AccessUnit, MediaError> {
        let frame = picture.frame().and_then(|frame| self.fitting(frame));
        let frame = frame.map_err(|source| failed("converting", source))?;
        self.unit(frame, pts_ns, duration_ns)
    }

    /// A picture where the camera has none. `pts_ns` as for [`Self::encode`].
    pub fn fill(
        &mut self,
        with: Filler,
        pts_ns: i64,
        duration_ns: i64,
    ) -> Result<AccessUnit, MediaError> {
        let held = self.last.take().filter(|_| with == Filler::Held);
        let frame = held.unwrap_or_else(|| self.black());
        self.unit(frame, pts_ns, duration_ns)
    }

    fn black(&self) -> frame::Video {
        let (width, height) = self.size;
        let mut frame = frame::Video::new(self.format, width, height);
        let is_full = self.format == Pixel::YUVJ420P || self.range == color::Range::JPEG;
        frame.data_mut(0).fill(if is_full { 0 } else { LIMITED_BLACK });
        frame.data_mut(1).fill(NO_COLOUR);
        frame.data_mut(2).fill(NO_COLOUR);
        frame.set_color_range(self.range);
        frame
    }

    fn unit(
        &mut self,
        mut frame: frame::Video,
        pts_ns: i64,
        duration_ns: i64,
    ) -> Result<AccessUnit, MediaError> {
        self.last_tick = BASE.from_ns(pts_ns).max(self.last_tick.saturating_add(1));
        frame.set_pts(Some(self.last_tick));
        // Else the encoder would make key frames where the camera made some.
        frame.set_kind(picture::Type::None);
        let unit = self.packet_of(&frame).map_err(|source| failed("encoding", source))?;
        self.last = Some(frame);
        let key = unit.is_key();
        let payload = self.sets.normalise(unit.data().unwrap_or_default(), key);
        let corrupt = false;
        Ok(AccessUnit { track: 0, key, corrupt, pts_ns, dts_ns: pts_ns, duration_ns, payload })
    }

    /// What it writes, once it has written the first picture.
    pub fn track(&self) -> Track {
        Track {
            codec: Codec::H264,
            time_base: BASE,
            width: self.size.0,
            height: self.size.1,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (0, 1),
            extradata: self.sets.to_annexb(),
        }
    }

    /// A picture of the encoder's size and format.
    fn fitting(&mut self, picture: &frame::Video) -> Result<frame::Video, Error> {
        let (width, height) = self.size;
        let fits = (picture.width(), picture.height()) == self.size;
        if fits && picture.format() == self.format {
            return Ok(picture.clone());
        }
        let from = scaling::context::Definition {
            format: picture.format(),
            width: picture.width(),
            height: picture.height(),
        };
        let context = match self.convert.take().filter(|kept| *kept.input() == from) {
            Some(kept) => self.convert.insert(kept),
            None => self.convert.insert(scaling::Context::get(
                from.format,
                from.width,
                from.height,
                self.format,
                width,
                height,
                scaling::Flags::BICUBIC,
            )?),
        };
        let mut converted = frame::Video::empty();
        context.run(picture, &mut converted)?;
        Ok(converted)
    }

    fn packet_of(&mut self, frame: &frame::Video) -> Result<Packet, Error> {
        self.encoder.send_frame(frame)?;
        let mut packet = Packet::empty();
        self.encoder.receive_packet(&mut packet)?;
        Ok(packet)
    }
}

impl std::fmt::Debug for Reencoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reencoder").field("size", &self.size).finish_non_exhaustive()
    }
}

/// What x264 is given for a picture: all of 4:2:0 as it is, the rest made so.
fn pixel_of(picture: &frame::Video) -> Pixel {
    match picture.format() {
        Pixel::YUVJ420P => Pixel::YUVJ420P,
        _ => Pixel::YUV420P,
    }
}

fn open_x264(
    codec: ffmpeg_next::Codec,
    like: &frame::Video,
) -> Result<encoder::video::Encoder, Error> {
    let mut video = codec::Context::new_with_codec(codec).encoder().video()?;
    video.set_width(like.width());
    video.set_height(like.height());
    video.set_format(pixel_of(like));
    video.set_color_range(like.color_range());
    video.set_colorspace(like.color_space());
    video.set_time_base(Rational(1, 90_000));
    video.set_gop(GROUP_PICTURES);
    video.set_max_b_frames(0);
    video.open_as_with(codec, options())
}

/// No delay: each picture's unit comes out at once, and so the cut can be written as it is read.
fn options() -> Dictionary<'static> {
    let params = format!("annexb=1:repeat-headers=1:keyint={GROUP_PICTURES}");
    let quality = QUALITY.to_string();
    [
        ("preset", "veryfast"),
        ("tune", "zerolatency"),
        ("crf", quality.as_str()),
        ("x264-params", params.as_str()),
    ]
    .into_iter()
    .collect()
}

fn failed(doing: &'static str, source: Error) -> MediaError {
    MediaError::of(NAME, doing, source)
}
