//! What may be opened, and with which of FFmpeg's doors closed.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ffmpeg_next::error::EINVAL;
use ffmpeg_next::format::context::StreamIo;
use ffmpeg_next::{Dictionary, Error, format};
use protocol::config::device::{Device, DeviceFormat};
use protocol::config::stream_url::{Scheme, StreamUrl};

use super::device;
use crate::delayed::load_libavformat;
use crate::error::MediaError;

/// Longest wait for one answer of a camera, in µs (FFmpeg's unit). The caller's interrupt is the
/// watchdog over pictures; this one ends a connect or read that gets nothing at all.
const NETWORK_TIMEOUT_US: &str = "10000000";
/// Longest look at a camera's stream before its tracks must be known, in µs. A camera without
/// parameter sets in its SDP shows them at its next key frame, which is rarely over 4 s away.
const ANALYSE_US: &str = "5000000";
/// Containers and elementary streams; no playlist, device or generator, which would reach further.
const FILE_FORMATS: &str =
    "mov,matroska,mpegts,avi,flv,mpeg,ivf,obu,h264,hevc,m4v,mjpeg,aac,ogg,wav";
/// What a web server may send: the same, motion JPEG in parts, and playlists, whose segments come by the same
/// protocols and formats.
const WEB_FORMATS: &str =
    "mpjpeg,hls,mov,matroska,mpegts,avi,flv,mpeg,h264,hevc,m4v,mjpeg,aac,ogg,wav";
/// Bytes of datagrams that wait in the kernel, as far as it allows them: a second of 16 Mbit/s.
const DATAGRAM_BYTES: &str = "2097152";
/// The buffer between a pipe and FFmpeg.
const PIPE_BYTES: usize = 64 << 10;

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
    Device(Device),
    File(PathBuf),
    /// The URL with its credentials, and its name without them.
    Rtsp {
        url: String,
        name: String,
    },
    Stream(StreamUrl),
}

impl Input {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Device(device) => device.to_string(),
            Self::File(path) => path.display().to_string(),
            Self::Rtsp { name, .. } => name.clone(),
            Self::Stream(stream) => stream.url().to_string(),
        }
    }

    pub(super) fn open(
        &self,
        alarm: &Alarm,
        mut interrupt: Interrupt,
    ) -> Result<format::context::Input, MediaError> {
        load_libavformat()?;
        if let Self::Device(_) = self {
            device::register(&self.name())?;
        }
        let location = self.location()?;
        let options: Dictionary<'_> = self.options().into_iter().collect();
        let raised = alarm.clone();
        let closure = move || interrupt() && raised.raise();
        format::input_with_interrupt_and_dictionary(&location, closure, options)
            .map_err(|error| self.error(alarm, error))
    }

    fn error(&self, alarm: &Alarm, error: Error) -> MediaError {
        let input = self.name();
        match (self, error) {
            _ if alarm.is_raised() => MediaError::of(&input, "opening", Error::Exit),
            // A format outside the lists above is EINVAL to FFmpeg.
            (Self::File(_), Error::InvalidData | Error::Other { errno: EINVAL }) => {
                MediaError::Format { input }
            }
            (Self::Stream(_), Error::InvalidData) => MediaError::NoStream { input },
            (Self::Stream(stream), Error::ProtocolNotFound) => {
                MediaError::Missing { input, what: format!("{}://", stream.scheme().as_str()) }
            }
            (_, error) => MediaError::of(&input, "opening", error),
        }
    }

    /// What FFmpeg is told: for a file with its protocol, so that no file name reads as another.
    fn location(&self) -> Result<String, MediaError> {
        let location = match self {
            // The wrapper takes UTF-8 without zeros only, and panics on anything else.
            Self::File(path) => path.to_str().map(|path| format!("file:{path}")),
            Self::Rtsp { url, .. } => Some(url.clone()),
            Self::Stream(stream) => Some(location_of(stream)),
            Self::Device(device) => node(&device.path),
        };
        location
            .filter(|text| !text.contains('\0'))
            .ok_or_else(|| MediaError::NotFound { input: self.name() })
    }

    fn options(&self) -> Vec<(String, String)> {
        let fixed: &[(&str, &str)] = match self {
            Self::Device(_) => &[("format_whitelist", "video4linux2,v4l2")],
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
                ("analyzeduration", ANALYSE_US),
            ],
            Self::Stream(stream) => doors(stream.scheme()),
        };
        let mut options: Vec<(String, String)> =
            fixed.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut add = |key: &str, value: String| options.push((key.to_owned(), value));
        match self {
            Self::Device(device) => {
                let format = match device.format {
                    DeviceFormat::H265 => "hevc",
                    other => other.as_str(),
                };
                add("input_format", format.to_owned());
                device.size.into_iter().for_each(|size| add("video_size", size.to_string()));
                device.fps.into_iter().for_each(|fps| add("framerate", fps.to_string()));
            }
            Self::Stream(stream) => {
                add("analyzeduration", ANALYSE_US.to_owned());
                // Nobody waits for 20 pictures to guess their rate: a slow camera takes seconds for that.
                add("fpsprobesize", "0".to_owned());
                if stream.listens() && stream.scheme() == Scheme::Rtmp {
                    add("listen", "1".to_owned());
                }
            }
            Self::File(_) | Self::Rtsp { .. } => {}
        }
        options
    }
}

