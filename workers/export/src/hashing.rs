//! What went through: how much, and its hash.
//!
//! BLAKE3 keeps up with a copy on any processor that has vector units; SHA-256 does so only where the
//! processor has instructions for it.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use protocol::verb::ExportHash;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

/// Pieces that may wait for the thread that hashes: the copy is not held up by one that is slow.
const WAITING: usize = 2;
/// Hashes of many blocks at once need this much to be quick, and caches hold it.
const READ_BYTES: usize = 256 << 10;

/// What a file is told by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hash {
    pub algorithm: ExportHash,
    /// 64 hexadecimal digits.
    pub hex: String,
}

/// What went through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) bytes: u64,
    pub(crate) hash: Hash,
}

/// One algorithm at work.
enum Hasher {
    Blake3(Box<blake3::Hasher>),
    Sha256(Box<Context>),
}

impl Hasher {
    fn new(algorithm: ExportHash) -> Self {
        match algorithm {
            ExportHash::Blake3 => Self::Blake3(Box::default()),
            ExportHash::Sha256 => Self::Sha256(Box::new(Context::new(&SHA256))),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Sha256(context) => context.update(bytes),
        }
    }

    fn finish(self) -> Hash {
        match self {
            Self::Blake3(hasher) => {
                let hex = hasher.finalize().to_hex().to_string();
                Hash { algorithm: ExportHash::Blake3, hex }
            }
            Self::Sha256(context) => {
                Hash { algorithm: ExportHash::Sha256, hex: hex(context.finish().as_ref()) }
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::new();
    for byte in bytes {
        // Writing to a text never fails.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Sums up pieces of a file, while whoever gives them writes them.
pub(crate) struct Summing {
    bytes: u64,
    way: Way,
}

enum Way {
    /// Other threads copy other files meanwhile.
    Here(Hasher),
    /// A processor is left for it.
    Beside { to: SyncSender<Arc<Vec<u8>>>, thread: JoinHandle<Hash> },
}

impl Summing {
    pub(crate) fn new(algorithm: ExportHash, beside: bool) -> Self {
        let beside = beside.then(|| Way::beside(algorithm)).transpose();
        // Without another thread it takes longer, and is the same.
        let way = beside.ok().flatten().unwrap_or_else(|| Way::Here(Hasher::new(algorithm)));
        Self { bytes: 0, way }
    }

    pub(crate) fn take(&mut self, piece: &Arc<Vec<u8>>) {
        self.bytes += piece.len() as u64;
        match &mut self.way {
            Way::Here(hasher) => hasher.update(piece),
            // It ends only by a panic, which is told when it is waited for.
            Way::Beside { to, .. } => drop(to.send(Arc::clone(piece))),
        }
    }

    pub(crate) fn finish(self) -> Sum {
        let hash = match self.way {
            Way::Here(hasher) => hasher.finish(),
            Way::Beside { to, thread } => {
                drop(to);
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
        };
        Sum { bytes: self.bytes, hash }
    }
}

impl Way {
    fn beside(algorithm: ExportHash) -> io::Result<Self> {
        let (to, pieces) = sync_channel::<Arc<Vec<u8>>>(WAITING);
        let run = move || {
            let mut hasher = Hasher::new(algorithm);
            pieces.iter().for_each(|piece| hasher.update(&piece));
            hasher.finish()
        };
        let thread = thread::Builder::new().name("hash".to_owned()).spawn(run)?;
        Ok(Self::Beside { to, thread })
    }
}

/// Memory for pieces that somebody else may still read.
#[derive(Default)]
pub(crate) struct Pieces(Vec<Arc<Vec<u8>>>);

impl Pieces {
    /// One that nobody reads any more, or a new one, filled by `fill`.
    pub(crate) fn fill<E>(
        &mut self,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Arc<Vec<u8>>, E> {
        let free = self.0.iter_mut().position(|piece| Arc::get_mut(piece).is_some());
        let mut piece = free.map(|at| self.0.swap_remove(at)).unwrap_or_default();
        if let Some(bytes) = Arc::get_mut(&mut piece) {
            fill(bytes)?;
        }
        self.0.push(Arc::clone(&piece));
        Ok(piece)
    }
}

/// Of all that `from` holds; `go_on` is asked between its pieces.
pub(crate) fn sum_of<E>(
    from: &mut impl Read,
    algorithm: ExportHash,
    failed: impl Fn(io::Error) -> E,
    go_on: impl Fn() -> Result<(), E>,
) -> Result<Sum, E> {
    let mut hasher = Hasher::new(algorithm);
    let mut piece = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        go_on()?;
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(Sum { bytes, hash: hasher.finish() }),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        hasher.update(&piece[..read]);
        bytes += read as u64;
    }
}

/// Of a text that is held.
pub(crate) fn hash_of(text: &str, algorithm: ExportHash) -> Hash {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// FIPS 180-4, appendix of examples; the BLAKE3 paper's reference implementation.
    const ABC: [(ExportHash, &str); 2] = [
        (ExportHash::Sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (ExportHash::Blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
    ];

    #[test]
    fn the_hash_of_three_letters_is_the_published_one_in_every_way() {
        for (algorithm, expected) in ABC {
            let expected = Hash { algorithm, hex: expected.to_owned() };
            assert_eq!(hash_of("abc", algorithm), expected);
            for beside in [false, true] {
                let mut summing = Summing::new(algorithm, beside);
                for piece in [&b"a"[..], b"", b"bc"] {
                    summing.take(&Arc::new(piece.to_vec()));
                }
                assert_eq!(summing.finish(), Sum { bytes: 3, hash: expected.clone() });
            }
            let mut read = &b"abc"[..];
            let sum = sum_of(&mut read, algorithm, |error| error, || Ok(())).unwrap();
            assert_eq!(sum, Sum { bytes: 3, hash: expected });
        }
    }

    #[test]
    fn memory_is_taken_again_once_nobody_reads_it() {
        let mut pieces = Pieces::default();
        let mut fill = |byte: u8| {
            pieces.fill(|bytes| {
                bytes.clear();
                bytes.push(byte);
                Ok::<(), Infallible>(())
            })
        };
        let first = fill(1).unwrap();
        let at = first.as_ptr();
        let second = fill(2).unwrap();
        assert_eq!((first[0], second[0]), (1, 2));
        drop(first);
        let third = fill(3).unwrap();
        assert_eq!((third.as_ptr(), third[0], second[0]), (at, 3, 2));
    }
}
