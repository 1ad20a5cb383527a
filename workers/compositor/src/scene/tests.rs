#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "samples of a u8")]

use media::{Canvas as Colours, Scaler, Sight};
use protocol::config::compositor::layout::{order, rectangles};
use protocol::config::compositor::{Anchor, Fit, Key, Place};
use protocol::record::Record;
use protocol::stream::PixelFormat;
use serde_json::json;

use super::*;
use crate::canvas::tests::Sheet;
use crate::marks::Mark;
use crate::view::{Facts, Making};

const SIZE: Size = Size { width: 320, height: 180 };
/// What eyes take for the same.
const PSNR_MIN_DB: f64 = 35.0;

fn ring(name: &str) -> RingName {
    format!("{name}.frames").parse().unwrap()
}

/// An input with its picture: `pixel(x, y)` are the bytes of a packed pixel.
struct Source {
    name: &'static str,
    place: Option<Place>,
    format: PixelFormat,
    size: (u32, u32),
    pixel: fn(u32, u32) -> [u8; 4],
}

fn source(name: &'static str, place: Option<Place>, pixel: fn(u32, u32) -> [u8; 4]) -> Source {
    Source { name, place, format: PixelFormat::Rgba, size: (SIZE.width, SIZE.height), pixel }
}

/// The whole picture of some inputs.
fn composed(sources: &[Source], config: CompositorConfig, marks: &Marks) -> Vec<u8> {
    let places = sources.iter().filter_map(|it| Some((ring(it.name), it.place.clone()?))).collect();
    let config = CompositorConfig { size: SIZE, places, ..config };
    let rings: Vec<RingName> = sources.iter().map(|it| ring(it.name)).collect();
    let colours = Colours::of_height(SIZE.height);
    let scene = Scene::new(&config, colours.colour, Zones::of_machine());
    let mut sheet = Sheet::new(SIZE.width, SIZE.height);
    let mut canvas = sheet.canvas();
    scene.begin(&mut canvas);
    for at in order(&config, &rings) {
        let (source, rect) = (&sources[at], rectangles(&config, &rings)[at]);
        let place = source.place.clone().unwrap_or_default();
        let making = Making { place: rect, fit: place.fit, key: place.key, colours };
        let view = view(source, &making);
        let actor = Actor {
            ring: rings[at].clone(),
            name: source.name.to_owned(),
            place: rect,
            is_over: place.over.is_some(),
        };
        scene.input(&mut canvas, &actor, &Appearance::View(&view), marks, UtcNs(1));
    }
    scene.end(&mut canvas, "mix", UtcNs(1));
    sheet.tight()
}

fn view(source: &Source, making: &Making) -> View {
    let (width, height) = source.size;
    let colour = Colour { range: 1, matrix: 5, ..Colour::default() };
    let sight = Sight { format: source.format, width, height, colour };
    let bytes = source.format.pixel_bytes() as usize;
    let read = |_: usize, y: usize, row: &mut [u8]| {
        for (x, into) in (0..).zip(row.chunks_exact_mut(bytes)) {
            let pixel = (source.pixel)(x, u32::try_from(y).unwrap());
            into.copy_from_slice(&pixel[..bytes]);
        }
    };
    View::of(making, &sight, Facts::default(), &mut Scaler::default(), read).unwrap()
}

/// Limited BT.601 of full-range RGB, exactly.
fn ycc(rgb: [f64; 3]) -> [f64; 3] {
    let [r, g, b] = rgb.map(|it| it / 255.0);
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    [16.0 + 219.0 * y, 128.0 + 224.0 * (b - y) / 1.772, 128.0 + 224.0 * (r - y) / 1.402]
}

/// 4:2:0 of a picture whose pixels are given exactly, in RGB; chroma of four is their average.
fn reference(pixel: impl Fn(u32, u32) -> [f64; 3]) -> Vec<u8> {
    let (w, h) = (SIZE.width, SIZE.height);
    let mut samples = Vec::new();
    for y in 0..h {
        samples.extend((0..w).map(|x| ycc(pixel(x, y))[0].round() as u8));
    }
    for component in 1..3 {
        for (y, x) in (0..h).step_by(2).flat_map(|y| (0..w).step_by(2).map(move |x| (y, x))) {
            let four = [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)];
            let sum: f64 = four.iter().map(|(x, y)| ycc(pixel(*x, *y))[component]).sum();
            samples.push((sum / 4.0).round() as u8);
        }
    }
    samples
}

