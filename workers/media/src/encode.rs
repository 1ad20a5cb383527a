//! H.264 for the test pattern, through libx264: no delay, no B frames, a fixed group of pictures,
//! parameter sets before every key frame, and the asked rate exactly, by filler units.

use bitstream::Family;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::{Dictionary, Error, Packet, Rational, codec, encoder, ffi, frame};

use crate::annexb::ParameterSets;
use crate::error::MediaError;

const NAME: &str = "the test pattern";

/// What to encode. Width and height are even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderOptions {
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    /// Pictures from one key frame to the next.
    pub gop: u32,
    pub bitrate_bps: u64,
}

/// One encoded picture in the ring's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedUnit {
    pub key: bool,
    pub payload: Vec<u8>,
}

/// An H.264 encoder with one picture in and one unit out.
pub struct Encoder {
    encoder: encoder::video::Encoder,
    picture: frame::Video,
    sets: ParameterSets,
    next_pts: i64,
}

impl Encoder {
    pub fn open(options: &EncoderOptions) -> Result<Self, MediaError> {
        crate::init();
        let codec = encoder::find_by_name("libx264").ok_or_else(|| MediaError::Missing {
            input: NAME.to_owned(),
            what: "encoder libx264".to_owned(),
        })?;
        let encoder = open_x264(codec, options)
            .map_err(|source| MediaError::of(NAME, "opening libx264", source))?;
        let picture = frame::Video::new(Pixel::YUV420P, options.width, options.height);
        // SAFETY: the frame is live; this only reads its first plane's pointer.
        if unsafe { picture.is_empty() } {
            return Err(failed(Error::Other { errno: ffmpeg_next::error::ENOMEM }));
        }
        Ok(Self { encoder, picture, sets: ParameterSets::of(Family::H264, &[]), next_pts: 0 })
    }

    /// Encodes the picture that `draw(plane, bytes, linesize)` makes; it is called for planes 0, 1
    /// and 2 of a yuv420p picture, whose old content is the last picture's.
    pub fn encode(
        &mut self,
        mut draw: impl FnMut(usize, &mut [u8], usize),
    ) -> Result<EncodedUnit, MediaError> {
        self.make_writable().map_err(failed)?;
        for plane in 0..3 {
            let linesize = self.picture.stride(plane);
            draw(plane, self.picture.data_mut(plane), linesize);
        }
        self.picture.set_pts(Some(self.next_pts));
        self.next_pts += 1;
        self.encoder.send_frame(&self.picture).map_err(failed)?;
        let mut packet = Packet::empty();
        self.encoder.receive_packet(&mut packet).map_err(failed)?;
        let key = packet.is_key();
        let payload = self.sets.normalise(packet.data().unwrap_or_default(), key);
        Ok(EncodedUnit { key, payload })
    }

    /// The parameter sets as Annex B; empty before the first picture.
    pub fn extradata(&self) -> Vec<u8> {
        self.sets.to_annexb()
    }

    /// The encoder may still hold the picture it was given last; then FFmpeg copies it first.
    fn make_writable(&mut self) -> Result<(), Error> {
        // SAFETY: reads the wrapper's pointer, nothing behind it.
        let frame = unsafe { self.picture.as_mut_ptr() };
        // SAFETY: the frame is live and ours, with buffers from av_frame_get_buffer.
        match unsafe { ffi::av_frame_make_writable(frame) } {
            code if code < 0 => Err(Error::from(code)),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("next_pts", &self.next_pts).finish_non_exhaustive()
    }
}

fn open_x264(
    codec: ffmpeg_next::Codec,
    options: &EncoderOptions,
) -> Result<encoder::video::Encoder, Error> {
    let mut video = codec::Context::new_with_codec(codec).encoder().video()?;
    let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    video.set_width(options.width);
    video.set_height(options.height);
    video.set_format(Pixel::YUV420P);
    video.set_color_range(ffmpeg_next::color::Range::MPEG);
    video.set_time_base(Rational(1, int(options.fps)));
    video.set_frame_rate(Some(Rational(int(options.fps), 1)));
    video.set_gop(options.gop);
    video.set_max_b_frames(0);
    video.open_as_with(codec, x264_options(options))
}

/// Constant rate with a decoder buffer of one second: a key frame fits, and filler makes up the rest.
fn x264_options(options: &EncoderOptions) -> Dictionary<'static> {
    let kbps = (options.bitrate_bps / 1000).max(1);
    let gop = options.gop;
    let params = format!(
        "threads=1:annexb=1:repeat-headers=1:scenecut=0:keyint={gop}:min-keyint={gop}:\
         nal-hrd=cbr:bitrate={kbps}:vbv-maxrate={kbps}:vbv-bufsize={kbps}"
    );
    [("preset", "ultrafast"), ("tune", "zerolatency"), ("x264-params", params.as_str())]
        .into_iter()
        .collect()
}

fn failed(source: Error) -> MediaError {
    MediaError::of(NAME, "encoding", source)
}
