//! The schema of a topology's worker sections: one file a kind, what the user may write, with its
//! unit, default and effect. Normative. The supervisor checks keys and places; the meaning is here.

pub mod access;
mod as_text;
pub mod compositor;
pub mod datagrams;
pub mod decoder;
pub mod detect;
pub mod device;
pub mod encoder;
pub mod health;
pub mod ingest;
pub mod limits;
pub mod mixer;
pub mod motion;
pub mod notify;
pub mod onvif;
pub mod pipe;
pub mod policy;
pub mod publisher;
pub mod push;
pub mod recorder;
pub mod replay;
pub mod rtsp;
pub mod rules;
pub mod served;
pub mod source_url;
pub mod stream_url;
pub mod tensor;
mod test_pattern;
pub mod token;
pub mod uploader;
pub mod web;
pub mod webrtc;
pub mod when;
pub mod zone;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::RingKind;
use crate::units::{BitRate, Span};

pub use access::{Basic, TlsConfig, UserConfig, Users};
pub use compositor::CompositorConfig;
pub use datagrams::{GroupPool, PortRange, UdpPorts};
pub use decoder::DecoderConfig;
pub use detect::DetectConfig;
pub use encoder::EncoderConfig;
pub use health::{Patience, PictureLimits, RateLimits, Share};
pub use ingest::IngestConfig;
pub use limits::{Ceiling, Cpus, LimitsConfig, Network};
pub use mixer::{MixCodec, MixSource, MixerConfig};
pub use motion::MotionConfig;
pub use notify::NotifyConfig;
pub use onvif::OnvifConfig;
pub use pipe::{Coded, Container, Makes, Pace, PipeConfig, Raw, SampleForm, Samples};
pub use policy::ReadPolicy;
pub use push::{PushConfig, PushUrl};
pub use recorder::{ACCEPT_FILE, FreeSpace, Keep, RecorderConfig, Until};
pub use replay::ReplayConfig;
pub use rtsp::{RtspConfig, RtspSetup};
pub use rules::{Rule, RulesConfig};
pub use served::{BasePath, HostName};
pub use token::{Right, TokenConfig, Tokens};
pub use uploader::UploaderConfig;
pub use web::{Shelf, WebConfig, WebSetup};
pub use webrtc::WebrtcConfig;
pub use when::{EventRule, Patterns, When};

/// The built-in worker kinds: what `use:` may say. Each is the binary `framevisor-<kind>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Decoder,
    Ingest,
    Motion,
    Notify,
    Recorder,
    Replay,
    Rtsp,
    Uploader,
    Web,
    /// Beside a command: `stdin` and `stdout` of `run:` bring it, no file says `use: pipe`.
    Pipe,
    Encoder,
    Compositor,
    #[serde(rename = "rtsp-push")]
    RtspPush,
    Mixer,
    Detect,
    Rules,
}

impl Kind {
    pub const ALL: [Self; 15] = [
        Self::Compositor,
        Self::Decoder,
        Self::Detect,
        Self::Encoder,
        Self::Ingest,
        Self::Mixer,
        Self::Motion,
        Self::Notify,
        Self::Recorder,
        Self::Replay,
        Self::Rtsp,
        Self::RtspPush,
        Self::Rules,
        Self::Uploader,
        Self::Web,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compositor => "compositor",
            Self::Decoder => "decoder",
            Self::Detect => "detect",
            Self::Encoder => "encoder",
            Self::Ingest => "ingest",
            Self::Mixer => "mixer",
            Self::Motion => "motion",
            Self::Notify => "notify",
            Self::Recorder => "recorder",
            Self::Replay => "replay",
            Self::Rtsp => "rtsp",
            Self::RtspPush => "rtsp-push",
            Self::Rules => "rules",
            Self::Uploader => "uploader",
            Self::Web => "web",
            Self::Pipe => "pipe",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Kinds of ring it may read; empty when it reads none.
    pub fn reads(self) -> &'static [RingKind] {
        match self {
            Self::Ingest | Self::Notify | Self::Replay | Self::Uploader => &[],
            Self::Compositor | Self::Rules => &[RingKind::Frames, RingKind::Events],
            Self::Decoder | Self::Mixer | Self::Recorder | Self::Rtsp | Self::RtspPush => {
                &[RingKind::Packets]
            }
            Self::Detect | Self::Motion => &[RingKind::Frames],
            Self::Encoder | Self::Pipe => &[RingKind::Packets, RingKind::Frames],
            Self::Web => &[RingKind::Packets, RingKind::Frames, RingKind::Events],
        }
    }

