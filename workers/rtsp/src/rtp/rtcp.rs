//! RTCP: the sender reports we write, and whether what a client sends is RTCP at all (RFC 3550
//! section 6).

use protocol::time::{NS_PER_S, UtcNs};

const VERSION_BITS: u8 = 2 << 6;
const TYPE_SENDER_REPORT: u8 = 200;
const TYPE_RECEIVER_REPORT: u8 = 201;
const TYPE_DESCRIPTION: u8 = 202;
const TYPE_GOODBYE: u8 = 203;
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
}

/// The end of a stream, behind the report and the CNAME that every compound packet begins with (section 6.6).
pub fn write_goodbye(ssrc: u32, cname: &str, out: &mut Vec<u8>) {
    out.extend([VERSION_BITS, TYPE_RECEIVER_REPORT, 0, 1]);
    out.extend(ssrc.to_be_bytes());
    write_cname(ssrc, cname, out);
    out.extend([VERSION_BITS | 1, TYPE_GOODBYE, 0, 1]);
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

/// Whether a client's bytes begin with a report: a sign of life. Their content is not believed.
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
    fn a_goodbye_stands_behind_a_report_and_a_name() {
        let mut out = Vec::new();
        write_goodbye(0x0102_0304, "cam1", &mut out);
        assert_eq!(out[..8], [0x80, 201, 0, 1, 1, 2, 3, 4]);
        assert_eq!(out[8..10], [0x81, 202]);
        assert_eq!(out[out.len() - 8..], [0x81, 203, 0, 1, 1, 2, 3, 4]);
        assert_eq!(out.len() % 4, 0);
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

    #[test]
    fn what_is_no_report_is_no_sign_of_life() {
        assert!(!is_report(b""));
        assert!(!is_report(b"GET / HTTP/1.1"));
        assert!(!is_report(&[0x80, 96, 0, 0, 0, 0, 0, 0]));
    }
}
