//! What a ring's frames have in common: they are pictures of one size, or tensors of one shape. Pure.

use protocol::stream::{DType, PixelFormat};
use shmring::{Content, Picture, Tensor};

use crate::picture::{Geometry, Given};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Picture(Geometry),
    Tensor(Tensor),
}

/// What a program says of its frames beside an array.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Said {
    /// They are pictures of this format.
    pub(crate) format: Option<PixelFormat>,
    /// They are tensors of this type.
    pub(crate) dtype: Option<DType>,
}

/// An array a program gives: its elements' type, and its shape.
pub(crate) type Array = (DType, Vec<usize>);

impl Form {
    /// Of what was given. Bytes in the shape of a picture are one, unless the program says a type; all
    /// else is a tensor.
    pub(crate) fn of(given: Given, arrays: &[Array], said: Said) -> Result<Self, String> {
        let shapes: Vec<Vec<usize>> = arrays.iter().map(|(_, shape)| shape.clone()).collect();
        let are_bytes = arrays.iter().all(|(dtype, _)| *dtype == DType::U8);
        let picture = || Geometry::of(given, &shapes, said.format).map(Self::Picture);
        match (said, given, arrays) {
            (Said { format: Some(_), dtype: Some(_) }, ..) => {
                Err("format is for pictures, dtype for tensors: say one of them".to_owned())
            }
            (Said { format: None, dtype }, Given::Whole, [(seen, shape)]) => match dtype {
                Some(dtype) if dtype != *seen => {
                    Err(format!("elements of {}, expected {}", seen.as_str(), dtype.as_str()))
                }
                None if are_bytes && let Ok(picture) = picture() => Ok(picture),
                _ => tensor(*seen, shape),
            },
            _ if are_bytes => picture(),
            _ => Err(format!("a picture's samples are u8, these are {}", arrays[0].0.as_str())),
        }
    }

    /// Where it lies in a slot, and the bytes of one.
    pub(crate) fn layout(self) -> (Content, usize) {
        match self {
            Self::Picture(geometry) => {
                let Geometry { format, width, height } = geometry;
                let (planes, bytes) = geometry.layout();
                let colour = protocol::stream::Colour::default();
                (Picture { width, height, format, colour, planes }.into(), bytes)
            }
            Self::Tensor(tensor) => (tensor.into(), tensor.slot_bytes()),
        }
    }

    /// What it says to the next array.
    pub(crate) fn said(self) -> Said {
        match self {
            Self::Picture(geometry) => Said { format: Some(geometry.format), dtype: None },
            Self::Tensor(tensor) => Said { format: None, dtype: Some(tensor.dtype) },
        }
    }
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.layout().0.fmt(f)
    }
}

pub(crate) fn tensor(dtype: DType, shape: &[usize]) -> Result<Form, String> {
    let sides: Option<Vec<u32>> = shape.iter().map(|side| u32::try_from(*side).ok()).collect();
    let dense = sides.and_then(|sides| Tensor::dense(dtype, &sides));
    dense.map(Form::Tensor).ok_or_else(|| {
        format!("{}{shape:?}: a tensor has at most 6 axes, and no stride of 2 GiB", dtype.as_str())
    })
}