    /// Kind of the ring it writes; `None` also for one that writes what its section says.
    pub fn writes(self) -> Option<RingKind> {
        match self {
            Self::Encoder | Self::Ingest | Self::Mixer | Self::Replay => Some(RingKind::Packets),
            Self::Compositor | Self::Decoder => Some(RingKind::Frames),
            Self::Detect | Self::Motion | Self::Rules => Some(RingKind::Events),
            Self::Notify
            | Self::Pipe
            | Self::Recorder
            | Self::Rtsp
            | Self::RtspPush
            | Self::Uploader
            | Self::Web => None,
        }
    }

    /// Whether its section may say `policy`: it must lose nothing.
    pub fn has_policy(self) -> bool {
        matches!(self, Self::Encoder | Self::Recorder)
    }

    /// Whether it reads exactly one ring.
    pub fn single_input(self) -> bool {
        matches!(self, Self::Decoder | Self::Encoder | Self::Motion | Self::Pipe | Self::RtspPush)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The typed section of one built-in worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum WorkerConfig {
    Decoder(DecoderConfig),
    Ingest(IngestConfig),
    Motion(MotionConfig),
    Notify(NotifyConfig),
    Recorder(RecorderConfig),
    Replay(ReplayConfig),
    Rtsp(RtspSetup),
    Uploader(UploaderConfig),
    Web(Box<WebSetup>),
    Pipe(PipeConfig),
    Encoder(EncoderConfig),
    Compositor(CompositorConfig),
    RtspPush(PushConfig),
    Mixer(MixerConfig),
    Detect(Box<DetectConfig>),
    Rules(RulesConfig),
}

impl WorkerConfig {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Compositor(_) => Kind::Compositor,
            Self::Decoder(_) => Kind::Decoder,
            Self::Detect(_) => Kind::Detect,
            Self::Encoder(_) => Kind::Encoder,
            Self::Ingest(_) => Kind::Ingest,
            Self::Mixer(_) => Kind::Mixer,
            Self::Motion(_) => Kind::Motion,
            Self::Notify(_) => Kind::Notify,
            Self::Recorder(_) => Kind::Recorder,
            Self::Replay(_) => Kind::Replay,
            Self::Rtsp(_) => Kind::Rtsp,
            Self::RtspPush(_) => Kind::RtspPush,
            Self::Rules(_) => Kind::Rules,
            Self::Uploader(_) => Kind::Uploader,
            Self::Web(_) => Kind::Web,
            Self::Pipe(_) => Kind::Pipe,
        }
    }
}

/// `restart: {delay: 0.25s..30s, limit: 5 in 60s}`; either part may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartConfig {
    /// Back-off after the first, immediate restart; doubles up to `delay_max`.
    pub delay: Span,
    pub delay_max: Span,
    /// Deaths inside `limit_window` after which the worker is held; `None` turns the hold off.
    pub limit: Option<u32>,
    pub limit_window: Span,
}

impl Default for RestartConfig {
    /// A camera site recovers in a second, and a broken worker costs little.
    fn default() -> Self {
        Self {
            delay: Span::from_millis(250),
            delay_max: Span::from_millis(30_000),
            limit: Some(5),
            limit_window: Span::from_millis(60_000),
        }
    }
}

/// One entry of `rings:`; every key has a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RingConfig {
    /// Places for readers beyond those the topology names.
    pub spare_readers: u32,
    /// Frame rings: published pictures kept beside the newest.
    pub history: u32,
    /// Packet rings: highest rate the source sends; ten seconds of it set the ring's depth.
    pub max_bitrate: BitRate,
    pub access: Access,
    /// Frame rings: where the pictures lie.
    pub memory: Memory,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self {
            spare_readers: 2,
            history: 1,
            max_bitrate: BitRate(8_000_000),
            access: Access::default(),
            memory: Memory::default(),
        }
    }
}

/// How readers come to a ring's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// By name in /dev/shm, for programs that are trusted not to mean harm.
    #[default]
    Named,
    /// From the supervisor's broker, for those that are not.
    Brokered,
}

/// Where the pictures of a frame ring lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// In shared memory of the machine.
    #[default]
    Host,
    /// In the memory of a CUDA device; only who they are and where lies in shared memory.
    Cuda,
}
