//! Numbers as bytes of a ring, as the machine writes them, and back. Pure.

use half::f16;
use protocol::config::tensor::ElementType;
use protocol::stream::DType;

/// What a model's numbers are in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F32,
    F16,
    /// 0 to 255.
    U8,
}

impl Element {
    pub fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F16 => Some(Self::F16),
            DType::U8 => Some(Self::U8),
            _ => None,
        }
    }

    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::U8 => DType::U8,
        }
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        self.dtype().bytes() as usize
    }

    /// Writes as many numbers as `into` has room for.
    pub fn write(self, numbers: &[f32], into: &mut [u8]) {
        let places = into.chunks_exact_mut(self.bytes()).zip(numbers);
        match self {
            Self::F32 => places.for_each(|(to, it)| to.copy_from_slice(&it.to_ne_bytes())),
            Self::F16 => {
                places.for_each(|(to, it)| to.copy_from_slice(&f16::from_f32(*it).to_ne_bytes()))
            }
            Self::U8 => places.for_each(|(to, it)| to.fill(byte(*it))),
        }
    }

    /// Appends the numbers that are in `bytes`.
    pub fn read(self, bytes: &[u8], numbers: &mut Vec<f32>) {
        match self {
            Self::F32 => {
                numbers.extend(bytes.as_chunks().0.iter().map(|it| f32::from_ne_bytes(*it)))
            }
            Self::F16 => numbers
                .extend(bytes.as_chunks().0.iter().map(|it| f16::from_ne_bytes(*it).to_f32())),
            Self::U8 => numbers.extend(bytes.iter().map(|byte| f32::from(*byte))),
        }
    }
}

impl From<ElementType> for Element {
    fn from(said: ElementType) -> Self {
        match said {
            ElementType::F32 => Self::F32,
            ElementType::F16 => Self::F16,
            ElementType::U8 => Self::U8,
        }
    }
}

/// A number of 0 to 255 as a byte.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held in 0..=255")]
pub fn byte(number: f32) -> u8 {
    number.round().clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_byte_becomes_the_nearest() {
        assert_eq!([-3.0, 0.4, 254.6, 900.0, f32::NAN].map(byte), [0, 0, 255, 255, 0]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(bytes: Vec<u8>) {
            let numbers: Vec<f32> = bytes.iter().map(|byte| f32::from(*byte)).collect();
            for element in [Element::F32, Element::F16, Element::U8] {
                let mut slot = vec![0xAA; numbers.len() * element.bytes() + 3];
                element.write(&numbers, &mut slot[..numbers.len() * element.bytes()]);
                prop_assert!(slot.ends_with(&[0xAA; 3]));
                let mut read = Vec::new();
                element.read(&slot[..numbers.len() * element.bytes()], &mut read);
                // Whole numbers up to 2048 are exact in all of them.
                prop_assert_eq!(&read, &numbers);
                prop_assert_eq!(Element::of(element.dtype()), Some(element));
            }
        }
    }
}
