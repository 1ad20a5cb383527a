//! Where pictures go, and what of them: arithmetic alone. All numbers are even, since chroma is halved.

use super::{Anchor, CompositorConfig, Fit, Layout, Length, Place};
use crate::name::RingName;
use crate::units::Size;

/// Of an input that says where it is but not how large: a quarter of each side.
const QUARTER: Length = Length::Share(2_500);
/// Between the small pictures and the edges.
const MARGIN: Length = Length::Share(200);
/// What a grid's tiles are made for.
const TILE_SHAPE: (u64, u64) = (16, 9);

/// A rectangle in pixels, inside the picture it is of, with sides of 2 at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub w: u32,
    pub h: u32,
}

impl Rect {
    pub fn whole(size: Size) -> Self {
        Self { x: 0, y: 0, w: size.width, h: size.height }
    }
}

/// The rectangle of each input, in their order.
pub fn rectangles(config: &CompositorConfig, inputs: &[RingName]) -> Vec<Rect> {
    let placed = |ring: &RingName| config.places.get(ring);
    let laid_out: Vec<usize> =
        (0..inputs.len()).filter(|&at| is_laid_out(placed(&inputs[at]))).collect();
    let cells = match config.layout {
        Layout::Grid => grid(config.size, laid_out.len(), config.columns),
        Layout::Pip => pip(config.size, laid_out.len()),
    };
    let own = |at: usize| match placed(&inputs[at]) {
        Some(place) if has_geometry(place) => of_place(config.size, place),
        _ => {
            let cell = laid_out.iter().position(|other| *other == at);
            cell.map_or_else(|| Rect::whole(config.size), |cell| cells[cell])
        }
    };
    (0..inputs.len()).map(|at| own(below(config, inputs, at))).collect()
}

/// The inputs in the order in which they are drawn: those of the layout, those with places, and each of them
/// with what lies over it.
pub fn order(config: &CompositorConfig, inputs: &[RingName]) -> Vec<usize> {
    let over = |at: usize| {
        let ring = config.places.get(&inputs[at])?.over.as_ref()?;
        inputs.iter().position(|other| other == ring)
    };
    let is_laid_out = |at: &usize| is_laid_out(config.places.get(&inputs[*at]));
    let free = (0..inputs.len()).filter(|at| over(*at).is_none());
    let (first, then): (Vec<usize>, Vec<usize>) = free.partition(is_laid_out);
    let mut order = Vec::with_capacity(inputs.len());
    // The last one is drawn next.
    let mut open: Vec<usize> = first.into_iter().chain(then).rev().collect();
    while let Some(at) = open.pop() {
        order.push(at);
        open.extend((0..inputs.len()).rev().filter(|other| over(*other) == Some(at)));
    }
    order
}

/// The part of a picture that is shown, and where in `place` it is.
pub fn fitted(fit: Fit, place: Rect, picture: (u32, u32)) -> (Rect, Rect) {
    let (width, height) = picture;
    let all = Rect { x: 0, y: 0, w: width, h: height };
    // Too small to cut anything away.
    if width < 2 || height < 2 {
        return (all, place);
    }
    match fit {
        Fit::Stretch => (all, place),
        Fit::Contain => (all, centred(place, largest((place.w, place.h), picture))),
        Fit::Cover => {
            let whole = Rect { w: width & !1, h: height & !1, ..all };
            (centred(whole, largest((width, height), (place.w, place.h))), place)
        }
    }
}

/// Follows `over` to the input that has a rectangle of its own.
fn below(config: &CompositorConfig, inputs: &[RingName], at: usize) -> usize {
    let over = |at: usize| {
        let ring = config.places.get(&inputs[at])?.over.as_ref()?;
        inputs.iter().position(|other| other == ring)
    };
    // A circle is refused where topologies are read.
    (0..inputs.len()).try_fold(at, |at, _| over(at).ok_or(at)).unwrap_or_else(|at| at)
}

fn is_laid_out(place: Option<&Place>) -> bool {
    place.is_none_or(|place| place.over.is_none() && !has_geometry(place))
}

