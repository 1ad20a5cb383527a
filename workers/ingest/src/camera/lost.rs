//! Why a connection is over, and how soon it is worth another try.

use media::MediaError;

use crate::rtsp::{Cause, RtspError};

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("{0}: the camera ended the stream; expected it to go on: see the camera's own log")]
    Ended(String),
    #[error(transparent)]
    Media(MediaError),
    #[error(transparent)]
    Rtsp(RtspError),
    #[error(
        "{name}: no picture for {seconds} s; expected a live stream: is the camera's encoder on?"
    )]
    Silent { name: String, seconds: u64 },
    #[error(
        "{name}: nobody has sent anything for {seconds} s; expected a stream to be sent here: does the sender have this address?"
    )]
    NobodySends { name: String, seconds: u64 },
    #[error("{0}: nothing came by UDP; TCP is tried from now on")]
    NotByUdp(String),
    #[error("the worker is stopping")]
    Stopping,
}

impl Lost {
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Rtsp(error) => error.cause(),
            Self::Media(MediaError::Unauthorized { .. }) => Cause::Password,
            Self::Media(
                MediaError::Codec { .. }
                | MediaError::Missing { .. }
                | MediaError::NoDevices { .. }
                | MediaError::NoStream { .. }
                | MediaError::NoTracks { .. }
                | MediaError::NotFound { .. }
                | MediaError::Other { .. },
            ) => Cause::Refusing,
            _ => Cause::Absent,
        }
    }
}
