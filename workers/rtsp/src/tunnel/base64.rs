//! Base64 that comes in pieces (RFC 4648): each message of a client is encoded for itself, so padding may stand in the
//! middle, and lines may end anywhere. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters that are decoded together.
const QUANTUM: usize = 4;

/// What is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the client sends through its tunnel is no base64")]
pub struct NotBase64;

/// A decoder. Invariant: fewer than [`QUANTUM`] characters wait.
#[derive(Debug, Default)]
pub struct Decoder {
    waiting: Vec<u8>,
}

impl Decoder {
    /// The bytes that are whole with these characters.
    pub fn decode(&mut self, text: &[u8]) -> Result<Vec<u8>, NotBase64> {
        let characters = text.iter().filter(|byte| !byte.is_ascii_whitespace());
        self.waiting.extend(characters);
        let whole = self.waiting.len() / QUANTUM * QUANTUM;
        let mut bytes = Vec::with_capacity(whole / QUANTUM * 3);
        for quantum in self.waiting[..whole].as_chunks::<QUANTUM>().0 {
            STANDARD.decode_vec(quantum, &mut bytes).map_err(|_| NotBase64)?;
        }
        self.waiting.drain(..whole);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_with_their_own_padding_and_line_ends_come_out_as_one_stream() {
        let mut decoder = Decoder::default();
        let text =
            format!("{}\r\n{}{}", STANDARD.encode("OPTIONS"), STANDARD.encode("DESCRIBE"), "UA==");
        assert_eq!(decoder.decode(text.as_bytes()).unwrap(), b"OPTIONSDESCRIBEP");
    }

    #[test]
    fn what_is_no_base64_is_seen() {
        for text in ["OPTI@NS=", "OPTIONS rtsp://h/cam1 RTSP/1.0", "=A==", "A==="] {
            assert_eq!(Decoder::default().decode(text.as_bytes()), Err(NotBase64), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_same_bytes(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
            step in 1usize..9,
        ) {
            let text: String = messages.iter().map(|message| STANDARD.encode(message)).collect();
            let (mut decoder, mut bytes) = (Decoder::default(), Vec::new());
            for piece in text.as_bytes().chunks(step) {
                bytes.extend(decoder.decode(piece).unwrap());
            }
            prop_assert_eq!(bytes, messages.concat());
        }
    }
}
