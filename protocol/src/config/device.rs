//! `v4l2:PATH?size=&fps=&format=`: a camera at this host that encodes by itself.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::ingest::{SourceError, in_range};
use crate::units::Size;

/// A video device, and what it is asked for; what is not said is the device's own choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub path: PathBuf,
    pub size: Option<Size>,
    pub fps: Option<u32>,
    pub format: DeviceFormat,
}

/// What a device may give that a packet ring carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceFormat {
    H264,
    H265,
    #[default]
    Mjpeg,
}

impl DeviceFormat {
    const ALL: [Self; 3] = [Self::H264, Self::H265, Self::Mjpeg];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Mjpeg => "mjpeg",
        }
    }
}

impl FromStr for Device {
    type Err = SourceError;
    /// Of what follows `v4l2:`.
    fn from_str(text: &str) -> Result<Self, SourceError> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        if !path.starts_with('/') || path.contains('\0') {
            return Err(SourceError::DevicePath(path.to_owned()));
        }
        let (size, fps, format) = (None, None, DeviceFormat::default());
        let mut device = Self { path: path.into(), size, fps, format };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, seen) = pair.split_once('=').unwrap_or((pair, ""));
            let bad = |expected| {
                let (key, seen) = (key.to_owned(), seen.to_owned());
                SourceError::DeviceValue { key, seen, expected }
            };
            match key {
                "size" => device.size = Some(seen.parse().map_err(|_| bad("WIDTHxHEIGHT"))?),
                "fps" => device.fps = Some(in_range(seen, 1, 240).ok_or_else(|| bad("1 to 240"))?),
                "format" => {
                    let found = DeviceFormat::ALL.into_iter().find(|it| it.as_str() == seen);
                    device.format = found.ok_or_else(|| {
                        bad("mjpeg, h264 or h265; raw pictures come by `run` with `stdout` and `raw`")
                    })?;
                }
                other => return Err(SourceError::DeviceKey { key: other.to_owned() }),
            }
        }
        Ok(device)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v4l2:{}?format={}", self.path.display(), self.format.as_str())?;
        if let Some(size) = self.size {
            write!(f, "&size={size}")?;
        }
        self.fps.map_or(Ok(()), |fps| write!(f, "&fps={fps}"))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::ingest::Source;

    #[test]
    fn a_device_reads_back_as_it_prints_and_what_it_cannot_be_is_told() {
        let source: Source = "v4l2:/dev/video0?size=1280x720&fps=30&format=h264".parse().unwrap();
        assert_eq!(source.to_string().parse::<Source>().unwrap(), source);
        let plain: Source = "v4l2:/dev/video0".parse().unwrap();
        assert_eq!(plain.to_string(), "v4l2:/dev/video0?format=mjpeg");
        for (text, told) in [
            ("v4l2:video0", "v4l2:/dev/video0"),
            ("v4l2:/dev/video0?format=yuyv", "come by `run`"),
            ("v4l2:/dev/video0?colour=red", "expected size, fps or format"),
            ("v4l2:/dev/video0?fps=0", "1 to 240"),
        ] {
            let error = text.parse::<Source>().unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
