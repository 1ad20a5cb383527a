//! H.264 access units out of RTP packets (RFC 3550 section 5.1, RFC 6184 sections 5.6 to 5.8), as Annex B with
//! start codes of four bytes, which is how a packet ring holds them.

const RTP_HEADER_BYTES: usize = 12;
const VERSION: u8 = 2;
const TYPE_MASK: u8 = 0x1f;
const TYPE_KEY: u8 = 5;
const TYPE_STAP_A: u8 = 24;
const TYPE_FU_A: u8 = 28;
const FU_START: u8 = 0x80;
const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// What the header of a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    marker: bool,
    sequence: u16,
    ticks: u32,
}

/// An access unit, whole unless `damaged`.
#[derive(Debug, PartialEq, Eq)]
pub struct Unit<'a> {
    pub annex_b: &'a [u8],
    pub ticks: u32,
    pub key: bool,
    /// A packet of it, or before it, is missing.
    pub damaged: bool,
}

/// The unit in progress of one stream.
#[derive(Debug, Default)]
pub struct Units {
    unit: Vec<u8>,
    next_sequence: Option<u16>,
    ticks: u32,
    key: bool,
    damaged: bool,
    /// The last unit was handed out.
    over: bool,
}

impl Units {
    /// Takes a packet; a unit when it is the last of one, which is what the marker says.
    pub fn push(&mut self, packet: &[u8]) -> Option<Unit<'_>> {
        let (header, payload) = parse(packet)?;
        if self.over || (!self.unit.is_empty() && header.ticks != self.ticks) {
            // The marker of a unit before was lost, or it has been handed out.
            self.damaged = !self.over;
            self.unit.clear();
            self.key = false;
            self.over = false;
        }
        self.damaged |= self.next_sequence.is_some_and(|next| next != header.sequence);
        self.next_sequence = Some(header.sequence.wrapping_add(1));
        self.ticks = header.ticks;
        self.add(payload);
        if !header.marker {
            return None;
        }
        self.over = true;
        Some(Unit { annex_b: &self.unit, ticks: self.ticks, key: self.key, damaged: self.damaged })
    }

    fn add(&mut self, payload: &[u8]) {
        let Some((&first, rest)) = payload.split_first() else { return };
        match first & TYPE_MASK {
            TYPE_FU_A => self.fragment(first, rest),
            TYPE_STAP_A => self.aggregate(rest),
            _ => self.nal(payload),
        }
    }

    fn nal(&mut self, nal: &[u8]) {
        self.key |= nal.first().is_some_and(|first| first & TYPE_MASK == TYPE_KEY);
        self.unit.extend(START_CODE);
        self.unit.extend_from_slice(nal);
    }

    /// The header of the NAL unit is split over the indicator and the header of each fragment.
    fn fragment(&mut self, indicator: u8, rest: &[u8]) {
        let Some((&header, body)) = rest.split_first() else { return };
        if header & FU_START != 0 {
            self.nal(&[(indicator & !TYPE_MASK) | (header & TYPE_MASK)]);
        }
        self.unit.extend_from_slice(body);
    }

    fn aggregate(&mut self, mut rest: &[u8]) {
        while let Some((&length, more)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(length)).min(more.len());
            let (nal, behind) = more.split_at(length);
            self.nal(nal);
            rest = behind;
        }
    }
}

/// `None` for what is no RTP.
fn parse(packet: &[u8]) -> Option<(Header, &[u8])> {
    let fixed = packet.first_chunk::<RTP_HEADER_BYTES>()?;
    if fixed[0] >> 6 != VERSION {
        return None;
    }
    let mut at = RTP_HEADER_BYTES + 4 * usize::from(fixed[0] & 0x0f);
    if fixed[0] & 0x10 != 0 {
        let extension = packet.get(at..)?.first_chunk::<4>()?;
        at += 4 + 4 * usize::from(u16::from_be_bytes([extension[2], extension[3]]));
    }
    let padding = match fixed[0] & 0x20 {
        0 => 0,
        _ => usize::from(*packet.last()?),
    };
    let payload = packet.get(at..packet.len().checked_sub(padding)?)?;
    let header = Header {
        marker: fixed[1] & 0x80 != 0,
        sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
        ticks: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
    };
    Some((header, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, ticks: u32, marker: bool, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, 96 | if marker { 0x80 } else { 0 }];
        packet.extend(sequence.to_be_bytes());
        packet.extend(ticks.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn single_units_fragments_and_aggregates_make_one_unit() {
        let mut units = Units::default();
        assert_eq!(
            units.push(&packet(65_535, 7, false, &[24, 0, 2, 0x67, 1, 0, 2, 0x68, 2])),
            None
        );
        assert_eq!(units.push(&packet(0, 7, false, &[0x7c, 0x85, 3])), None);
        let unit = units.push(&packet(1, 7, true, &[0x7c, 0x45, 4])).unwrap();
        let bytes = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3, 4];
        assert_eq!(unit, Unit { annex_b: &bytes, ticks: 7, key: true, damaged: false });
        let unit = units.push(&packet(2, 9, true, &[0x41, 5])).unwrap();
        let bytes = [0, 0, 0, 1, 0x41, 5];
        assert_eq!(unit, Unit { annex_b: &bytes, ticks: 9, key: false, damaged: false });
    }

    #[test]
    fn a_packet_that_is_missing_damages_its_unit_and_no_other() {
        let mut units = Units::default();
        assert_eq!(units.push(&packet(1, 7, false, &[0x41, 5])), None);
        assert!(units.push(&packet(3, 7, true, &[0x41, 5])).unwrap().damaged);
        assert!(!units.push(&packet(4, 8, true, &[0x41, 5])).unwrap().damaged);
        assert_eq!(units.push(&packet(5, 9, false, &[0x41, 5])), None);
        assert!(units.push(&packet(7, 10, true, &[0x41, 5])).unwrap().damaged);
        assert!(!units.push(&packet(8, 11, true, &[0x41, 5])).unwrap().damaged);
    }

    #[test]
    fn what_is_no_packet_is_passed_over() {
        let mut units = Units::default();
        for bytes in [&b""[..], b"RTSP", &[0x40; 20], &[0xbf; 12], &[0xa0; 20]] {
            assert_eq!(units.push(bytes), None, "{bytes:?}");
        }
    }
}
