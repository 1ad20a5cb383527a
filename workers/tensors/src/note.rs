//! What a tensor in a ring was made of, in the bytes of its description that are the writer's own
//! (`shmring/LAYOUT.md`, `user`): without it nobody could say where in the camera's picture something lies. Pure.
//!
//! | bytes | what |
//! |---|---|
//! | 0 to 7 | `fvtensor` |
//! | 8 to 31 | six numbers of 32 bits, the low byte first: width and height of the picture; left, top, width and height of it in the tensor |
//! | 32 to 34 | scale, order of the colours, fit: their places in the tables of `docs/topology.md`, from 1 |

use protocol::config::detect::{ColourOrder, InputFit, Scale};

use crate::input::Wish;
use crate::letterbox::Placement;

const MAGIC: &[u8; 8] = b"fvtensor";
const SCALES: [Scale; 4] = [Scale::Unit, Scale::Byte, Scale::ImageNet, Scale::Signed];
const ORDERS: [ColourOrder; 2] = [ColourOrder::Rgb, ColourOrder::Bgr];
const FITS: [InputFit; 2] = [InputFit::Letterbox, InputFit::Stretch];

/// Of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    pub place: Placement,
    pub scale: Scale,
    pub colour: ColourOrder,
    pub fit: InputFit,
}

impl Note {
    pub fn of(wish: &Wish, place: Placement) -> Self {
        Self { place, scale: wish.scale, colour: wish.colour, fit: wish.fit }
    }

    /// Whether a model with this wish may take it.
    pub fn fits(&self, wish: &Wish) -> bool {
        (self.scale, self.colour, self.fit) == (wish.scale, wish.colour, wish.fit)
    }

    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let Placement { left, top, width, height, picture } = self.place;
        let numbers = [picture.0, picture.1, left, top, width, height];
        let words = [
            place_of(&SCALES, &self.scale),
            place_of(&ORDERS, &self.colour),
            place_of(&FITS, &self.fit),
        ];
        let written = MAGIC.iter().copied();
        let written = written.chain(numbers.into_iter().flat_map(u32::to_le_bytes)).chain(words);
        let mut bytes = [0; N];
        bytes.iter_mut().zip(written).for_each(|(to, byte)| *to = byte);
        bytes
    }

    /// `None` for what says nothing of this kind.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let number = |at: usize| {
            let four = rest.get(at * 4..at * 4 + 4)?;
            Some(u32::from_le_bytes(four.try_into().ok()?))
        };
        let picture = (number(0)?, number(1)?);
        let place = Placement {
            left: number(2)?,
            top: number(3)?,
            width: number(4)?,
            height: number(5)?,
            picture,
        };
        let has_sides = [picture.0, picture.1, place.width, place.height].iter().all(|it| *it > 0);
        let word = |at: usize| Some(usize::from(*rest.get(24 + at)?).wrapping_sub(1));
        let note = Self {
            place,
            scale: *SCALES.get(word(0)?)?,
            colour: *ORDERS.get(word(1)?)?,
            fit: *FITS.get(word(2)?)?,
        };
        has_sides.then_some(note)
    }
}

/// From 1.
fn place_of<T: PartialEq>(all: &[T], one: &T) -> u8 {
    let at = all.iter().position(|it| it == one).unwrap_or(0);
    u8::try_from(at + 1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_bytes_of_a_known_note_never_change() {
        let place = Placement { left: 0, top: 140, width: 640, height: 360, picture: (1920, 1080) };
        let (scale, colour) = (Scale::ImageNet, ColourOrder::Bgr);
        let note = Note { place, scale, colour, fit: InputFit::Letterbox };
        let mut expected = *b"fvtensor\x80\x07\0\0\x38\x04\0\0\0\0\0\0\x8c\0\0\0\x80\x02\0\0\x68\x01\0\0\x03\x02\x01\0";
        assert_eq!(note.bytes::<36>(), expected);
        assert_eq!(Note::read(&expected), Some(note));
        expected[32] = 9;
        assert_eq!(Note::read(&expected), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(
            sides in proptest::array::uniform6(1u32..), scale in 0usize..4, swapped: bool, stretch: bool,
        ) {
            let [left, top, width, height, w, h] = sides;
            let note = Note {
                place: Placement { left, top, width, height, picture: (w, h) },
                scale: SCALES[scale],
                colour: ORDERS[usize::from(swapped)],
                fit: FITS[usize::from(stretch)],
            };
            prop_assert_eq!(Note::read(&note.bytes::<64>()), Some(note));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Note::read(&[&MAGIC[..], &bytes].concat());
            let _ = Note::read(&bytes);
        }
    }
}
