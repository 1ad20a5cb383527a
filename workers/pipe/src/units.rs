//! The units of an elementary stream, as a ring carries them.

use bitstream::Family;
use protocol::stream::Codec;

use crate::annexb::AnnexB;
use crate::jpeg::Jpegs;

/// One access unit or picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) bytes: Vec<u8>,
    /// Decoding can start here.
    pub(crate) key: bool,
}

/// More than any camera's or encoder's unit: what goes beyond is no such stream.
pub(crate) const UNIT_MAX_BYTES: usize = 16 << 20;

/// Why bytes are no such stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoStream(pub(crate) String);

/// Bytes as they come, into units.
#[derive(Debug)]
pub(crate) enum Splitter {
    AnnexB(AnnexB),
    Jpeg(Jpegs),
}

impl Splitter {
    /// `None` for a codec whose units cannot be told apart here.
    pub(crate) fn of(codec: Codec) -> Option<Self> {
        if codec == Codec::Mjpeg {
            return Some(Self::Jpeg(Jpegs::default()));
        }
        Family::of(codec).map(|family| Self::AnnexB(AnnexB::new(family)))
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Unit>, NoStream> {
        match self {
            Self::AnnexB(stream) => stream.push(bytes),
            Self::Jpeg(stream) => stream.push(bytes),
        }
    }

    /// At the end: what is whole now, of a stream whose units end where the next begins.
    pub(crate) fn rest(&mut self) -> Vec<Unit> {
        match self {
            Self::AnnexB(stream) => stream.rest(),
            Self::Jpeg(_) => Vec::new(),
        }
    }

    /// Whether pictures come in another order than they are shown in. Then their times are wrong: the bytes tell
    /// none, and they are counted as they come.
    pub(crate) fn reorders(&self) -> bool {
        match self {
            Self::AnnexB(stream) => stream.reorders(),
            Self::Jpeg(_) => false,
        }
    }

    /// Parameter sets seen so far.
    pub(crate) fn extradata(&self) -> &[u8] {
        match self {
            Self::AnnexB(stream) => stream.parameter_sets(),
            Self::Jpeg(_) => &[],
        }
    }
}
