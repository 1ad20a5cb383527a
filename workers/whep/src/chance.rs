//! Random numbers from the system, for one viewer.

use crate::refusal::Refusal;

/// What nobody may guess.
#[derive(Debug)]
pub(crate) struct Chance {
    /// Of the viewer: who knows it may end it.
    pub(crate) id: String,
    pub(crate) audio: u32,
    pub(crate) video: u32,
}

impl Chance {
    pub(crate) fn draw() -> Result<Self, Refusal> {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes)
            .map_err(|error| Refusal::Closed { why: format!("no random numbers: {error}") })?;
        let (id, [a, b, c, d, e, f, g, h]) =
            (&bytes[..16], [16, 17, 18, 19, 20, 21, 22, 23].map(|at| bytes[at]));
        Ok(Self {
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            audio: u32::from_be_bytes([a, b, c, d]),
            video: u32::from_be_bytes([e, f, g, h]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewers_name_is_of_128_bits_and_never_the_same() {
        let [one, other] = [(); 2].map(|()| Chance::draw().unwrap().id);
        assert_eq!(one.len(), 32);
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one, other);
    }
}
