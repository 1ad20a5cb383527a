//! Pictures into H.264, H.265, MJPEG, VP8, VP9 or AV1, in the ring's form, by the processor or by hardware.

mod hardware;
mod jpeg_quality;
mod options;
mod prepare;

use std::collections::VecDeque;

use bitstream::Family;
use ffmpeg_next::error::EAGAIN;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Error, Packet, Rational, codec, encoder, frame, picture};
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;

use crate::annexb::ParameterSets;
use crate::error::MediaError;
use crate::still::Still;
pub use hardware::Place;
pub(crate) use hardware::Upload;
use jpeg_quality::JpegQuality;
use prepare::Preparer;

const NAME: &str = "the encoder";
/// Ticks of the encoder, and of the track.
const BASE: TimeBase = TimeBase::VIDEO_90K;
/// Pictures a second until more is known: what rate control begins with.
const FPS: i32 = 25;
/// Key frames are asked for by time; an encoder makes one of its own where none was asked for so long.
const GROUP_MAX_PICTURES: u32 = 1_000;

/// What encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Software,
    Vaapi,
    Nvenc,
}

/// What is to come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureEncoderOptions {
    pub codec: Codec,
    pub engine: Engine,
    pub bitrate_bps: u64,
    /// Each picture's packet at once, rather than a better one later.
    pub live: bool,
    /// Pictures lie on a CUDA device, as NV12, and come by [`PictureEncoder::place`]. For NVENC alone.
    pub on_device: bool,
}

/// One encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coded<T> {
    /// What was given with the picture.
    pub token: T,
    pub key: bool,
    pub pts_ns: i64,
    /// At most `pts_ns`; rises from packet to packet.
    pub dts_ns: i64,
    pub payload: Vec<u8>,
}

/// Pictures of one size in, packets out, sometimes later. `T` finds its way from each picture to its packet.
pub struct PictureEncoder<T> {
    encoder: encoder::video::Encoder,
    options: PictureEncoderOptions,
    upload: Option<Upload>,
    preparer: Preparer,
    pixel: Pixel,
    size: (u32, u32),
    sets: Option<ParameterSets>,
    jpeg: Option<JpegQuality>,
    /// Of pictures inside, by their ticks.
    inside: VecDeque<(i64, i64, T)>,
    last_tick: Option<i64>,
    last_dts_ns: Option<i64>,
}

impl<T> PictureEncoder<T> {
    /// For pictures like `first`.
    pub fn open(options: &PictureEncoderOptions, first: &Still) -> Result<Self, MediaError> {
        crate::init();
        // Chroma is halved: what is odd loses its last row or column.
        let size = (first.width & !1, first.height & !1);
        if size.0 == 0 || size.1 == 0 {
            return Err(failed("opening", Error::InvalidData));
        }
        let jpeg = (options.codec == Codec::Mjpeg && options.engine == Engine::Software)
            .then(JpegQuality::default);
        let (encoder, pixel, upload) = open(options, size, first, jpeg.as_ref())?;
        Ok(Self {
            encoder,
            options: *options,
            upload,
            preparer: Preparer::default(),
            pixel,
            size,
            sets: Family::of(options.codec).map(|family| ParameterSets::of(family, &[])),
            jpeg,
            inside: VecDeque::new(),
            last_tick: None,
            last_dts_ns: None,
        })
    }

    /// Whether it takes this picture.
    pub fn fits(&self, picture: &Still) -> bool {
        (picture.width & !1, picture.height & !1) == self.size
    }

    /// `pts_ns` rises from picture to picture. `key`: players may begin with it.
    pub fn encode(
        &mut self,
        picture: &Still,
        pts_ns: i64,
        key: bool,
        token: T,
    ) -> Result<Vec<Coded<T>>, MediaError> {
        if self.options.on_device {
            // FFmpeg's NVENC follows the device frame that such a picture does not have.
            return Err(failed("encoding a picture that is not on the device", Error::InvalidData));
        }
        let bytes_wanted = self.jpeg_bytes(pts_ns);
        self.follow_quality(picture)?;
        let frame = self.preparer.prepare(picture, self.pixel, self.size)?;
        let coded = self.submit(frame, pts_ns, key, token)?;
        if let (Some(jpeg), Some(wanted)) = (&mut self.jpeg, bytes_wanted) {
            coded.iter().for_each(|coded| jpeg.took(coded.payload.len(), wanted));
        }
        Ok(coded)
    }

