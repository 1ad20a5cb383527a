//! What can go wrong with media, told apart as far as the user's cure differs.

use ffmpeg_next::error::{
    ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EIO, ENETUNREACH, ENODEV, ENOENT, ENXIO, EPIPE,
    ETIMEDOUT,
};

/// `input` is the source as a person may see it: without credentials.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    #[error(
        "{input}: connection closed by the other side while {doing}; expected a running stream: see the camera's own log"
    )]
    Closed { input: String, doing: &'static str },
    #[error(
        "{input}: {what} stopped working ({source}); expected a stream of {expected}: check it with ffprobe"
    )]
    Codec {
        input: String,
        what: &'static str,
        expected: String,
        #[source]
        source: ffmpeg_next::Error,
    },
    #[error(
        "{input}: not a media file of a known kind; expected MP4, MKV, TS, AVI, FLV or an elementary stream: check the path"
    )]
    Format { input: String },
    #[error("{input}: given up while {doing}, as asked")]
    Interrupted { input: String, doing: &'static str },
    #[error(
        "{library} cannot be loaded: {source}; expected FFmpeg's libraries of this version: install libavformat59"
    )]
    Library {
        library: String,
        #[source]
        source: libloading::Error,
    },
    #[error(
        "{input}: this build of FFmpeg has no {what}; install Debian's libavcodec59 and libavformat59 (FFmpeg 5.1)"
    )]
    Missing { input: String, what: String },
    #[error(
        "{input}: no {library}, which reads devices; install Debian's libavdevice59, or read it with a command: `run` with `stdout`"
    )]
    NoDevices { input: String, library: String },
    #[error(
        "{input}: what comes is no stream of a known kind; expected MPEG-TS, FLV, HLS, Matroska, MP4 or motion JPEG, as its scheme has it: is the address right?"
    )]
    NoStream { input: String },
    #[error(
        "no {engine} device works here ({source}); expected one that vainfo (VAAPI) or nvidia-smi (CUDA) shows"
    )]
    NoDevice {
        engine: String,
        #[source]
        source: ffmpeg_next::Error,
    },
    #[error(
        "{input}: nothing to carry in it, saw {seen}; expected H.264, H.265, AV1, MJPEG, VP8, VP9 or MPEG-4 video, or AAC, Opus, G.711 or 16-bit PCM audio"
    )]
    NoTracks { input: String, seen: String },
    #[error(
        "{input}: not found; expected a file or a camera path: check the source in the topology"
    )]
    NotFound { input: String },
    #[error(
        "{input}: connection refused; expected a server there: is the camera on, and is the port right?"
    )]
    Refused { input: String },
    #[error("{input}: no answer in time; expected data within 10 s: is the network path up?")]
    Timeout { input: String },
    #[error(
        "pictures of {width}x{height} are refused: more than max_pixels: {max_pixels}; raise it if the camera sends such pictures"
    )]
    TooLarge { width: u32, height: u32, max_pixels: u32 },
    #[error(
        "{input}: user or password refused (401); expected SCHEME://USER:PASSWORD@HOST/: check the credentials"
    )]
    Unauthorized { input: String },
    #[error(
        "{input}: host or network unreachable; expected a route to the camera: check address and cabling"
    )]
    Unreachable { input: String },
    #[error("{input}: {doing} failed: {source}; check it with ffprobe")]
    Other {
        input: String,
        doing: &'static str,
        #[source]
        source: ffmpeg_next::Error,
    },
}

impl MediaError {
    /// Whether it is what a stream holds that went wrong, and not who decodes it.
    pub fn is_of_stream(&self) -> bool {
        let of_data = matches!(self, Self::Codec { source: ffmpeg_next::Error::InvalidData, .. });
        of_data || matches!(self, Self::TooLarge { .. })
    }

    /// Whether nobody is there, as far as FFmpeg tells: EIO is its word for a name without an address and for a
    /// connection that broke. RTMP and SRT say it of a refused password, too.
    pub fn is_away(&self) -> bool {
        let Self::Other { source: ffmpeg_next::Error::Other { errno }, .. } = self else {
            return false;
        };
        [EIO, ENODEV, ENXIO].contains(errno)
    }

    /// The error of one FFmpeg call on `input`.
    pub(crate) fn of(input: &str, doing: &'static str, source: ffmpeg_next::Error) -> Self {
        use ffmpeg_next::Error as Av;
        let input = input.to_owned();
        match source {
            Av::Exit => Self::Interrupted { input, doing },
            Av::HttpUnauthorized => Self::Unauthorized { input },
            Av::HttpNotFound | Av::Other { errno: ENOENT } => Self::NotFound { input },
            Av::Other { errno: ECONNREFUSED } => Self::Refused { input },
            Av::Other { errno: ETIMEDOUT } => Self::Timeout { input },
            Av::Other { errno: EHOSTUNREACH | ENETUNREACH } => Self::Unreachable { input },
            Av::Other { errno: ECONNRESET | EPIPE } => Self::Closed { input, doing },
            source => Self::Other { input, doing, source },
        }
    }
}
