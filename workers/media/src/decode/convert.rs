//! Formats the ring has no code for (10 bits, 4:1:1, ...) into yuv420p.

use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling::{self, context::Definition};
use ffmpeg_next::{Error, frame};
use protocol::stream::PixelFormat;

/// Keeps the conversion that the last picture needed.
#[derive(Default)]
pub(super) struct Converter {
    context: Option<scaling::Context>,
}

impl Converter {
    pub(super) const FORMAT: PixelFormat = PixelFormat::Yuv420p;

    pub(super) fn convert(&mut self, picture: &frame::Video) -> Result<frame::Video, Error> {
        let from = Definition {
            format: picture.format(),
            width: picture.width(),
            height: picture.height(),
        };
        let context = match self.context.take().filter(|kept| *kept.input() == from) {
            Some(kept) => self.context.insert(kept),
            None => self.context.insert(context_for(&from)?),
        };
        let mut converted = frame::Video::empty();
        context.run(picture, &mut converted)?;
        Ok(converted)
    }
}

fn context_for(from: &Definition) -> Result<scaling::Context, Error> {
    scaling::Context::get(
        from.format,
        from.width,
        from.height,
        Pixel::YUV420P,
        from.width,
        from.height,
        scaling::Flags::BILINEAR,
    )
}