    /// Where the next picture goes, of an encoder of pictures on a device.
    pub fn place(&self) -> Result<Place, MediaError> {
        let upload = self.upload.as_ref().filter(|_| self.options.on_device);
        let place = upload.ok_or(Error::InvalidData).and_then(Upload::place);
        place.map_err(|source| failed("asking the device for memory", source))
    }

    /// As [`Self::encode`], of a place that was filled.
    pub fn encode_there(
        &mut self,
        Place(frame): Place,
        pts_ns: i64,
        key: bool,
        token: T,
    ) -> Result<Vec<Coded<T>>, MediaError> {
        self.submit(frame, pts_ns, key, token)
    }

    fn submit(
        &mut self,
        mut frame: frame::Video,
        pts_ns: i64,
        key: bool,
        token: T,
    ) -> Result<Vec<Coded<T>>, MediaError> {
        let tick = BASE.from_ns(pts_ns).max(self.last_tick.map_or(i64::MIN, |last| last + 1));
        self.last_tick = Some(tick);
        frame.set_pts(Some(tick));
        frame.set_kind(if key { picture::Type::I } else { picture::Type::None });
        self.inside.push_back((tick, pts_ns, token));
        let sent = match &mut self.upload {
            Some(upload) if !self.options.on_device => upload.send(&mut self.encoder, &frame),
            Some(_) | None => self.encoder.send_frame(&frame),
        };
        sent.map_err(|source| failed("encoding", source))?;
        self.receive()
    }

    /// No more pictures: those that are still inside.
    pub fn finish(mut self) -> Result<Vec<Coded<T>>, MediaError> {
        match self.encoder.send_eof() {
            Ok(()) | Err(Error::Eof) => {}
            Err(source) => return Err(failed("finishing", source)),
        }
        self.receive()
    }

    /// What it writes; with parameter sets once the first picture is out.
    pub fn track(&self) -> Track {
        Track {
            codec: self.options.codec,
            time_base: BASE,
            width: self.size.0,
            height: self.size.1,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (0, 1),
            extradata: self.sets.as_ref().map_or_else(Vec::new, ParameterSets::to_annexb),
        }
    }

    /// What one picture may take at the rate they come.
    fn jpeg_bytes(&self, pts_ns: i64) -> Option<u64> {
        let last = self.last_tick?;
        let ticks = u64::try_from(BASE.from_ns(pts_ns) - last).ok().filter(|ticks| *ticks > 0)?;
        Some(self.options.bitrate_bps.saturating_mul(ticks) / 8 / u64::from(BASE.den))
    }

    /// JPEG pictures are each by themselves, so another quality is another encoder.
    fn follow_quality(&mut self, picture: &Still) -> Result<(), MediaError> {
        if self.jpeg.as_mut().is_some_and(JpegQuality::has_changed) {
            let (encoder, _, _) = open(&self.options, self.size, picture, self.jpeg.as_ref())?;
            self.encoder = encoder;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<Coded<T>>, MediaError> {
        let mut coded = Vec::new();
        loop {
            let mut packet = Packet::empty();
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => coded.extend(self.coded(&packet)),
                Err(Error::Other { errno: EAGAIN } | Error::Eof) => return Ok(coded),
                Err(source) => return Err(failed("encoding", source)),
            }
        }
    }

    /// `None` for a packet of no picture that was given.
    fn coded(&mut self, packet: &Packet) -> Option<Coded<T>> {
        let tick = packet.pts()?;
        let at = self.inside.iter().position(|(inside, _, _)| *inside == tick)?;
        let (_, pts_ns, token) = self.inside.remove(at)?;
        let data = packet.data().unwrap_or_default();
        let key = packet.is_key();
        let payload = match &mut self.sets {
            Some(sets) => sets.normalise(data, key),
            None if self.options.codec == Codec::Av1 => without_delimiter(data).to_vec(),
            None => data.to_vec(),
        };
        let behind_ns = packet.dts().map_or(0, |dts| BASE.to_ns(tick.saturating_sub(dts)));
        let earliest_ns = self.last_dts_ns.map_or(i64::MIN, |last| last.saturating_add(1));
        let dts_ns = pts_ns.saturating_sub(behind_ns.max(0)).max(earliest_ns).min(pts_ns);
        self.last_dts_ns = Some(dts_ns);
        Some(Coded { token, key, pts_ns, dts_ns, payload })
    }
}

impl<T> std::fmt::Debug for PictureEncoder<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PictureEncoder")
            .field("options", &self.options)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// The name of FFmpeg's encoder; `None` where there is none of that kind at all.
pub fn encoder_name(codec: Codec, engine: Engine) -> Option<&'static str> {
    Some(match (engine, codec) {
        (Engine::Software, Codec::H264) => "libx264",
        (Engine::Software, Codec::H265) => "libx265",
        (Engine::Software, Codec::Mjpeg) => "mjpeg",
        (Engine::Software, Codec::Vp8) => "libvpx",
        (Engine::Software, Codec::Vp9) => "libvpx-vp9",
        (Engine::Software, Codec::Av1) => "libaom-av1",
        (Engine::Vaapi, Codec::H264) => "h264_vaapi",
        (Engine::Vaapi, Codec::H265) => "hevc_vaapi",
        (Engine::Vaapi, Codec::Mjpeg) => "mjpeg_vaapi",
        (Engine::Vaapi, Codec::Vp8) => "vp8_vaapi",
        (Engine::Vaapi, Codec::Vp9) => "vp9_vaapi",
        (Engine::Nvenc, Codec::H264) => "h264_nvenc",
        (Engine::Nvenc, Codec::H265) => "hevc_nvenc",
        _ => return None,
    })
}

