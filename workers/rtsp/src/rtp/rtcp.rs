//! RTCP: the reports and farewells we write, and what a client's reports say (RFC 3550 section 6).

use protocol::time::{NS_PER_S, UtcNs};

const VERSION_BITS: u8 = 2 << 6;
const TYPE_SENDER_REPORT: u8 = 200;
const TYPE_RECEIVER_REPORT: u8 = 201;
const TYPE_DESCRIPTION: u8 = 202;
const TYPE_BYE: u8 = 203;
/// Common header and the reporter's SSRC.
const HEADER_BYTES: usize = 8;
/// What a sender report says of its own stream, before what it says of others.
const SENDER_INFO_BYTES: usize = 20;
const BLOCK_BYTES: usize = 24;
const ITEM_CNAME: u8 = 1;
/// Seconds from the NTP epoch (1900) to the one of UTC here (1970), RFC 868.
const NTP_OFFSET_S: u64 = 2_208_988_800;

/// What a sender report says: `ticks` of the stream's RTP clock were captured at `captured`.
#[derive(Clone, Copy, Debug)]
pub struct SenderReport {
    pub ssrc: u32,
    pub captured: UtcNs,
    pub ticks: u32,
    pub packets: u32,
    pub payload_bytes: u32,
}

impl SenderReport {
    /// The compound packet that RFC 3550 section 6.1 asks for: the report, then a CNAME.
    pub fn write(&self, cname: &str, out: &mut Vec<u8>) {
        out.extend([VERSION_BITS, TYPE_SENDER_REPORT, 0, 6]);
        out.extend(self.ssrc.to_be_bytes());
        out.extend(ntp(self.captured).to_be_bytes());
        for word in [self.ticks, self.packets, self.payload_bytes] {
            out.extend(word.to_be_bytes());
        }
        write_cname(self.ssrc, cname, out);
    }

    /// The middle half of the NTP time, by which a client names this report in its own.
    pub fn ntp_middle(&self) -> u32 {
        u32::try_from((ntp(self.captured) >> 16) & u64::from(u32::MAX)).unwrap_or(0)
    }
}

/// What a client says of one stream (section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream it is about.
    pub ssrc: u32,
    /// Of 256, since its last report.
    pub fraction_lost: u8,
    /// In all; below zero when packets came twice.
    pub lost: i32,
    /// In ticks of the stream's clock.
    pub jitter: u32,
    /// The middle half of the NTP time of the last sender report it has; zero for none.
    pub last_report: u32,
    /// Since that one came, in 1/65536 s.
    pub delay: u32,
}

