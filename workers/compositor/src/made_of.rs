//! What a picture says it was made of, in the 64 bytes that a ring carries for its writer. Pure.

/// Bytes of an input's word.
const WORD: usize = size_of::<u32>();

/// Of each of the first sixteen frame rings, in the topology's order, the lower half of the picture's number
/// in that ring; 0 where none was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MadeOf([u8; 64]);

impl MadeOf {
    pub(crate) fn nothing() -> Self {
        Self([0; 64])
    }

    pub(crate) fn put(&mut self, input: usize, sequence: u64) {
        let [a, b, c, d, ..] = sequence.to_le_bytes();
        if let Some(word) = self.0.chunks_exact_mut(WORD).nth(input) {
            word.copy_from_slice(&[a, b, c, d]);
        }
    }

    pub(crate) fn bytes(self) -> [u8; 64] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_input_has_a_word_and_the_seventeenth_has_none() {
        let mut made_of = MadeOf::nothing();
        made_of.put(0, 0x0102_0304);
        made_of.put(15, 0x9_0000_0007);
        made_of.put(16, 99);
        let bytes = made_of.bytes();
        assert_eq!((&bytes[..4], &bytes[60..]), (&[4, 3, 2, 1][..], &[7, 0, 0, 0][..]));
        assert_eq!(bytes[4..60], [0; 56]);
    }
}
