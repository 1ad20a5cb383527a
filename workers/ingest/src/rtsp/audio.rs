//! Sound: packets into frames. AAC by RFC 3640, the rest as it is. Pure.

use std::ops::RangeInclusive;

use super::order::Ordered;
use super::sdp::Media;

/// Of one frame; those of AAC have at most 6 KiB.
const FRAME_MAX_BYTES: usize = 64 << 10;
/// Of an AudioSpecificConfig: usually 2 to 7, some more where it lists its channels.
const CONFIG_BYTES: RangeInclusive<usize> = 2..=64;
/// Of a length in the table; fewer would make thousands of frames of a packet.
const SIZE_BITS_MIN: u32 = 6;

/// One frame of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sound {
    pub(crate) ticks: u32,
    pub(crate) length_ticks: u32,
    pub(crate) bytes: Vec<u8>,
}

/// How frames lie in packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// A byte is a sample of each channel.
    Samples {
        channels: u32,
    },
    /// Two bytes are one, the high one first.
    L16 {
        channels: u32,
    },
    Opus,
    Aac(Aac),
}

/// AAC: frames behind a table of their lengths, or one frame over several packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aac {
    size_bits: u32,
    index_bits: u32,
    delta_bits: u32,
    samples: u32,
    /// A frame that is longer than a packet.
    part: Vec<u8>,
}

impl Aac {
    /// From the parameters of its description, with the AudioSpecificConfig; `None` when they are not whole.
    pub(crate) fn of(media: &Media) -> Option<(Self, Vec<u8>)> {
        let number = |name| media.parameter(name).and_then(|text| text.parse().ok());
        let hex = media.parameter("config")?.trim_matches('"');
        let byte = |at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
        let config: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect::<Option<_>>()?;
        // AAC-hbr, as all cameras send it, where the lengths are not told.
        let aac = Self {
            size_bits: number("sizelength").unwrap_or(13),
            index_bits: number("indexlength").unwrap_or(3),
            delta_bits: number("indexdeltalength").unwrap_or(3),
            samples: samples_of(&config),
            part: Vec::new(),
        };
        let fits =
            [aac.size_bits, aac.index_bits, aac.delta_bits].into_iter().all(|bits| bits <= 16);
        let fits = fits && aac.size_bits >= SIZE_BITS_MIN;
        (CONFIG_BYTES.contains(&config.len()) && fits).then_some((aac, config))
    }

    fn frames(&mut self, ordered: &Ordered<'_>, out: &mut Vec<Sound>) -> Option<()> {
        let packet = &ordered.packet;
        if ordered.lost > 0 || ordered.anew {
            self.part.clear();
        }
        let [high, low, rest @ ..] = &packet.payload[..] else { return None };
        let table_bits = usize::from(u16::from_be_bytes([*high, *low]));
        let (table, mut data) = rest.split_at_checked(table_bits.div_ceil(8))?;
        let mut at = 0;
        let mut ticks = packet.ticks;
        while at + usize::try_from(self.size_bits).ok()? <= table_bits {
            let index_bits = if at == 0 { self.index_bits } else { self.delta_bits };
            let bytes = usize::try_from(bits(table, at, self.size_bits)?).ok()?;
            at += usize::try_from(self.size_bits + index_bits).ok()?;
            if bytes == 0 {
                continue;
            }
            if bytes > data.len() {
                return self.fragment(data, bytes, packet.marker, ticks, out);
            }
            let (frame, behind) = data.split_at(bytes);
            data = behind;
            out.push(Sound { ticks, length_ticks: self.samples, bytes: frame.to_vec() });
            ticks = ticks.wrapping_add(self.samples);
        }
        Some(())
    }

    fn fragment(
        &mut self,
        data: &[u8],
        whole_bytes: usize,
        ends: bool,
        ticks: u32,
        out: &mut Vec<Sound>,
    ) -> Option<()> {
        self.part.extend_from_slice(data);
        if self.part.len() == whole_bytes {
            let bytes = std::mem::take(&mut self.part);
            out.push(Sound { ticks, length_ticks: self.samples, bytes });
        } else if ends || self.part.len() > FRAME_MAX_BYTES {
            self.part.clear();
        }
        Some(())
    }
}

impl Packing {
    /// Appends the frames of the next packet to `out`.
    pub(crate) fn push(&mut self, ordered: &Ordered<'_>, out: &mut Vec<Sound>) {
        let packet = &ordered.packet;
        if packet.payload.is_empty() {
            return;
        }
        let bytes = length_of(&packet.payload);
        let length_ticks = match self {
            Self::Aac(aac) => {
                // A packet that is cut off gives what it has.
                let _ = aac.frames(ordered, out);
                return;
            }
            Self::Samples { channels } => bytes / (*channels).max(1),
            Self::L16 { channels } => {
                let mut bytes = packet.payload.to_vec();
                bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.reverse());
                let length_ticks = length_of(&bytes) / (2 * (*channels).max(1));
                out.push(Sound { ticks: packet.ticks, length_ticks, bytes });
                return;
            }
            Self::Opus => opus_ticks(&packet.payload),
        };
        out.push(Sound { ticks: packet.ticks, length_ticks, bytes: packet.payload.to_vec() });
    }
}

fn length_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(0)
}

