//! The small model over pictures that are drawn here: it finds what was drawn, and both engines say the same.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use detect::find::Wanted;
use detect::runner::{Loaded, load, run_all};
use protocol::config::DetectConfig;
use protocol::config::detect::Engine as Asked;
use protocol::config::zone::Field;
use protocol::shapes::{Shape, shapes};
use protocol::stream::{Colour, PixelFormat};
use tensors::{Placement, Rect, Sight};

const SIZES: [(u32, u32); 3] = [(640, 480), (640, 352), (1280, 720)];
/// Luma and chroma of the shapes by their lanes, as the synthetic camera has them.
const COLOURS: [[u8; 3]; 3] = [[210, 90, 170], [40, 180, 90], [190, 60, 60]];

fn config(engine: Asked) -> DetectConfig {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/shapes.onnx");
    DetectConfig { engine, min_score: 0.5, ..DetectConfig::of(model) }
}

fn library() -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os("ORT_DYLIB_PATH")?);
    path.is_file().then_some(path)
}

/// A sample of picture `number`: a ramp with the shapes on it, between two strips of cells.
fn sample(size: (u32, u32), all: &[Shape; 3], number: u64, plane: usize, x: u32, y: u32) -> u8 {
    let shrink = if plane == 0 { 1 } else { 2 };
    let (x, y) = (x * shrink, y * shrink);
    if y < 16 || y >= size.1 - 16 {
        let cell = x / (size.0 / 32);
        let luma = if number >> (cell % 24) & 1 == 1 { 235 } else { 16 };
        return if plane == 0 { luma } else { 128 };
    }
    let covers =
        |shape: &&Shape| shape.columns(y).is_some_and(|(left, right)| (left..right).contains(&x));
    match all.iter().find(covers) {
        Some(shape) => COLOURS[shape.lane][plane],
        None if plane == 0 => u8::try_from(48 + 96 * (x + y) / (size.0 + size.1)).unwrap_or(144),
        None => 128,
    }
}

/// The numbers of one picture for the model, and where it lies in them.
fn drawn(loaded: &Loaded, size: (u32, u32), number: u64) -> (Vec<f32>, Placement) {
    let sight = Sight { size, format: PixelFormat::Yuv420p, colour: Colour::default() };
    let all = shapes(size.0, size.1, number);
    let mut numbers = vec![0.0; loaded.wish.numbers()];
    let place = loaded.wish.fill(&sight, &mut numbers, |plane, y, row| {
        for (x, byte) in (0..).zip(row) {
            *byte = sample(size, &all, number, plane, x, u32::try_from(y).unwrap());
        }
    });
    (numbers, place)
}

fn rect(shape: &Shape) -> Rect {
    #[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^24")]
    let [x, y, w, h] = [shape.x, shape.y, shape.w, shape.h].map(|side| side as f32);
    Rect { x, y, w, h }
}

#[test]
fn the_small_model_finds_what_was_drawn() {
    let config = config(Asked::Tract);
    let (mut engine, loaded) = load(&config, Path::new("/nowhere")).unwrap();
    assert_eq!(loaded.labels.all(), ["box", "disc", "triangle"]);
    let wanted = Wanted::of(&config, &loaded.labels).unwrap();
    let (mut right, mut pictures) = (0, 0);
    for (size, number) in
        SIZES.iter().flat_map(|size| (0..330).step_by(11).map(move |n| (*size, n)))
    {
        let (numbers, place) = drawn(&loaded, size, number);
        let output = run_all(&mut *engine, &numbers, 1).unwrap();
        let found = wanted
            .boxes(&loaded.meaning, output.of(0, 1), &place, &Field::default(), &loaded.labels)
            .unwrap();
        let is_found = |shape: &Shape| {
            let of_it = found.iter().filter(|found| found.label == shape.form.name());
            of_it.map(|found| found.rect.iou(&rect(shape))).fold(0.0, f32::max) >= 0.7
        };
        pictures += 1;
        right +=
            usize::from(found.len() == 3 && shapes(size.0, size.1, number).iter().all(is_found));
    }
    println!("{right} of {pictures} pictures are right");
    assert!(right * 100 >= pictures * 95, "{right} of {pictures} pictures are right");
}

#[test]
fn both_engines_say_the_same_alone_and_in_batches() {
    let Some(library) = library() else {
        println!("skipped: ORT_DYLIB_PATH names no library of ONNX Runtime");
        return;
    };
    let asked = DetectConfig { onnxruntime: Some(library), ..config(Asked::OnnxRuntime) };
    let (mut one, loaded) = load(&asked, Path::new("/nowhere")).unwrap();
    let (mut other, _) = load(&config(Asked::Tract), Path::new("/nowhere")).unwrap();
    assert_eq!((loaded.by.as_str(), loaded.fell_back.as_deref()), ("ONNX Runtime, cpu", None));
    let mut worst = 0.0_f32;
    for batch in [1, 3] {
        let numbers: Vec<f32> =
            (0..batch).flat_map(|at| drawn(&loaded, SIZES[at], 7 * at as u64).0).collect();
        let outputs =
            [&mut one, &mut other].map(|engine| run_all(&mut **engine, &numbers, batch).unwrap());
        assert_eq!(outputs[0].shape, outputs[1].shape);
        for (a, b) in outputs[0].values.iter().zip(&outputs[1].values) {
            worst = worst.max((a - b).abs());
        }
    }
    println!("figure: worst_difference {worst}");
    assert!(worst <= 1e-3, "{worst}");
}

#[test]
fn a_provider_that_is_not_there_is_told_and_the_processor_runs_the_model() {
    let Some(library) = library() else {
        println!("skipped: ORT_DYLIB_PATH names no library of ONNX Runtime");
        return;
    };
    if Path::new("/dev/nvidia0").exists() {
        println!("skipped: this machine has an NVIDIA card");
        return;
    }
    let providers = vec![protocol::config::detect::Provider::Cuda];
    let asked = DetectConfig { onnxruntime: Some(library), providers, ..config(Asked::Auto) };
    let (_, loaded) = load(&asked, Path::new("/nowhere")).unwrap();
    let told = loaded.fell_back.unwrap();
    assert!(told.starts_with("cuda: ") && told.ends_with(": cpu runs the model"), "{told}");
    assert_eq!(loaded.by, "ONNX Runtime, cpu");
}
