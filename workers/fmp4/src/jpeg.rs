//! JPEG: the size that a picture's frame header states (ITU-T T.81, B.2).

const START_OF_IMAGE: u8 = 0xd8;
const START_OF_SCAN: u8 = 0xda;

/// Width and height in pixels. `None` when it is no JPEG, or its head is cut off.
pub(crate) fn size(picture: &[u8]) -> Option<(u32, u32)> {
    let mut rest = picture.strip_prefix(&[0xff, START_OF_IMAGE])?;
    loop {
        let (marker, behind) = marker(rest)?;
        let (length, segment) = behind.split_first_chunk::<2>()?;
        let bytes = usize::from(u16::from_be_bytes(*length)).checked_sub(2)?;
        let (segment, next) = segment.split_at_checked(bytes)?;
        if is_frame_header(marker) {
            let &[_, high, low, wide, narrow] = segment.first_chunk()?;
            let side = |bytes| u32::from(u16::from_be_bytes(bytes));
            return Some((side([wide, narrow]), side([high, low])));
        }
        if marker == START_OF_SCAN {
            return None;
        }
        rest = next;
    }
}

/// A marker may have any number of fill bytes in front.
fn marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let behind = bytes.strip_prefix(&[0xff])?;
    let at = behind.iter().position(|&byte| byte != 0xff)?;
    Some((behind[at], &behind[at + 1..]))
}

/// SOF0 to SOF15, between which are three markers of other things.
fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A comment, then a baseline frame header of 320x240, then a scan.
    pub(crate) const HEAD: [u8; 33] = [
        0xff, 0xd8, 0xff, 0xfe, 0, 4, 1, 2, 0xff, 0xff, 0xc0, 0, 17, 8, 0, 240, 1, 64, 3, 1, 0x22,
        0, 2, 0x11, 1, 3, 0x11, 1, 0xff, 0xda, 0, 2, 0,
    ];

    #[test]
    fn the_size_stands_in_the_frame_header() {
        assert_eq!(size(&HEAD), Some((320, 240)));
    }

    #[test]
    fn what_is_cut_off_has_no_size() {
        for length in 0..18 {
            assert_eq!(size(&HEAD[..length]), None, "{length} bytes");
        }
        let without = [&HEAD[..8], &HEAD[28..]].concat();
        assert_eq!(size(&without), None);
    }

    proptest! {
        #[test]
        fn random_pictures_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = size(&[&[0xff, 0xd8, 0xff], &bytes[..]].concat());
        }
    }
}