fn has_geometry(place: &Place) -> bool {
    let Place { at, x, y, w, h, .. } = place;
    let zero = Length::default();
    *at != Anchor::TopLeft || *x != zero || *y != zero || w.is_some() || h.is_some()
}

fn of_place(size: Size, place: &Place) -> Rect {
    let Size { width, height } = size;
    let like = |length: u32, side: u32, other: u32| {
        let product = u64::from(length) * u64::from(side) / u64::from(other.max(1));
        u32::try_from(product).unwrap_or(u32::MAX)
    };
    let (w, h) = match (place.w, place.h) {
        (Some(w), Some(h)) => (w.of(width), h.of(height)),
        (Some(w), None) => (w.of(width), like(w.of(width), height, width)),
        (None, Some(h)) => (like(h.of(height), width, height), h.of(height)),
        (None, None) => (QUARTER.of(width), QUARTER.of(height)),
    };
    let (w, h) = (w.clamp(2, width), h.clamp(2, height));
    anchored(size, place.at, (place.x.of(width), place.y.of(height)), (w, h))
}

/// A rectangle so far from a corner, an edge or the middle.
pub fn anchored(size: Size, at: Anchor, offset: (u32, u32), rect: (u32, u32)) -> Rect {
    let (across, down) = sides(at);
    let (x, w) = along(size.width, across, offset.0, rect.0);
    let (y, h) = along(size.height, down, offset.1, rect.1);
    Rect { x, y, w, h }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Near,
    Middle,
    Far,
}

fn sides(at: Anchor) -> (Side, Side) {
    let across = match at {
        Anchor::TopLeft | Anchor::Left | Anchor::BottomLeft => Side::Near,
        Anchor::Top | Anchor::Center | Anchor::Bottom => Side::Middle,
        Anchor::TopRight | Anchor::Right | Anchor::BottomRight => Side::Far,
    };
    let down = match at {
        Anchor::TopLeft | Anchor::Top | Anchor::TopRight => Side::Near,
        Anchor::Left | Anchor::Center | Anchor::Right => Side::Middle,
        Anchor::BottomLeft | Anchor::Bottom | Anchor::BottomRight => Side::Far,
    };
    (across, down)
}

/// What leaves the side is cut.
fn along(side: u32, at: Side, offset: u32, length: u32) -> (u32, u32) {
    let length = length.min(side);
    let from = match at {
        Side::Near => offset,
        Side::Middle => ((side - length) / 2).saturating_add(offset),
        Side::Far => (side - length).saturating_sub(offset),
    };
    let from = from.min(side.saturating_sub(2)) & !1;
    (from, (length.min(side - from) & !1).max(2))
}

fn grid(size: Size, count: usize, columns: Option<u32>) -> Vec<Rect> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    if count == 0 {
        return Vec::new();
    }
    let columns = columns.map_or_else(|| best_columns(size, count), |columns| columns.min(count));
    let rows = count.div_ceil(columns);
    // Up to two pixels are left where a side does not divide.
    let edge = |number: u32, of: u32, side: u32| {
        u32::try_from(u64::from(side) * u64::from(number) / u64::from(of)).unwrap_or(side) & !1
    };
    let cell = |number: u32| {
        let (column, row) = (number % columns, number / columns);
        let (x, y) = (edge(column, columns, size.width), edge(row, rows, size.height));
        let right = edge(column + 1, columns, size.width);
        let bottom = edge(row + 1, rows, size.height);
        Rect { x, y, w: (right - x).max(2), h: (bottom - y).max(2) }
    };
    (0..count).map(cell).collect()
}

/// Those that make tiles of the usual shape largest; of equal ones the more, since screens are wide.
fn best_columns(size: Size, count: u32) -> u32 {
    let tile = |columns: &u32| {
        let (w, h) = (size.width / columns, size.height / count.div_ceil(*columns));
        (u64::from(w) * TILE_SHAPE.1).min(u64::from(h) * TILE_SHAPE.0)
    };
    (1..=count.min(size.width / 2).max(1)).max_by_key(tile).unwrap_or(1)
}

