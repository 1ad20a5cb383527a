//! What may be opened, and with which of FFmpeg's doors closed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ffmpeg_next::error::EINVAL;
use ffmpeg_next::{Dictionary, Error, format};

use crate::delayed::load_libavformat;
use crate::error::MediaError;

/// Longest wait for one answer of a camera, in µs (FFmpeg's unit). The caller's interrupt is the
/// watchdog over pictures; this one ends a connect or read that gets nothing at all.
const NETWORK_TIMEOUT_US: &str = "10000000";
/// Longest look at a camera's stream before its tracks must be known, in µs. A camera without
/// parameter sets in its SDP shows them at its next key frame, which is rarely over 4 s away.
const ANALYSE_RTSP_US: &str = "5000000";
/// Containers and elementary streams; no playlist, device or generator, which would reach further.
const FILE_FORMATS: &str =
    "mov,matroska,mpegts,avi,flv,mpeg,ivf,obu,h264,hevc,m4v,mjpeg,aac,ogg,wav";

/// Asked while FFmpeg waits; true makes it give up. It must not block.
pub type Interrupt = Box<dyn FnMut() -> bool + Send>;

/// Whether the interrupt has said true: FFmpeg's protocols report that under many names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarm(Arc<AtomicBool>);

impl Alarm {
    pub(crate) fn raise(&self) -> bool {
        self.0.store(true, Ordering::Relaxed);
        true
    }

    /// FFmpeg asks on the thread that reads, so no ordering is needed.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A source that FFmpeg reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    File(PathBuf),
    /// The URL with its credentials, and its name without them.
    Rtsp {
        url: String,
        name: String,
    },
}

impl Input {
    pub(super) fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Rtsp { name, .. } => name.clone(),
        }
    }

    pub(super) fn open(
        &self,
        alarm: &Alarm,
        mut interrupt: Interrupt,
    ) -> Result<format::context::Input, MediaError> {
        load_libavformat()?;
        let location = self.location()?;
        let options: Dictionary<'_> = self.options().iter().collect();
        let raised = alarm.clone();
        let closure = move || interrupt() && raised.raise();
        format::input_with_interrupt_and_dictionary(&location, closure, options).map_err(|error| {
            // A format outside the list above is EINVAL to FFmpeg.
            let no_media = matches!(error, Error::InvalidData | Error::Other { errno: EINVAL });
            match self {
                _ if alarm.is_raised() => MediaError::of(&self.name(), "opening", Error::Exit),
                Self::File(_) if no_media => MediaError::Format { input: self.name() },
                _ => MediaError::of(&self.name(), "opening", error),
            }
        })
    }

    /// What FFmpeg is told: for a file with its protocol, so that no file name reads as another.
    fn location(&self) -> Result<String, MediaError> {
        let location = match self {
            // The wrapper takes UTF-8 without zeros only, and panics on anything else.
            Self::File(path) => path.to_str().map(|path| format!("file:{path}")),
            Self::Rtsp { url, .. } => Some(url.clone()),
        };
        location
            .filter(|text| !text.contains('\0'))
            .ok_or_else(|| MediaError::NotFound { input: self.name() })
    }

    fn options(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::File(_) => &[
                ("protocol_whitelist", "file"),
                ("format_whitelist", FILE_FORMATS),
                ("fflags", "+genpts"),
            ],
            Self::Rtsp { .. } => &[
                ("protocol_whitelist", "tcp,rtp"),
                ("format_whitelist", "rtsp"),
                ("rtsp_transport", "tcp"),
                ("allowed_media_types", "video+audio"),
                ("timeout", NETWORK_TIMEOUT_US),
                ("analyzeduration", ANALYSE_RTSP_US),
            ],
        }
    }
}
