//! Opus over RTP (RFC 7587): a packet is a packet.

use super::{PAYLOAD_MAX_BYTES, Piece};

/// What Opus always counts in, and the channels that are always told, whatever is inside.
pub const CLOCK_HZ: u32 = 48_000;
pub const CHANNELS: u32 = 2;

/// One that is longer than a packet cannot be sent: there are no fragments.
pub fn cut(unit: &[u8]) -> Vec<Piece> {
    match unit.len() {
        0 => Vec::new(),
        bytes if bytes > PAYLOAD_MAX_BYTES => Vec::new(),
        bytes => vec![Piece::new(&[], 0..bytes)],
    }
}

/// Of the SDP's `fmtp` line: without them players expect mono.
pub fn parameters(channels: u32) -> Vec<(&'static str, String)> {
    if channels > 1 { vec![("sprop-stereo", "1".to_owned())] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_packet_and_one_that_is_too_long_is_left_out() {
        assert_eq!(cut(&[7; 300])[0].body, 0..300);
        assert!(cut(&[]).is_empty() && cut(&[7; PAYLOAD_MAX_BYTES + 1]).is_empty());
    }
}
