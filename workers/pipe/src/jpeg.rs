//! JPEG pictures one behind the other, told apart by their markers (ITU-T T.81, annex B). Pure.

use crate::units::{NoStream, UNIT_MAX_BYTES, Unit};

/// Pictures out of bytes as they come.
#[derive(Debug, Default)]
pub(crate) struct Jpegs {
    open: Vec<u8>,
    /// Up to here `open` was walked.
    at: usize,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before a picture.
    #[default]
    Before,
    /// At a marker.
    Marker,
    /// In the samples behind a scan's header.
    Samples,
}

impl Jpegs {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Unit>, NoStream> {
        self.open.extend_from_slice(bytes);
        let mut units = Vec::new();
        while let Some(done) = self.step()? {
            if done {
                let rest = self.open.split_off(self.at);
                let bytes = std::mem::replace(&mut self.open, rest);
                self.at = 0;
                units.push(Unit { bytes, key: true });
            }
        }
        if self.open.len() > UNIT_MAX_BYTES {
            let most = UNIT_MAX_BYTES >> 20;
            return Err(NoStream(format!("no end of a picture within {most} MiB")));
        }
        Ok(units)
    }

    /// Goes on by one marker; whether a picture ended there. `None`: more bytes are needed.
    fn step(&mut self) -> Result<Option<bool>, NoStream> {
        let Some(&[first, second]) = self.open.get(self.at..).and_then(|rest| rest.first_chunk())
        else {
            return Ok(None);
        };
        match self.place {
            Place::Before if (first, second) == (0xff, 0xd8) => {
                self.place = Place::Marker;
                self.at += 2;
            }
            Place::Before => {
                let seen = format!("{first:02x} {second:02x}");
                return Err(NoStream(format!("a picture begins with {seen}, expected ff d8")));
            }
            Place::Samples => self.walk_samples(),
            // Any number of ff may come before a marker.
            Place::Marker if (first, second) == (0xff, 0xff) => self.at += 1,
            Place::Marker if first != 0xff => {
                return Err(NoStream(format!("{first:02x} where a marker should be")));
            }
            Place::Marker if second == 0xd9 => {
                self.place = Place::Before;
                self.at += 2;
                return Ok(Some(true));
            }
            Place::Marker => return Ok(self.segment(second)),
        }
        Ok(self.progressed())
    }

    /// Only a place that moved is worth another look.
    fn progressed(&self) -> Option<bool> {
        (self.at + 1 < self.open.len()).then_some(false)
    }

    /// A marker with its length.
    fn segment(&mut self, marker: u8) -> Option<bool> {
        let length = self.open.get(self.at + 2..self.at + 4)?;
        let end = self.at + 2 + usize::from(u16::from_be_bytes([length[0], length[1]]).max(2));
        if end > self.open.len() {
            return None;
        }
        self.at = end;
        self.place = if marker == 0xda { Place::Samples } else { Place::Marker };
        Some(false)
    }

    /// To the next marker that is neither a stuffed zero nor a restart.
    fn walk_samples(&mut self) {
        let rest = &self.open[self.at..];
        let is_end = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
        match rest.windows(2).position(is_end) {
            Some(found) => {
                self.at += found;
                self.place = Place::Marker;
            }
            // The last byte may be the first of a marker.
            None => self.at = self.open.len() - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// With a thumbnail in its APP1 that ends like a picture, a stuffed ff and a restart.
    const PICTURE: &[u8] = &[
        0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9, 0xff, 0xda, 0, 3, 1, 7, 0xff, 0, 8,
        0xff, 0xd0, 9, 0xff, 0xd9,
    ];

    #[test]
    fn pictures_end_at_their_own_end_not_at_a_thumbnails() {
        let mut stream = Jpegs::default();
        let units = stream.push(&[PICTURE, PICTURE].concat()).unwrap();
        assert_eq!(units.len(), 2);
        assert!(units.iter().all(|unit| unit.bytes == PICTURE && unit.key));
    }

    #[test]
    fn what_is_no_jpeg_is_told_with_what_was_seen() {
        let refused = Jpegs::default().push(b"GIF89a").unwrap_err();
        assert_eq!(refused.0, "a picture begins with 47 49, expected ff d8");
    }

    proptest! {
        #[test]
        fn pictures_do_not_depend_on_how_the_bytes_are_cut(size in 1..10usize) {
            let mut stream = Jpegs::default();
            let bytes = [PICTURE, PICTURE, PICTURE].concat();
            let units: Vec<Unit> = bytes.chunks(size).flat_map(|part| stream.push(part).unwrap()).collect();
            prop_assert_eq!(units.len(), 3);
            prop_assert!(units.iter().all(|unit| unit.bytes == PICTURE));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Jpegs::default().push(&[&[0xff, 0xd8][..], &bytes].concat());
        }
    }
}