/// Of `count` bits at bit `at`; at most 16.
fn bits(bytes: &[u8], at: usize, count: u32) -> Option<u32> {
    let mut value = 0;
    for at in at..at + usize::try_from(count).ok()? {
        value = value << 1 | u32::from(bytes.get(at / 8)? >> (7 - at % 8) & 1);
    }
    Some(value)
}

/// Samples of a frame: `frameLengthFlag` behind object type, rate and channels (ISO 14496-3 1.6.2.1).
fn samples_of(config: &[u8]) -> u32 {
    let rate_bits = if bits(config, 5, 4) == Some(15) { 28 } else { 4 };
    if bits(config, 5 + rate_bits + 4, 1) == Some(1) { 960 } else { 1024 }
}

/// Length of an Opus packet at 48 kHz (RFC 6716 section 3.1).
fn opus_ticks(packet: &[u8]) -> u32 {
    let first = packet[0];
    let frame = match first >> 3 {
        mode @ 0..=11 => [480, 960, 1920, 2880][usize::from(mode % 4)],
        mode @ 12..=15 => [480, 960][usize::from(mode % 2)],
        mode => [120, 240, 480, 960][usize::from(mode % 4)],
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1).copied().unwrap_or(1) & 0x3f),
    };
    frame * frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::order::Packet;
    use crate::rtsp::sdp;
    use proptest::prelude::*;
    use protocol::time::Stamp;

    fn ordered(marker: bool, payload: &[u8]) -> Ordered<'_> {
        let payload = payload.into();
        let packet =
            Packet { sequence: 0, ticks: 1000, marker, payload, arrival: Stamp::default() };
        Ordered { packet, lost: 0, anew: false }
    }

    fn aac_of(size_bits: u32, config: &str) -> Option<(Aac, Vec<u8>)> {
        let text = format!(
            "m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/16000/1\na=fmtp:97 mode=AAC-hbr;\
            sizelength={size_bits};indexlength=3;indexdeltalength=3;config={config}\n"
        );
        Aac::of(&sdp::read(text.as_bytes()).medias[0])
    }

    fn aac() -> (Aac, Vec<u8>) {
        aac_of(13, "1408").unwrap()
    }

    #[test]
    fn a_description_that_is_out_of_all_measure_is_none() {
        assert!(aac_of(13, &"14".repeat(64)).is_some());
        for (size_bits, config) in
            [(13, "14".repeat(65)), (13, "14".to_owned()), (5, "1408".to_owned())]
        {
            assert!(aac_of(size_bits, &config).is_none(), "{size_bits} {}", config.len());
        }
    }

    #[test]
    fn samples_of_two_bytes_are_turned_and_counted_by_channels() {
        let mut out = Vec::new();
        Packing::L16 { channels: 2 }.push(&ordered(false, &[1, 2, 3, 4, 5, 6, 7, 8]), &mut out);
        let expected = Sound { ticks: 1000, length_ticks: 2, bytes: vec![2, 1, 4, 3, 6, 5, 8, 7] };
        assert_eq!(out, [expected]);
    }

    #[test]
    fn frames_of_nothing_are_none() {
        let mut out = Vec::new();
        Packing::Aac(aac().0).push(&ordered(true, &[0, 48, 0, 0, 0, 8, 0, 0, 9]), &mut out);
        assert_eq!(out.iter().map(|sound| &sound.bytes[..]).collect::<Vec<_>>(), [&[9][..]]);
    }

    #[test]
    fn several_frames_of_a_packet_are_taken_apart() {
        let (aac, config) = aac();
        assert_eq!(config, [0x14, 8]);
        let mut out = Vec::new();
        Packing::Aac(aac)
            .push(&ordered(true, &[0, 32, 0, 3 << 3, 0, 2 << 3, 1, 2, 3, 4, 5]), &mut out);
        let told: Vec<_> = out.into_iter().map(|sound| (sound.ticks, sound.bytes)).collect();
        assert_eq!(told, [(1000, vec![1, 2, 3]), (2024, vec![4, 5])]);
    }

    #[test]
    fn a_frame_of_several_packets_is_put_together() {
        let mut packing = Packing::Aac(aac().0);
        let mut out = Vec::new();
        packing.push(&ordered(false, &[0, 16, 0, 4 << 3, 1, 2]), &mut out);
        packing.push(&ordered(true, &[0, 16, 0, 4 << 3, 3, 4]), &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].bytes, [1, 2, 3, 4]);
    }

    #[test]
    fn a_packet_tells_how_long_it_sounds() {
        for (mut packing, payload, length) in [
            (Packing::Samples { channels: 1 }, vec![0; 160], 160),
            (Packing::Opus, vec![0x78, 0], 960), // CELT, 20 ms
            (Packing::Opus, vec![0x01, 0], 960), // SILK, two of 10 ms
            (Packing::Opus, vec![0xfb, 3, 0], 2880), // three of 20 ms
        ] {
            let mut out = Vec::new();
            packing.push(&ordered(true, &payload), &mut out);
            assert_eq!(out[0].length_ticks, length, "{packing:?}");
        }
    }

    proptest! {
        #[test]
        fn any_packets_are_taken(packets in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..40)) {
            for mut packing in [Packing::Aac(aac().0), Packing::Opus, Packing::Samples { channels: 0 }] {
                let mut out = Vec::new();
                for (marker, payload) in &packets {
                    packing.push(&ordered(*marker, payload), &mut out);
                }
            }
        }
    }
}
