//! The health page: 4 KiB a built-in worker, written by it, read by the supervisor with pread.
//!
//! All words are u64, little-endian, written with relaxed atomics: a reader may see one word newer
//! than another, never a torn word. The supervisor believes none of it beyond showing and timing.

use serde::{Deserialize, Serialize};

/// Size of the page.
pub const PAGE_BYTES: usize = 4096;
/// First word: "FVHEALT1".
pub const MAGIC: u64 = u64::from_le_bytes(*b"FVHEALT1");

/// Word indices.
pub mod word {
    pub const MAGIC: usize = 0;
    /// Raised at every step of the worker's loop.
    pub const BEAT: usize = 1;
    /// Sequence last taken from the input.
    pub const IN_SEQUENCE: usize = 2;
    /// Sequence last published or written.
    pub const OUT_SEQUENCE: usize = 3;
    /// Epoch and sequence of the item being worked on; sequence 0 when none.
    pub const ITEM_EPOCH: usize = 4;
    pub const ITEM_SEQUENCE: usize = 5;
    /// Items lost to overruns or damage.
    pub const MISSED: usize = 6;
    /// Changes whenever it takes anything from any of its inputs; 0 before the first.
    pub const TAKEN: usize = 7;
    /// Code of the [`PictureHealth`](super::PictureHealth) of the camera it reads or decodes.
    pub const PICTURE: usize = 8;
    pub const COUNT: usize = 9;
}

/// What a worker makes of the pictures that pass through it. The codes are the page's and never change.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[repr(u64)]
pub enum PictureHealth {
    /// It does not look, or has not seen enough.
    #[default]
    Unknown = 0,
    Ok = 1,
    /// The same picture for long.
    Frozen = 2,
    Black = 3,
    /// All of one gray or colour.
    Blank = 4,
    /// Far fewer or more pictures a second than expected.
    Rate = 5,
}

impl PictureHealth {
    /// What can be wrong.
    pub const FAULTS: [Self; 4] = [Self::Frozen, Self::Black, Self::Blank, Self::Rate];

    pub fn code(self) -> u64 {
        self as u64
    }

    /// [`Self::Unknown`] for a code that nobody gave.
    pub fn from_code(code: u64) -> Self {
        let known = Self::FAULTS.into_iter().chain([Self::Ok]);
        known.into_iter().find(|it| it.code() == code).unwrap_or_default()
    }

    pub fn is_fault(self) -> bool {
        Self::FAULTS.contains(&self)
    }

    pub fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Frozen => "frozen",
            Self::Black => "black",
            Self::Blank => "blank",
            Self::Rate => "rate",
        }
    }
}

/// One reading of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    pub beat: u64,
    pub in_sequence: u64,
    pub out_sequence: u64,
    pub item_epoch: u64,
    pub item_sequence: u64,
    pub missed: u64,
    pub taken: u64,
    pub picture: PictureHealth,
}

impl Health {
    /// `None` when the bytes are no health page (a short read, a worker that has not begun).
    pub fn parse(page: &[u8]) -> Option<Self> {
        let word = |index: usize| {
            let bytes = page.get(index * 8..index * 8 + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        (word(word::MAGIC)? == MAGIC).then_some(Self {
            beat: word(word::BEAT)?,
            in_sequence: word(word::IN_SEQUENCE)?,
            out_sequence: word(word::OUT_SEQUENCE)?,
            item_epoch: word(word::ITEM_EPOCH)?,
            item_sequence: word(word::ITEM_SEQUENCE)?,
            missed: word(word::MISSED)?,
            taken: word(word::TAKEN)?,
            picture: PictureHealth::from_code(word(word::PICTURE)?),
        })
    }
}