/// Protocols and formats that an address of this scheme may lead to, and what they are told.
fn doors(scheme: Scheme) -> &'static [(&'static str, &'static str)] {
    match scheme {
        // A playlist may name encrypted segments; a plain server may send on to one with TLS.
        Scheme::Http | Scheme::Https => &[
            ("protocol_whitelist", "http,https,tcp,tls,crypto"),
            ("format_whitelist", WEB_FORMATS),
            ("user_agent", concat!("framevisor/", env!("CARGO_PKG_VERSION"))),
        ],
        Scheme::Rtmp => &[
            ("protocol_whitelist", "rtmp,tcp"),
            ("format_whitelist", "flv"),
            ("rtmp_live", "live"),
        ],
        Scheme::Rtmps => &[
            ("protocol_whitelist", "rtmps,tls,tcp"),
            ("format_whitelist", "flv"),
            ("rtmp_live", "live"),
        ],
        Scheme::Srt => &[("protocol_whitelist", "srt"), ("format_whitelist", "mpegts")],
        Scheme::Udp => &[
            ("protocol_whitelist", "udp"),
            ("format_whitelist", "mpegts"),
            // What is lost is counted by the demuxer; an error would end the stream.
            ("overrun_nonfatal", "1"),
            ("buffer_size", DATAGRAM_BYTES),
        ],
    }
}

/// The address for FFmpeg, whose RTMP takes the mode by an option and all behind the path as the stream's name.
fn location_of(stream: &StreamUrl) -> String {
    let url = stream.url().url();
    if stream.scheme() != Scheme::Rtmp {
        return url.to_owned();
    }
    let Some((path, query)) = url.split_once('?') else { return url.to_owned() };
    let own: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("mode=")).collect();
    if own.is_empty() { path.to_owned() } else { format!("{path}?{}", own.join("&")) }
}

/// Where a device really is: FFmpeg knows cameras by the names that the kernel gives them, and people call
/// them by links that stay (`/dev/v4l/by-id/...`).
fn node(path: &Path) -> Option<String> {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    real.to_str().map(str::to_owned)
}

/// Opens what `bytes` brings in this form.
pub(super) fn open_bytes(
    bytes: impl Read + Send + 'static,
    form: &str,
    name: &str,
    alarm: &Alarm,
    mut interrupt: Interrupt,
) -> Result<format::context::Input, MediaError> {
    load_libavformat()?;
    let options =
        [("protocol_whitelist", ""), ("format_whitelist", form), ("analyzeduration", ANALYSE_US)];
    let options: Dictionary<'_> = options.into_iter().collect();
    let raised = alarm.clone();
    let closure = move || interrupt() && raised.raise();
    let opened = StreamIo::from_read_with_capacity(bytes, PIPE_BYTES)
        .and_then(|io| format::input_from_stream_with_interrupt(io, None, Some(options), closure));
    opened.map_err(|error| match error {
        _ if alarm.is_raised() => MediaError::of(name, "opening", Error::Exit),
        Error::InvalidData | Error::Eof | Error::Other { errno: EINVAL } => {
            MediaError::NoStream { input: name.to_owned() }
        }
        error => MediaError::of(name, "opening", error),
    })
}

#[cfg(test)]
mod tests {
    use protocol::config::ingest::Source;

    use super::*;

    fn stream(text: &str) -> StreamUrl {
        match text.parse() {
            Ok(Source::Stream(stream)) => stream,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn rtmp_is_told_its_mode_by_an_option_and_keeps_the_rest_of_its_name() {
        let location = |text: &str| location_of(&stream(text));
        assert_eq!(location("rtmp://h/live/door?mode=listener"), "rtmp://h/live/door");
        assert_eq!(location("rtmp://h/live/door?k=1&mode=caller"), "rtmp://h/live/door?k=1");
        assert_eq!(location("srt://:9000?mode=listener"), "srt://:9000?mode=listener");
        let input = Input::Stream(stream("rtmp://127.0.0.1:1935/live/door?mode=listener"));
        assert!(input.options().contains(&("listen".to_owned(), "1".to_owned())));
    }

    #[test]
    fn no_stream_may_reach_a_file_or_another_protocol() {
        for text in ["http://h/a.m3u8", "rtmp://h/a/b", "srt://h:1", "udp://h:1", "https://h/"] {
            let options = Input::Stream(stream(text)).options();
            let allowed = &options.iter().find(|(key, _)| key == "protocol_whitelist").unwrap().1;
            for other in ["file", "data", "pipe", "subfile", "concat", "ftp", "unix"] {
                assert!(!allowed.split(',').any(|name| name == other), "{text}: {allowed}");
            }
        }
    }
}