fn pip(size: Size, count: usize) -> Vec<Rect> {
    const CORNERS: [Anchor; 4] =
        [Anchor::BottomRight, Anchor::BottomLeft, Anchor::TopRight, Anchor::TopLeft];
    let margin = MARGIN.of(size.height) & !1;
    let (w, h) = (QUARTER.of(size.width), QUARTER.of(size.height));
    let small = |number: usize| {
        let level = u32::try_from(number / CORNERS.len()).unwrap_or(u32::MAX);
        let down = margin.saturating_add(level.saturating_mul(h + margin));
        anchored(size, CORNERS[number % CORNERS.len()], (margin, down), (w, h))
    };
    let first = std::iter::once(Rect::whole(size));
    first.chain((0..count.saturating_sub(1)).map(small)).take(count).collect()
}

/// The largest rectangle of the second one's shape in the first.
fn largest(room: (u32, u32), shape: (u32, u32)) -> (u32, u32) {
    let [room_w, room_h, w, h] = [room.0, room.1, shape.0, shape.1].map(u64::from);
    let even = |side: u64, most: u64| {
        let side = u32::try_from((side + 1).min(most)).unwrap_or(u32::MAX) & !1;
        side.max(2)
    };
    if room_w * h <= room_h * w {
        (even(room_w, room_w), even(h * room_w / w.max(1), room_h))
    } else {
        (even(w * room_h / h.max(1), room_w), even(room_h, room_h))
    }
}