/// Whether this FFmpeg has the encoder; hardware may be lacking all the same.
pub fn encodes(codec: Codec, engine: Engine) -> bool {
    encoder_name(codec, engine).is_some_and(|name| encoder::find_by_name(name).is_some())
}

fn open(
    options: &PictureEncoderOptions,
    size: (u32, u32),
    like: &Still,
    jpeg: Option<&JpegQuality>,
) -> Result<(encoder::video::Encoder, Pixel, Option<Upload>), MediaError> {
    let PictureEncoderOptions { codec, engine, .. } = *options;
    let missing = |what: String| MediaError::Missing { input: NAME.to_owned(), what };
    let name = encoder_name(codec, engine);
    let name = name.ok_or_else(|| missing(format!("encoder of {codec:?} for {engine:?}")))?;
    let found = encoder::find_by_name(name).ok_or_else(|| missing(format!("encoder {name}")))?;
    let opened = open_context(found, options, size, like, jpeg);
    opened.map_err(|source| MediaError::Codec {
        input: NAME.to_owned(),
        what: name,
        expected: format!("pictures of {}x{}", size.0, size.1),
        source,
    })
}

fn open_context(
    found: ffmpeg_next::Codec,
    options: &PictureEncoderOptions,
    size: (u32, u32),
    like: &Still,
    jpeg: Option<&JpegQuality>,
) -> Result<(encoder::video::Encoder, Pixel, Option<Upload>), Error> {
    let upload = match options.engine {
        Engine::Vaapi => Some(Upload::open(size)?),
        Engine::Nvenc if options.on_device => Some(Upload::open_cuda(size)?),
        Engine::Software | Engine::Nvenc => None,
    };
    let pixel = match (options.engine, options.codec) {
        (Engine::Vaapi, _) => Pixel::NV12,
        (Engine::Nvenc, _) if options.on_device => Pixel::NV12,
        (_, Codec::Mjpeg) => Pixel::YUVJ420P,
        _ => Pixel::YUV420P,
    };
    let mut video = codec::Context::new_with_codec(found).encoder().video()?;
    video.set_width(size.0);
    video.set_height(size.1);
    video.set_format(match options.engine {
        Engine::Vaapi => Pixel::VAAPI,
        Engine::Nvenc if options.on_device => Pixel::CUDA,
        Engine::Nvenc | Engine::Software => pixel,
    });
    video.set_time_base(Rational(1, 90_000));
    video.set_frame_rate(Some(Rational(FPS, 1)));
    video.set_gop(GROUP_MAX_PICTURES);
    prepare::tell_colour(&mut video, like, pixel);
    match jpeg {
        Some(jpeg) => video.set_global_quality(jpeg.lambda()),
        None => {
            let rate = usize::try_from(options.bitrate_bps).unwrap_or(usize::MAX);
            video.set_bit_rate(rate);
            video.set_max_bit_rate(options::max_rate(options));
        }
    }
    if jpeg.is_some() {
        video.set_flags(codec::Flags::QSCALE);
    }
    if options.live {
        video.set_max_b_frames(0);
    }
    if let Some(upload) = &upload {
        upload.give_to(&mut video)?;
    }
    let encoder = video.open_as_with(found, options::of(options))?;
    Ok((encoder, pixel, upload))
}

/// The ring has no temporal delimiters; the encoder begins each unit with one, OBU type 2 of no bytes.
fn without_delimiter(unit: &[u8]) -> &[u8] {
    unit.strip_prefix(&[0x12, 0x00]).unwrap_or(unit)
}

fn failed(doing: &'static str, source: Error) -> MediaError {
    MediaError::of(NAME, doing, source)
}

#[cfg(test)]
mod tests;
