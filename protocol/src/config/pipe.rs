//! The pipe worker beside a command of the user's: `stdin: RING` and `stdout: RING` of `run:`.

use serde::{Deserialize, Serialize};

use super::ReadPolicy;
use crate::name::WorkerName;
use crate::stream::{Codec, PixelFormat};
use crate::units::Size;

/// No section of a file: the supervisor makes it of the command's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipeConfig {
    /// At the other end of the pipes.
    pub command: WorkerName,
    /// The command's stdin gets what the worker's input ring holds.
    pub feeds: bool,
    /// How the input ring is read.
    pub policy: ReadPolicy,
    /// What the command's stdout holds; it goes to the worker's output ring.
    pub makes: Option<Makes>,
}

impl PipeConfig {
    /// A command that is fed prints when it is; any other is taken for a camera.
    pub fn pace(&self) -> Pace {
        let told = match self.makes {
            Some(Makes::Pictures(raw)) => raw.pace,
            _ => None,
        };
        told.unwrap_or(if self.feeds { Pace::AsFast } else { Pace::Live })
    }
}

/// What a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Makes {
    Pictures(Raw),
    Packets(Coded),
    Sound(Samples),
    /// Read by `framevisor-ingest`, which can take containers apart.
    Container(Container),
}

/// What tells by itself what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Container {
    Flv,
    Matroska,
    MpegTs,
}

impl Container {
    pub const ALL: [Self; 3] = [Self::Flv, Self::Matroska, Self::MpegTs];

    /// As a topology and FFmpeg call it.
    pub fn form(self) -> &'static str {
        match self {
            Self::Flv => "flv",
            Self::Matroska => "matroska",
            Self::MpegTs => "mpegts",
        }
    }

    pub fn of(form: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|container| container.form() == form)
    }
}

/// Under `raw:`. Pictures one behind the other, without anything between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    pub format: PixelFormat,
    pub size: Size,
    /// Bytes from one row of the first plane to the next; 0: as many as a row has. Of planes with
    /// halved rows it is half of that.
    #[serde(default)]
    pub stride: u32,
    /// Pictures a second.
    pub fps: u32,
    /// Without it as [`PipeConfig::pace`] says.
    #[serde(default)]
    pub pace: Option<Pace>,
}

/// How a command prints its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// As they are taken, like a camera: bytes that come at another rate are other pictures.
    Live,
    /// As fast as it can, or as it is fed.
    AsFast,
}

/// Under `codec:`. An elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coded {
    pub name: Codec,
    pub size: Size,
    /// Pictures a second.
    pub fps: u32,
}

/// Under `sound:`. Samples of all channels by turns, without anything between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    /// Samples a second of each channel.
    pub hz: u32,
    #[serde(default = "one")]
    pub channels: u32,
    #[serde(default)]
    pub samples: SampleForm,
}

fn one() -> u32 {
    1
}

/// How a sample is written, as ffmpeg calls it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleForm {
    #[default]
    S16le,
    S32le,
    F32le,
}

impl SampleForm {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::S16le => "s16le",
            Self::S32le => "s32le",
            Self::F32le => "f32le",
        }
    }

    /// Bytes of one sample of one channel.
    pub fn bytes(self) -> usize {
        match self {
            Self::S16le => 2,
            Self::S32le | Self::F32le => 4,
        }
    }
}

impl Raw {
    /// Bytes from one row of `plane` to the next, as the command prints them. `None` where the stride
    /// is shorter than a row.
    pub fn linesize(&self, plane: usize) -> Option<u32> {
        let Size { width, height } = self.size;
        let row_of = |plane| self.format.plane_extent(plane, width, height).row_bytes;
        let (first, own) = (row_of(0), row_of(plane));
        let linesize = match self.stride {
            0 => own,
            stride if plane > 0 && own <= first.div_ceil(2) => stride.div_ceil(2),
            stride => stride,
        };
        (linesize >= own).then_some(linesize)
    }

    /// Of one picture. `None` where the stride is shorter than a row.
    pub fn picture_bytes(&self) -> Option<u64> {
        let Size { width, height } = self.size;
        let plane_bytes = |plane| {
            let rows = self.format.plane_extent(plane, width, height).rows;
            Some(u64::from(self.linesize(plane)?) * u64::from(rows))
        };
        (0..self.format.planes()).map(plane_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(format: PixelFormat, stride: u32) -> Raw {
        Raw { format, size: Size { width: 6, height: 4 }, stride, fps: 25, pace: None }
    }

    #[test]
    fn a_command_without_stdin_is_a_camera_unless_it_says_otherwise() {
        let config = |feeds, pace| PipeConfig {
            command: "a/command".parse().unwrap(),
            feeds,
            policy: ReadPolicy::Latest,
            makes: Some(Makes::Pictures(Raw { pace, ..raw(PixelFormat::Nv12, 0) })),
        };
        assert_eq!([false, true].map(|it| config(it, None).pace()), [Pace::Live, Pace::AsFast]);
        assert_eq!(config(true, Some(Pace::Live)).pace(), Pace::Live);
        assert_eq!(config(false, Some(Pace::AsFast)).pace(), Pace::AsFast);
    }

    #[test]
    fn rows_lie_as_the_command_prints_them() {
        assert_eq!(raw(PixelFormat::Yuv420p, 0).picture_bytes(), Some(6 * 4 * 3 / 2));
        let wide = raw(PixelFormat::Yuv420p, 16);
        assert_eq!([0, 1, 2].map(|plane| wide.linesize(plane)), [Some(16), Some(8), Some(8)]);
        assert_eq!(wide.picture_bytes(), Some(16 * 4 + 2 * 8 * 2));
        assert_eq!(raw(PixelFormat::Nv12, 16).picture_bytes(), Some(16 * 6));
        assert_eq!(raw(PixelFormat::Rgb24, 17).picture_bytes(), None, "a row has 18 bytes");
    }
}
