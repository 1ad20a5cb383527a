//! A worker that outlives its supervisor, and the supervisor that takes it up.
//!
//! ```text
//! supervisor                                worker, whose control link has ended
//!   | connect ------------------------------> |   its socket in the runtime directory
//!   | Adopt {version, fence} + 2 fds -------> |   where it prints from now on: stdout, stderr
//!   | <------------- Adopted {pid} + 1 fd     |   its health page
//!   | <------------- Condition, as it is now  |   from here on the connection is the control link
//! ```
//!
//! Frames are those of [`crate::codec`], one a datagram.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What tells one start of one worker from any other: random, known to the worker and to its project's
/// supervisors. Who has it may adopt; who has another is a process of another run.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence([u8; 16]);

/// First of the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopt {
    /// [`crate::control::CONTROL_VERSION`]: another one is refused.
    pub version: u32,
    pub fence: Fence,
}

/// First of the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    pub pid: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{seen}': expected 32 hexadecimal digits")]
pub struct FenceError {
    seen: String,
}

impl Fence {
    pub fn new(random: [u8; 16]) -> Self {
        Self(random)
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// It lets its holder speak for the supervisor: no log shows it.
impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fence(..)")
    }
}

impl FromStr for Fence {
    type Err = FenceError;

    fn from_str(text: &str) -> Result<Self, FenceError> {
        let is_digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_digits);
        let number = number.ok_or_else(|| FenceError { seen: text.to_owned() })?;
        Ok(Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_reads_as_it_is_written_and_is_not_shown() {
        let fence = Fence::new([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255]);
        assert_eq!(fence.to_string(), "000102030405060708090a0b0c0d0eff");
        assert_eq!(fence.to_string().parse(), Ok(fence));
        assert_eq!(format!("{fence:?}"), "Fence(..)");
        for bad in
            ["", "0001", "+00102030405060708090a0b0c0d0eff", "g0102030405060708090a0b0c0d0eff0"]
        {
            assert!(bad.parse::<Fence>().is_err(), "{bad}");
        }
    }
}
