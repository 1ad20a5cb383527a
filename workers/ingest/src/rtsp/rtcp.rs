//! RTCP (RFC 3550 section 6): reports of a camera, and ours. Pure.

use protocol::time::{NS_PER_S, UtcNs};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
/// Seconds from the NTP epoch (1900) to the one of UTC here (1970), RFC 868.
const NTP_OFFSET_S: u64 = 2_208_988_800;

/// `ticks` of the stream's RTP clock were captured at `captured` by the camera's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderReport {
    pub(crate) ssrc: u32,
    pub(crate) captured: UtcNs,
    pub(crate) ticks: u32,
    /// The middle 32 bits of the NTP time, which a receiver report repeats.
    pub(crate) middle: u32,
}

/// The sender reports of a compound packet. A camera that has no clock sends zeros: no report.
pub(crate) fn reports(packet: &[u8]) -> impl Iterator<Item = SenderReport> {
    parts(packet).filter(|(kind, _)| *kind == SENDER_REPORT).filter_map(|(_, body)| {
        let word = |at: usize| Some(u32::from_be_bytes(body.get(at..at + 4)?.try_into().ok()?));
        let (seconds, fraction) = (word(4)?, word(8)?);
        let captured = utc(seconds, fraction)?;
        let middle = seconds << 16 | fraction >> 16;
        Some(SenderReport { ssrc: word(0)?, captured, ticks: word(12)?, middle })
    })
}

/// Kind and body of each packet of a compound one, as far as their lengths make sense.
fn parts(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let [first, kind, high, low, ..] = *rest else { return None };
        let bytes = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        let body = rest.get(4..bytes).filter(|_| first >> 6 == 2)?;
        rest = &rest[bytes..];
        Some((kind, body))
    })
}

/// NTP's seconds begin anew in 2036; those below 1968's stand for the time after.
fn utc(seconds: u32, fraction: u32) -> Option<UtcNs> {
    if seconds == 0 {
        return None;
    }
    let era = if seconds < 1 << 31 { 1 << 32 } else { 0 };
    let since = (u64::from(seconds) + era).checked_sub(NTP_OFFSET_S)?;
    let ns = (u64::from(fraction) * NS_PER_S) >> 32;
    Some(UtcNs(since.checked_mul(NS_PER_S)?.checked_add(ns)?))
}

/// What we tell a camera of one of its streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reception {
    pub(crate) ssrc: u32,
    /// Since the last report, of 256.
    pub(crate) lost_part: u8,
    pub(crate) lost: u32,
    pub(crate) highest: u32,
    /// The newest report, and its age in 1/65536 s.
    pub(crate) last_report: u32,
    pub(crate) since_report: u32,
}

/// A receiver report of one stream with our name (sections 6.4.2 and 6.5).
pub(crate) fn write(own_ssrc: u32, reception: &Reception) -> Vec<u8> {
    let mut out = vec![2 << 6 | 1, RECEIVER_REPORT, 0, 7];
    let Reception { ssrc, lost_part, lost, highest, last_report, since_report } = *reception;
    let lost = u32::from(lost_part) << 24 | lost.min(0x7f_ffff);
    for word in [own_ssrc, ssrc, lost, highest, 0, last_report, since_report] {
        out.extend(word.to_be_bytes());
    }
    let name = b"framevisor";
    out.extend([2 << 6 | 1, 202, 0, 5]);
    out.extend(own_ssrc.to_be_bytes());
    out.extend([1, 10]);
    out.extend(name);
    out.extend([0; 4]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sender_report(seconds: u32, fraction: u32, ticks: u32) -> Vec<u8> {
        let mut out = vec![0x80, 200, 0, 6];
        for word in [7, seconds, fraction, ticks, 0, 0] {
            out.extend(word.to_be_bytes());
        }
        out
    }

    #[test]
    fn a_report_tells_the_time_of_a_timestamp() {
        let mut packet = sender_report(3_900_000_000, 1 << 31, 90_000);
        packet.extend([0x81, 202, 0, 2, 0, 0, 0, 7, 1, 1, b'c', 0]);
        let all: Vec<_> = reports(&packet).collect();
        let captured = UtcNs((3_900_000_000 - NTP_OFFSET_S) * NS_PER_S + NS_PER_S / 2);
        let middle = 3_900_000_000u32 << 16 | 0x8000;
        assert_eq!(all, [SenderReport { ssrc: 7, captured, ticks: 90_000, middle }]);
    }

    #[test]
    fn the_seconds_of_2036_come_after_those_of_2035() {
        let before = reports(&sender_report(u32::MAX, 0, 0)).next().unwrap().captured;
        let after = reports(&sender_report(1, 0, 0)).next().unwrap().captured;
        assert_eq!(after.0 - before.0, 2 * NS_PER_S);
    }

    #[test]
    fn a_camera_without_a_clock_reports_nothing() {
        assert_eq!(reports(&sender_report(0, 0, 90_000)).count(), 0);
    }

    #[test]
    fn ours_is_whole_words_of_the_length_it_says() {
        let packet = write(1, &Reception { ssrc: 2, lost: u32::MAX, ..Reception::default() });
        let kinds: Vec<_> = parts(&packet).map(|(kind, body)| (kind, body.len())).collect();
        assert_eq!(kinds, [(201, 28), (202, 20)]);
        assert_eq!(packet.len(), 32 + 24);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = reports(&bytes).count();
        }
    }
}
