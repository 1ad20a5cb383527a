//! What a stream is like apart from its units: sizes of packets, sources, and how often it is reported on (RFC 3550
//! sections 5.1 and 6.4.1). Pure.

use std::collections::BTreeSet;

const TYPE_SENDER_REPORT: u8 = 200;
const NS_PER_S: u128 = 1_000_000_000;

/// Of the first picture of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The largest RTP packet, header included.
    pub largest_bytes: usize,
    pub ssrcs: BTreeSet<u32>,
    /// Which moments the sender reports state, in ns since 1900.
    pub reports_ns: Vec<u64>,
}

impl Facts {
    /// Takes note of an RTP packet.
    pub fn packet(&mut self, packet: &[u8]) {
        self.largest_bytes = self.largest_bytes.max(packet.len());
        self.ssrcs.extend(word(packet, 8));
    }

    /// Takes note of an RTCP packet.
    pub fn report(&mut self, packet: &[u8]) {
        if packet.get(1) != Some(&TYPE_SENDER_REPORT) {
            return;
        }
        let (Some(seconds), Some(fraction)) = (word(packet, 8), word(packet, 12)) else { return };
        let ns = u64::from(seconds) * 1_000_000_000;
        let part = (u128::from(fraction) * NS_PER_S) >> 32;
        self.reports_ns.push(ns + u64::try_from(part).unwrap_or_default());
    }

    /// The longest time between two reports, by what they state; the first one states the time of a picture that
    /// may have waited for its viewer.
    pub fn longest_silence_ns(&self) -> u64 {
        let gaps = self.reports_ns.windows(2).skip(1).map(|pair| pair[1].saturating_sub(pair[0]));
        gaps.max().unwrap_or(0)
    }
}

fn word(packet: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*packet.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_sources_and_the_time_between_reports_are_noted() {
        let mut facts = Facts::default();
        facts.packet(&[[0x80; 8], [7; 8]].concat());
        facts.packet(&[&[0x80; 8][..], &[7; 4]].concat());
        facts.packet(b"short");
        let report = |seconds: u32, fraction: u32| {
            let head = [0x80, 200, 0, 6, 7, 7, 7, 7];
            [&head[..], &seconds.to_be_bytes(), &fraction.to_be_bytes()].concat()
        };
        for packet in [report(90, 0), report(100, 0), report(104, 1 << 31), report(105, 0)] {
            facts.report(&packet);
        }
        facts.report(&[0x81, 201, 0, 1, 1, 1, 1, 1]);
        assert_eq!((facts.largest_bytes, facts.ssrcs.len()), (16, 1));
        assert_eq!(facts.longest_silence_ns(), 4_500_000_000);
    }
}