fn centred(room: Rect, (w, h): (u32, u32)) -> Rect {
    let (w, h) = (w.min(room.w), h.min(room.h));
    let half = |rest: u32| (rest / 2) & !1;
    Rect { x: room.x + half(room.w - w), y: room.y + half(room.h - h), w, h }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HD: Size = Size { width: 1280, height: 720 };

    fn rings(names: &[&str]) -> Vec<RingName> {
        names.iter().map(|name| format!("{name}.frames").parse().unwrap()).collect()
    }

    fn config(places: &[(&str, Place)]) -> CompositorConfig {
        let ring = |name: &str| rings(&[name]).remove(0);
        let places = places.iter().map(|(name, place)| (ring(name), place.clone())).collect();
        CompositorConfig { places, ..CompositorConfig::default() }
    }

    fn rect(x: u32, y: u32, w: u32, h: u32) -> Rect {
        Rect { x, y, w, h }
    }

    #[test]
    fn four_inputs_are_two_by_two_and_two_stand_side_by_side() {
        let four = rectangles(&config(&[]), &rings(&["a", "b", "c", "d"]));
        let expected = [
            rect(0, 0, 640, 360),
            rect(640, 0, 640, 360),
            rect(0, 360, 640, 360),
            rect(640, 360, 640, 360),
        ];
        assert_eq!(four, expected);
        let two = rectangles(&config(&[]), &rings(&["a", "b"]));
        assert_eq!(two, [rect(0, 0, 640, 720), rect(640, 0, 640, 720)]);
        let one_column = CompositorConfig { columns: Some(1), ..config(&[]) };
        assert_eq!(rectangles(&one_column, &rings(&["a", "b"]))[1], rect(0, 360, 1280, 360));
    }

    #[test]
    fn an_input_with_a_place_leaves_the_grid_and_a_name_alone_does_not() {
        let place = Place {
            at: Anchor::BottomRight,
            x: Length::Pixels(16),
            y: Length::Pixels(16),
            w: Some(Length::Share(2_500)),
            ..Place::default()
        };
        let named = Place { name: Some("Yard".to_owned()), ..Place::default() };
        let inputs = rings(&["a", "b"]);
        let seen = rectangles(&config(&[("b", place), ("a", named)]), &inputs);
        assert_eq!(seen, [Rect::whole(HD), rect(1280 - 320 - 16, 720 - 180 - 16, 320, 180)]);
    }

    #[test]
    fn what_lies_over_another_has_its_rectangle_and_is_drawn_next() {
        let over = |name: &str| Place { over: Some(rings(&[name]).remove(0)), ..Place::default() };
        let small = Place { at: Anchor::Center, ..Place::default() };
        let inputs = rings(&["marks", "small", "a", "b", "more"]);
        let config = config(&[("marks", over("a")), ("small", small), ("more", over("marks"))]);
        let seen = rectangles(&config, &inputs);
        assert_eq!((seen[0], seen[4]), (seen[2], seen[2]));
        assert_eq!(seen[1], rect(480, 270, 320, 180));
        assert_eq!(order(&config, &inputs), [2, 0, 4, 3, 1]);
    }

    #[test]
    fn pip_puts_the_first_everywhere_and_the_others_in_its_corners() {
        let config = CompositorConfig { layout: Layout::Pip, ..config(&[]) };
        let seen = rectangles(&config, &rings(&["a", "b", "c"]));
        assert_eq!(seen, [Rect::whole(HD), rect(946, 526, 320, 180), rect(14, 526, 320, 180)]);
    }

    #[test]
    fn a_picture_is_fitted_in_its_own_shape_unless_it_may_be_stretched() {
        let place = rect(100, 100, 400, 400);
        let all = rect(0, 0, 640, 360);
        assert_eq!(fitted(Fit::Contain, place, (640, 360)), (all, rect(100, 186, 400, 226)));
        assert_eq!(fitted(Fit::Stretch, place, (640, 360)), (all, place));
        assert_eq!(fitted(Fit::Cover, place, (640, 360)), (rect(140, 0, 360, 360), place));
    }

    fn lengths() -> impl Strategy<Value = Length> {
        prop_oneof![(0u32..5_000).prop_map(Length::Pixels), (0u32..=10_000).prop_map(Length::Share)]
    }

    fn places() -> impl Strategy<Value = Place> {
        let anchors = proptest::sample::select(vec![
            Anchor::TopLeft,
            Anchor::Top,
            Anchor::Right,
            Anchor::Center,
            Anchor::BottomRight,
        ]);
        let side = || proptest::option::of(lengths());
        (anchors, lengths(), lengths(), side(), side()).prop_map(|(at, x, y, w, h)| Place {
            at,
            x,
            y,
            w,
            h,
            ..Place::default()
        })
    }

    proptest! {
        #[test]
        fn every_rectangle_is_even_and_inside(
            place in places(), count in 1usize..40, columns in proptest::option::of(1u32..50),
            width in 16u32..2_000, height in 16u32..2_000, pip in any::<bool>(),
            source in (1u32..9_000, 1u32..9_000),
        ) {
            let size = Size { width: width * 2, height: height * 2 };
            let layout = if pip { Layout::Pip } else { Layout::Grid };
            let names: Vec<String> = (0..count).map(|n| format!("c{n}")).collect();
            let inputs = rings(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let config = CompositorConfig { size, layout, columns, ..config(&[("c0", place)]) };
            let inside = |rect: Rect, width: u32, height: u32| {
                let even = [rect.x, rect.y, rect.w, rect.h].iter().all(|side| side % 2 == 0);
                even && rect.w >= 2 && rect.h >= 2
                    && rect.x + rect.w <= width && rect.y + rect.h <= height
            };
            for rect in rectangles(&config, &inputs) {
                prop_assert!(inside(rect, size.width, size.height), "{rect:?}");
                for fit in [Fit::Contain, Fit::Cover, Fit::Stretch] {
                    let (from, to) = fitted(fit, rect, source);
                    prop_assert!(inside(to, size.width, size.height), "{fit:?} {to:?}");
                    prop_assert!(from.x + from.w <= source.0.max(2) && from.y + from.h <= source.1.max(2));
                }
            }
            let mut drawn = order(&config, &inputs);
            drawn.sort_unstable();
            prop_assert_eq!(drawn, (0..count).collect::<Vec<_>>());
        }
    }
}
