//! The binary frame of our own control datagrams: one version byte, then bincode 1.3.3 with fixed
//! integers, a size limit and no trailing bytes.
//!
//! bincode is unmaintained (RUSTSEC-2025-0141) and complete; `wincode` reads the same bytes and is
//! the way out. Nothing outside this module names it. Scripts and other languages get JSON.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// First byte of every frame.
pub const FRAME_VERSION: u8 = 1;
/// Largest frame: one SOCK_SEQPACKET datagram.
pub const FRAME_MAX_BYTES: usize = 64 * 1024;

/// Why a frame was refused. The sender is to blame, and only the sender is cut off.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("control frame of {seen} bytes: at most {allowed} are allowed")]
    TooLong { seen: usize, allowed: usize },
    #[error("control frame of version {seen}: this program speaks {FRAME_VERSION}")]
    Version { seen: u8 },
    #[error("empty control frame")]
    Empty,
    #[error("control frame does not decode: {0}")]
    Body(#[from] bincode::Error),
}

fn options(allowed: usize) -> impl Options {
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_limit(allowed as u64)
        .reject_trailing_bytes()
}

/// For one datagram.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    encode_within(FRAME_MAX_BYTES, message)
}

pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, FrameError> {
    decode_within(FRAME_MAX_BYTES, frame)
}

/// For what is kept in a file: at most `allowed` bytes.
pub fn encode_within<T: Serialize>(allowed: usize, message: &T) -> Result<Vec<u8>, FrameError> {
    let mut frame = vec![FRAME_VERSION];
    options(allowed).serialize_into(&mut frame, message)?;
    if frame.len() > allowed {
        return Err(FrameError::TooLong { seen: frame.len(), allowed });
    }
    Ok(frame)
}

pub fn decode_within<T: DeserializeOwned>(allowed: usize, frame: &[u8]) -> Result<T, FrameError> {
    if frame.len() > allowed {
        return Err(FrameError::TooLong { seen: frame.len(), allowed });
    }
    match frame.split_first() {
        None => Err(FrameError::Empty),
        Some((&FRAME_VERSION, body)) => Ok(options(allowed).deserialize(body)?),
        Some((&seen, _)) => Err(FrameError::Version { seen }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Condition, ToSupervisor, ToWorker};
    use proptest::prelude::*;

    #[test]
    fn the_bytes_on_the_wire_never_change() {
        let golden: &[u8] = &[1, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, b'4', b'0', b'1'];
        let message =
            ToSupervisor::Condition { condition: Condition::Degraded, why: "401".to_owned() };
        assert_eq!(encode(&message).unwrap(), golden);
        assert_eq!(decode::<ToSupervisor>(golden).unwrap(), message);
        assert_eq!(
            encode(&ToWorker::Stop { grace_ms: 2000 }).unwrap(),
            [1, 0, 0, 0, 0, 0xd0, 7, 0, 0]
        );
    }

    #[test]
    fn a_forged_length_is_an_error_not_an_allocation() {
        let mut frame = vec![FRAME_VERSION, 0, 0, 0, 0, 1, 0, 0, 0];
        frame.extend(u64::MAX.to_le_bytes());
        assert!(decode::<ToSupervisor>(&frame).is_err());
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut frame = encode(&ToSupervisor::Ready).unwrap();
        frame.push(0);
        assert!(decode::<ToSupervisor>(&frame).is_err());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(frame in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode::<ToSupervisor>(&frame);
            let _ = decode::<ToWorker>(&frame);
        }
    }
}
