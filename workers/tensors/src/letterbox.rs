//! Where a picture lies in a model's input, and where what was found there lies in the picture. Pure.

use protocol::config::detect::InputFit;

use crate::rect::Rect;

/// Width and height in pixels.
pub type Sides = (u32, u32);

/// The rectangle of a model's input that a picture fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
    pub picture: Sides,
}

impl Placement {
    /// All sides are at least 1.
    pub fn of(picture: Sides, input: Sides, fit: InputFit) -> Self {
        let (width, height) = match fit {
            InputFit::Stretch => input,
            InputFit::Letterbox => largest(picture, input),
        };
        let (left, top) = ((input.0 - width) / 2, (input.1 - height) / 2);
        Self { left, top, width, height, picture }
    }

    /// A box of the input as one of the picture.
    pub fn back(&self, found: &Rect) -> Rect {
        let [left, top, width, height] = [self.left, self.top, self.width, self.height].map(pixels);
        let across = pixels(self.picture.0) / width;
        let down = pixels(self.picture.1) / height;
        Rect {
            x: (found.x - left) * across,
            y: (found.y - top) * down,
            w: found.w * across,
            h: found.h * down,
        }
    }
}

/// The largest of the picture's shape that fits in, rounded as models were trained with it.
fn largest(picture: Sides, input: Sides) -> Sides {
    let scaled = |side: u32, by: u32, of: u32| {
        let (side, by, of) = (u64::from(side), u64::from(by), u64::from(of.max(1)));
        u32::try_from((2 * side * by + of) / (2 * of)).unwrap_or(u32::MAX)
    };
    let is_wide =
        u64::from(picture.0) * u64::from(input.1) >= u64::from(picture.1) * u64::from(input.0);
    if is_wide {
        (input.0, scaled(picture.1, input.0, picture.0).clamp(1, input.1))
    } else {
        (scaled(picture.0, input.1, picture.1).clamp(1, input.0), input.1)
    }
}

/// Sides of pictures are far below 2^24.
#[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^24")]
fn pixels(side: u32) -> f32 {
    side as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wide_pictures_have_gray_above_and_below_high_ones_beside() {
        let of = |picture, input| Placement::of(picture, input, InputFit::Letterbox);
        let place =
            |left, top, width, height, picture| Placement { left, top, width, height, picture };
        assert_eq!(of((1920, 1080), (640, 640)), place(0, 140, 640, 360, (1920, 1080)));
        assert_eq!(of((480, 640), (640, 640)), place(80, 0, 480, 640, (480, 640)));
        assert_eq!(of((320, 192), (160, 160)), place(0, 32, 160, 96, (320, 192)));
        assert_eq!(of((10_000, 1), (64, 64)), place(0, 31, 64, 1, (10_000, 1)));
    }

    #[test]
    fn stretching_fills_all_of_it() {
        let place = Placement::of((1920, 1080), (224, 224), InputFit::Stretch);
        assert_eq!((place.left, place.top, place.width, place.height), (0, 0, 224, 224));
        let all = Rect { x: 0.0, y: 0.0, w: 224.0, h: 224.0 };
        assert_eq!(place.back(&all), Rect { x: 0.0, y: 0.0, w: 1920.0, h: 1080.0 });
    }

    proptest! {
        #[test]
        fn the_place_lies_inside_keeps_the_shape_and_leads_back(
            picture in (1u32..5000, 1u32..5000), input in (8u32..1300, 8u32..1300), stretch: bool,
        ) {
            let fit = if stretch { InputFit::Stretch } else { InputFit::Letterbox };
            let place = Placement::of(picture, input, fit);
            prop_assert!(place.width >= 1 && place.left + place.width <= input.0);
            prop_assert!(place.height >= 1 && place.top + place.height <= input.1);
            if fit == InputFit::Letterbox {
                prop_assert!(place.width == input.0 || place.height == input.1);
                // Half a pixel, which is how exactly a side can be told.
                let [w, h] = [picture.0, picture.1].map(f64::from);
                let [pw, ph] = [place.width, place.height].map(f64::from);
                let off = (pw * h / w - ph).abs().min((ph * w / h - pw).abs());
                prop_assert!(off <= 0.51 || place.width == 1 || place.height == 1, "{place:?}");
            }
            let all = Rect {
                x: pixels(place.left), y: pixels(place.top), w: pixels(place.width), h: pixels(place.height),
            };
            let back = place.back(&all);
            prop_assert!(back.x == 0.0 && back.y == 0.0);
            prop_assert!((back.w - pixels(picture.0)).abs() < 0.01 && (back.h - pixels(picture.1)).abs() < 0.01);
        }
    }
}
