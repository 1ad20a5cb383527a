//! A picture of an input as a part of the whole one.

use media::{Canvas as Colours, MediaError, Part, Scaler, Sight, Tile};
use protocol::config::compositor::layout::{Rect, fitted};
use protocol::config::compositor::{Fit, Key};
use protocol::stream::PixelFormat;
use protocol::time::UtcNs;

use crate::colour::Ycc;
use crate::key;
use crate::marks::{Mark, Outline};

/// What is made of every picture of an input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Making {
    pub(crate) place: Rect,
    pub(crate) fit: Fit,
    pub(crate) key: Option<Key>,
    pub(crate) colours: Colours,
}

/// A picture, as large as it is shown.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) tile: Tile,
    /// Where it is shown.
    pub(crate) to: Rect,
    /// The part of the picture that is shown.
    from: Rect,
    /// Of the picture.
    size: (u32, u32),
    pub(crate) facts: Facts,
}

/// What is known of the picture beside its samples.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// In its ring.
    pub(crate) sequence: u64,
    /// When it was taken.
    pub(crate) utc: UtcNs,
}

impl View {
    /// As [`Scaler::tile`].
    pub(crate) fn of(
        making: &Making,
        sight: &Sight,
        facts: Facts,
        scaler: &mut Scaler,
        read_row: impl FnMut(usize, usize, &mut [u8]),
    ) -> Result<Self, MediaError> {
        let size = (sight.width, sight.height);
        let (from, to) = fitted(making.fit, making.place, size);
        let part = Part { x: from.x, y: from.y, width: from.w, height: from.h };
        let alpha = making.key.is_some() || sight.format == PixelFormat::Rgba;
        let mut tile = scaler.tile(sight, part, (to.w, to.h), making.colours, alpha, read_row)?;
        if let Some(key) = &making.key {
            key::apply(&mut tile, key, Ycc::of(key.color, making.colours.colour));
        }
        Ok(Self { tile, to, from, size, facts })
    }

    /// Where a box is on the canvas; `None` where none of it is shown.
    pub(crate) fn place_of(&self, mark: &Mark, outline: &Outline) -> Option<Rect> {
        let (width, height) = mark.size.unwrap_or(self.size);
        let across = along(
            (outline.x, outline.w, f64::from(width)),
            (self.size.0, self.from.x, self.from.w),
            (self.to.x, self.to.w),
        )?;
        let down = along(
            (outline.y, outline.h, f64::from(height)),
            (self.size.1, self.from.y, self.from.h),
            (self.to.y, self.to.h),
        )?;
        Some(Rect { x: across.0, y: down.0, w: across.1, h: down.1 })
    }
}

/// One side of a box: of a picture of `side` told of, into the `shown` part of `whole`, on the canvas.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the canvas"
)]
fn along(
    (begin, length, side): (f64, f64, f64),
    (whole, from, shown): (u32, u32, u32),
    (to, room): (u32, u32),
) -> Option<(u32, u32)> {
    let scale = f64::from(room) / f64::from(shown.max(1));
    let on_canvas = |at: f64| (at * f64::from(whole) / side - f64::from(from)) * scale;
    let clamped = |at: f64| at.clamp(0.0, f64::from(room)).round() as u32;
    let (begin, end) = (clamped(on_canvas(begin)), clamped(on_canvas(begin + length)));
    (end > begin).then_some((to + begin, end - begin))
}

#[cfg(test)]
mod tests {
    use protocol::stream::Colour;

    use super::*;

    #[test]
    fn a_box_is_where_the_thing_is_however_its_picture_is_fitted() {
        // Told of 320x180, shown is the middle of 640x360, in a square of 100 at (200, 100).
        let shown = |x, w| along((x, w, 320.0), (640, 140, 360), (200, 100));
        assert_eq!(shown(70.0, 180.0), Some((200, 100)), "all that is shown");
        assert_eq!(shown(160.0, 90.0), Some((250, 50)), "its right half");
        assert_eq!(shown(0.0, 160.0), Some((200, 50)), "cut at the left");
        assert_eq!(shown(0.0, 60.0), None, "beside what is shown");
    }

    #[test]
    fn a_picture_with_alpha_or_a_key_has_a_tile_with_alpha() {
        let place = Rect { x: 0, y: 0, w: 16, h: 16 };
        let colours = Colours::of_height(720);
        let making = Making { place, fit: Fit::Contain, key: None, colours };
        let sight =
            Sight { format: PixelFormat::Rgba, width: 32, height: 16, colour: Colour::default() };
        let view =
            View::of(&making, &sight, Facts::default(), &mut Scaler::default(), |_, _, row| {
                row.fill(200);
            });
        let view = view.unwrap();
        assert!(
            view.tile.has_alpha && view.tile.planes()[3].iter().all(|it| it.abs_diff(200) <= 1)
        );
        assert_eq!(view.to, Rect { x: 0, y: 4, w: 16, h: 8 });
    }
}