impl ReportBlock {
    fn read(bytes: &[u8; BLOCK_BYTES]) -> Self {
        let word = |at: usize| {
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        // 24 bits with a sign: shifted up and down again, the sign is kept.
        let lost = (word(4) << 8).cast_signed() >> 8;
        Self {
            ssrc: word(0),
            fraction_lost: bytes[4],
            lost,
            jitter: word(12),
            last_report: word(16),
            delay: word(20),
        }
    }
}

/// What the reports in a compound packet say of streams; nothing from where it makes no sense on.
pub fn blocks(compound: &[u8]) -> Vec<ReportBlock> {
    let (mut rest, mut blocks) = (compound, Vec::new());
    while let &[first, kind, high, low, ..] = rest {
        let bytes = 4 * (1 + usize::from(u16::from_be_bytes([high, low])));
        let Some(packet) = rest.get(..bytes).filter(|_| first & 0xc0 == VERSION_BITS) else {
            break;
        };
        let before = match kind {
            TYPE_SENDER_REPORT => Some(HEADER_BYTES + SENDER_INFO_BYTES),
            TYPE_RECEIVER_REPORT => Some(HEADER_BYTES),
            _ => None,
        };
        if let Some(said) = before.and_then(|before| packet.get(before..)) {
            let whole = said.as_chunks::<BLOCK_BYTES>().0.iter().take(usize::from(first & 0x1f));
            blocks.extend(whole.map(ReportBlock::read));
        }
        rest = &rest[bytes..];
    }
    blocks
}

/// The farewell of a stream: a report that says nothing, since a compound packet begins with one (section 6.1), the
/// CNAME, and BYE (section 6.6).
pub fn write_bye(ssrc: u32, cname: &str, out: &mut Vec<u8>) {
    out.extend([VERSION_BITS, TYPE_RECEIVER_REPORT, 0, 1]);
    out.extend(ssrc.to_be_bytes());
    write_cname(ssrc, cname, out);
    out.extend([VERSION_BITS | 1, TYPE_BYE, 0, 1]);
    out.extend(ssrc.to_be_bytes());
}

/// One chunk with one item, ended by at least one zero and filled to whole words (section 6.5).
fn write_cname(ssrc: u32, cname: &str, out: &mut Vec<u8>) {
    let name = &cname.as_bytes()[..cname.len().min(255)];
    let item_words = (2 + name.len() + 1).div_ceil(4);
    // The length field counts words less one; 255 bytes of name are 65 words.
    let words = u16::try_from(1 + item_words).unwrap_or(u16::MAX);
    let padding = item_words * 4 - 2 - name.len();
    out.extend([VERSION_BITS | 1, TYPE_DESCRIPTION]);
    out.extend(words.to_be_bytes());
    out.extend(ssrc.to_be_bytes());
    out.extend([ITEM_CNAME, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
    out.extend(name);
    out.extend(std::iter::repeat_n(0, padding));
}

/// 32 bits of seconds since 1900 and 32 bits of fraction.
fn ntp(utc: UtcNs) -> u64 {
    let seconds = utc.0 / NS_PER_S + NTP_OFFSET_S;
    let fraction = ((utc.0 % NS_PER_S) << 32) / NS_PER_S;
    (seconds << 32) | fraction
}

/// Whether a client's bytes begin with a report: a sign of life, whatever it says.
pub fn is_report(packet: &[u8]) -> bool {
    matches!(
        packet,
        [first, TYPE_SENDER_REPORT | TYPE_RECEIVER_REPORT, _, _, _, _, _, _, ..]
            if first & 0xc0 == VERSION_BITS
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_maps_the_rtp_clock_to_utc() {
        let report = SenderReport {
            ssrc: 0x0102_0304,
            captured: UtcNs(1_500_000_000_500_000_000),
            ticks: 90_000,
            packets: 3,
            payload_bytes: 300,
        };
        let mut out = Vec::new();
        report.write("cam1", &mut out);
        assert_eq!(out[..8], [0x80, 200, 0, 6, 1, 2, 3, 4]);
        let seconds = u32::from_be_bytes(out[8..12].try_into().unwrap());
        assert_eq!(u64::from(seconds), 1_500_000_000 + NTP_OFFSET_S);
        assert_eq!(out[12..16], [0x80, 0, 0, 0], "half a second");
        assert_eq!(out[16..20], 90_000u32.to_be_bytes());
        assert_eq!(out[28..], [0x81, 202, 0, 3, 1, 2, 3, 4, 1, 4, b'c', b'a', b'm', b'1', 0, 0]);
        assert!(is_report(&out));
    }

    #[test]
    fn every_name_leaves_whole_words() {
        for bytes in 0..=300 {
            let mut out = Vec::new();
            write_cname(1, &"n".repeat(bytes), &mut out);
            assert_eq!(out.len() % 4, 0, "{bytes} bytes");
            let words = u16::from_be_bytes([out[2], out[3]]);
            assert_eq!((usize::from(words) + 1) * 4, out.len(), "{bytes} bytes");
        }
    }

    /// A receiver report with these blocks.
    fn receiver_report(blocks: &[[u32; 6]]) -> Vec<u8> {
        let words = u8::try_from(1 + 6 * blocks.len()).unwrap();
        let mut packet = vec![VERSION_BITS | u8::try_from(blocks.len()).unwrap(), 201, 0, words];
        let words = std::iter::once(&0xfeed).chain(blocks.iter().flatten());
        packet.extend(words.flat_map(|word| word.to_be_bytes()));
        packet
    }

    #[test]
    fn a_receiver_report_says_what_was_lost_and_how_unevenly_it_came() {
        let packet = receiver_report(&[
            [7, 64 << 24 | 10, 0x1_0005, 90, 0x1234_5678, 65_536],
            [8, 0xff_fffe, 1, 2, 0, 0],
        ]);
        let said = blocks(&packet);
        assert_eq!(
            said[0],
            ReportBlock {
                ssrc: 7,
                fraction_lost: 64,
                lost: 10,
                jitter: 90,
                last_report: 0x1234_5678,
                delay: 65_536,
            }
        );
        assert_eq!((said[1].ssrc, said[1].lost), (8, -2), "packets that came twice");
        assert_eq!(said.len(), 2);
    }

    #[test]
    fn a_report_is_found_behind_another_packet_and_in_a_sender_report() {
        let mut compound = Vec::new();
        write_cname(1, "viewer", &mut compound);
        compound.extend(receiver_report(&[[7, 0, 0, 0, 0, 0]]));
        assert_eq!(blocks(&compound).len(), 1);
        let mut both = vec![VERSION_BITS | 1, 200, 0, 12];
        both.extend([0; 24]);
        both.extend(&receiver_report(&[[9, 0, 0, 0, 0, 0]])[8..]);
        assert_eq!(blocks(&both)[0].ssrc, 9);
    }

    #[test]
    fn half_a_report_says_nothing_and_neither_does_one_that_promises_more() {
        let whole = receiver_report(&[[7, 0, 0, 0, 0, 0]]);
        for bytes in 0..whole.len() {
            assert!(blocks(&whole[..bytes]).is_empty(), "{bytes} bytes");
        }
        let mut liar = whole;
        liar[0] |= 0x1f;
        assert_eq!(blocks(&liar).len(), 1);
        assert!(blocks(b"GET / HTTP/1.1\r\n").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn random_packets_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            blocks(&bytes);
        }
    }

    #[test]
    fn a_farewell_names_the_stream_behind_an_empty_report() {
        let mut out = Vec::new();
        write_bye(0x0102_0304, "cam1", &mut out);
        assert_eq!(out[..8], [0x80, 201, 0, 1, 1, 2, 3, 4]);
        assert_eq!(out[out.len() - 8..], [0x81, 203, 0, 1, 1, 2, 3, 4]);
        assert_eq!(out.len() % 4, 0);
        assert!(is_report(&out) && blocks(&out).is_empty());
    }

    #[test]
    fn what_is_no_report_is_no_sign_of_life() {
        assert!(!is_report(b""));
        assert!(!is_report(b"GET / HTTP/1.1"));
        assert!(!is_report(&[0x80, 96, 0, 0, 0, 0, 0, 0]));
    }
}
