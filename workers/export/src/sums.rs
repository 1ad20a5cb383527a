//! `B3SUMS` and `SHA256SUMS` beside a manifest: what `b3sum -c` and `sha256sum -c` read, so that nobody needs
//! this program to check an export.

use std::fmt::Write as _;

use protocol::verb::ExportHash;

use crate::hashing::Hash;

/// Hexadecimal digits of 256 bits.
const DIGITS: usize = 64;
/// Between a hash and the name of its file; with a star in place of the second space in binary mode, which
/// is the same here.
const BETWEEN: [&str; 2] = ["  ", " *"];

/// The lines of such a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums(Vec<(String, String)>);

impl Sums {
    pub(crate) fn add(&mut self, name: &str, hash: &Hash) {
        self.0.push((name.to_owned(), hash.hex.clone()));
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (name, hex) in &self.0 {
            // Writing to a text never fails.
            let _ = writeln!(text, "{hex}  {name}");
        }
        text
    }

    /// `None` when a line is none of such a file.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let line = |line: &str| {
            let hex = line.get(..DIGITS).filter(|hex| hex.bytes().all(|it| it.is_ascii_hexdigit()));
            let name = BETWEEN.iter().find_map(|between| line[hex?.len()..].strip_prefix(between));
            Some((name?.to_owned(), hex?.to_lowercase()))
        };
        text.lines().filter(|text| !text.is_empty()).map(line).collect::<Option<_>>().map(Self)
    }

    /// Each file with what it is to be told by.
    pub(crate) fn hashes(self, algorithm: ExportHash) -> impl Iterator<Item = (String, Hash)> {
        self.0.into_iter().map(move |(name, hex)| (name, Hash { algorithm, hex }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashing::hash_of;

    #[test]
    fn what_is_written_is_read_again_and_so_is_what_others_write() {
        let algorithm = ExportHash::Blake3;
        let hash = hash_of("abc", algorithm);
        let mut sums = Sums::default();
        sums.add("cam1.mp4", &hash);
        sums.add("a b.txt", &hash);
        assert_eq!(Sums::read(&sums.text()), Some(sums.clone()));
        let binary = format!("{} *cam1.mp4\n", hash.hex.to_uppercase());
        let read: Vec<_> = Sums::read(&binary).unwrap().hashes(algorithm).collect();
        assert_eq!(read, [("cam1.mp4".to_owned(), hash)]);
    }

    #[test]
    fn what_is_no_such_file_is_not_read_as_one() {
        let joined = format!("{}cam1.mp4", "0".repeat(64));
        for text in ["abc  cam1.mp4", "<html>", joined.as_str(), "é"] {
            assert_eq!(Sums::read(text), None, "{text}");
        }
    }
}
