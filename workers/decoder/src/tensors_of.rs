//! A picture as the numbers that models take: scaled by FFmpeg, then put in order, straight into a slot.

use media::{MediaError, Picture, Resizer};
use protocol::config::tensor::TensorConfig;
use protocol::stream::{Colour, PixelFormat};
use protocol::units::Size;
use shmring::Tensor;
use tensors::{Element, Note, Placement, Sides, Sight, Wish};

/// Makes one output's tensors.
#[derive(Debug)]
pub(crate) struct TensorMaker {
    wish: Wish,
    element: Element,
    content: Tensor,
    /// For pictures that come to lie in so many pixels.
    resizer: Option<(Sides, Resizer)>,
    /// The scaled picture, and its numbers.
    pixels: Vec<u8>,
    numbers: Vec<f32>,
}

impl TensorMaker {
    /// `None` of one that no slot could hold.
    pub(crate) fn new(config: &TensorConfig, size: Size) -> Option<Self> {
        let TensorConfig { layout, element, scale, colour, fit } = *config;
        let (whole, size) = (size, (size.width, size.height));
        let wish = Wish { size, channels: 3, layout, scale, colour, fit };
        let content = Tensor::dense(element.dtype(), &config.shape(whole))?;
        let numbers = vec![0.0; wish.numbers()];
        let element = element.into();
        Some(Self { wish, element, content, resizer: None, pixels: Vec::new(), numbers })
    }

    /// Bytes that it needs, whatever the picture.
    pub(crate) fn bytes(&self) -> usize {
        self.wish.numbers() * self.element.bytes()
    }

    /// How what it makes lies in a slot.
    pub(crate) fn content(&self) -> Tensor {
        self.content
    }

    /// Makes it of `picture`, at the start of `into`, which has [`Self::bytes`] bytes or more.
    pub(crate) fn make(&mut self, picture: &Picture, into: &mut [u8]) -> Result<Note, MediaError> {
        let place = Placement::of((picture.width, picture.height), self.wish.size, self.wish.fit);
        let sides = (place.width, place.height);
        let resizer = match self.resizer.take() {
            Some((of, resizer)) if of == sides => resizer,
            _ => Resizer::new(Some(sides), Some(PixelFormat::Rgb24)),
        };
        let (_, resizer) = self.resizer.insert((sides, resizer));
        let bytes = resizer.bytes_for(picture);
        self.pixels.resize(bytes, 0);
        let scaled = resizer.scale(picture, &mut self.pixels)?;
        let sight = Sight { size: sides, format: PixelFormat::Rgb24, colour: Colour::default() };
        let (pixels, plane) = (&self.pixels, scaled.planes[0]);
        // As large as its place in the tensor already: each row is taken as it is.
        self.wish.fill(&sight, &mut self.numbers, |_, y, row| {
            let begin = plane.offset_bytes + y * plane.linesize_bytes;
            if let Some(from) = pixels.get(begin..begin + row.len()) {
                row.copy_from_slice(from);
            }
        });
        let end = self.bytes().min(into.len());
        self.element.write(&self.numbers, &mut into[..end]);
        Ok(Note::of(&self.wish, place))
    }
}