fn psnr_db(seen: &[u8], expected: &[u8]) -> f64 {
    assert_eq!(seen.len(), expected.len());
    let squares = seen.iter().zip(expected).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    let mean = squares.sum::<f64>() / seen.len() as f64;
    if mean == 0.0 { f64::INFINITY } else { 10.0 * (255.0 * 255.0 / mean).log10() }
}

/// A scene with large and small things in it.
fn base(x: u32, y: u32) -> [u8; 4] {
    let wave = |period: f64, at: u32| (f64::from(at) / period).sin() * 100.0 + 128.0;
    [wave(31.0, x) as u8, wave(23.0, y) as u8, wave(47.0, x + y) as u8, 255]
}

/// Denser and denser to the right, and nothing in its upper half.
fn overlay(x: u32, y: u32) -> [u8; 4] {
    let alpha = if y < SIZE.height / 2 { 0 } else { x * 255 / SIZE.width };
    [250, 40, 120, u8::try_from(alpha).unwrap()]
}

fn rgb([r, g, b, _]: [u8; 4]) -> [f64; 3] {
    [r, g, b].map(f64::from)
}

fn no_marks() -> Marks {
    Marks::new(std::time::Duration::from_secs(1))
}

fn close(what: &str, seen: &[u8], expected: &[u8]) {
    let db = psnr_db(seen, expected);
    assert!(db >= PSNR_MIN_DB, "{what}: {db:.1} dB");
}

#[test]
fn an_overlay_with_alpha_is_what_arithmetic_says() {
    let over = Place { over: Some(ring("base")), ..Place::default() };
    let sources = [source("base", None, base), source("marks", Some(over), overlay)];
    let seen = composed(&sources, CompositorConfig::default(), &no_marks());
    let expected = reference(|x, y| {
        let share = f64::from(overlay(x, y)[3]) / 255.0;
        let (over, under) = (rgb(overlay(x, y)), rgb(base(x, y)));
        [0, 1, 2].map(|at| over[at] * share + under[at] * (1.0 - share))
    });
    close("overlay", &seen, &expected);
    assert!(psnr_db(&reference(|x, y| rgb(base(x, y))), &expected) < 25.0, "it can be seen");
}

/// A coloured disc before a green screen.
fn screen(x: u32, y: u32) -> [u8; 4] {
    let (dx, dy) = (f64::from(x) - 160.0, f64::from(y) - 90.0);
    if dx.hypot(dy) < 60.0 { [200, 150, 120, 255] } else { [0, 177, 64, 255] }
}

#[test]
fn a_chroma_key_lets_through_what_lies_below() {
    let key = Key { color: Rgb(0, 177, 64), similarity: 0.1, blend: 0.02 };
    let place = Place { w: Some(Length::Share(10_000)), key: Some(key), ..Place::default() };
    let front = Source { format: PixelFormat::Rgb24, ..source("front", Some(place), screen) };
    let sources = [source("base", None, base), front];
    let seen = composed(&sources, CompositorConfig::default(), &no_marks());
    let expected = reference(|x, y| {
        let shown = screen(x, y);
        rgb(if shown == [0, 177, 64, 255] { base(x, y) } else { shown })
    });
    let db = psnr_db(&seen, &expected);
    // The edge is soft where the reference's is hard.
    assert!(db >= 30.0, "{db:.1} dB");
    for at in [90 * 320 + 160, 5 * 320 + 5] {
        assert!(seen[at].abs_diff(expected[at]) <= 1, "{} and {}", seen[at], expected[at]);
    }
}

#[test]
fn a_small_picture_lies_where_its_place_says() {
    let place = Place {
        at: Anchor::BottomRight,
        x: Length::Pixels(20),
        y: Length::Pixels(10),
        w: Some(Length::Share(2_500)),
        fit: Fit::Stretch,
        ..Place::default()
    };
    // Twice the size of its place, of even colours in each 2x2.
    let halved = |x: u32, y: u32| base(x / 2 * 2 + 40, y / 2 * 2);
    let small = Source { size: (160, 88), ..source("small", Some(place), halved) };
    let sources = [source("base", None, base), small];
    let seen = composed(&sources, CompositorConfig::default(), &no_marks());
    // 80x45 is 80x44 in even pixels, at 220 and 124.
    let expected = reference(|x, y| {
        let inside = (220..300).contains(&x) && (124..168).contains(&y);
        rgb(if inside { halved((x - 220) * 2, (y - 124) * 2) } else { base(x, y) })
    });
    close("picture in picture", &seen, &expected);
}

#[test]
fn a_box_stands_around_what_was_found_and_a_text_in_its_corner() {
    let record = Record {
        id: "1".to_owned(),
        kind: "motion.begin".to_owned(),
        camera: "base".to_owned(),
        frame: None,
        time_utc_ns: 0,
        // Of a picture twice the size.
        data: json!({"boxes": [{"x": 200, "y": 100, "w": 80, "h": 60}], "width": 640, "height": 360}),
    };
    let mut marks = no_marks();
    marks.tell(Mark::of(&"motion.events".parse().unwrap(), &record).unwrap());
    let text = vec![
        Caption { text: "{name}".to_owned(), each: true, ..Caption::default() },
        Caption { text: "{name}".to_owned(), at: Anchor::BottomRight, ..Caption::default() },
    ];
    let black = |_: u32, _: u32| [0, 0, 0, 255];
    let config = CompositorConfig { text, ..CompositorConfig::default() };
    let seen = composed(&[source("base", None, black)], config, &marks);
    let bright = |x: u32, y: u32| seen[(y * SIZE.width + x) as usize] > 60;
    for (x, y, expected) in [
        (100, 50, true),
        (139, 79, true),
        (120, 50, true),
        (99, 50, false),
        (120, 60, false),
        (140, 80, false),
    ] {
        assert_eq!(bright(x, y), expected, "({x}, {y})");
    }
    let lit = |xs: std::ops::Range<u32>, ys: std::ops::Range<u32>| {
        ys.flat_map(|y| xs.clone().map(move |x| (x, y))).any(|(x, y)| bright(x, y))
    };
    assert!(lit(0..40, 0..16) && lit(280..320, 164..180));
    assert!(!lit(200..320, 0..40));
}

#[test]
fn a_slate_says_who_is_missing_and_what_is_nothing_is_not_drawn() {
    let config = CompositorConfig { size: SIZE, ..CompositorConfig::default() };
    let colour = Colours::of_height(SIZE.height).colour;
    let scene = Scene::new(&config, colour, Zones::of_machine());
    let place = Rect { x: 160, y: 0, w: 160, h: 180 };
    let actor = Actor { ring: ring("gate"), name: "gate".to_owned(), place, is_over: false };
    let drawn = |appearance: &Appearance<'_>| {
        let mut sheet = Sheet::new(SIZE.width, SIZE.height);
        scene.begin(&mut sheet.canvas());
        scene.input(&mut sheet.canvas(), &actor, appearance, &no_marks(), UtcNs(1));
        sheet.tight()
    };
    let nothing = drawn(&Appearance::Nothing);
    assert!(nothing[..320 * 180].iter().all(|luma| *luma == nothing[0]));
    let (slate, yet) = (drawn(&Appearance::Slate(Some(UtcNs(0)))), drawn(&Appearance::Slate(None)));
    let letters = |slate: &[u8]| slate[..320 * 180].iter().filter(|luma| **luma > 150).count();
    assert!(letters(&slate) > 100 && letters(&yet) > 100);
    assert_ne!(slate, yet);
    let outside =
        (0..180).all(|y| slate[y * 320..y * 320 + 160].iter().all(|it| *it == nothing[0]));
    assert!(outside, "it is drawn beside its place");
}
