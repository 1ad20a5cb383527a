//! Pictures of FFmpeg's that lie on a CUDA device, and memory of the same device that is ours: by a driver that
//! is none, which both sides load. What decodes and encodes there only a real device has.

use std::fs;
use std::path::Path;
use std::process::Command;

use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame;
use protocol::stream::{Codec, PixelFormat};
use shmring_cuda::{Device, Driver, Region, Rows, fake};

use crate::decode::{DecodeEngine, PictureHome, testing};
use crate::picture_encoder::Upload;

/// Set in the process whose libcuda.so.1 is the fake one: the folder it lies in.
const FOLDER: &str = "ON_DEVICE_TEST";
const WIDTH: u32 = 96;
const HEIGHT: u32 = 50;

/// Runs one of the tests below where FFmpeg finds the fake driver.
fn beside_the_fake_driver(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    fake::build(folder.path());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("on_device::{test}"), "--nocapture"])
        .env("LD_LIBRARY_PATH", folder.path())
        .env("FAKE_CUDA_LOG", folder.path().join("log"))
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn sample(plane: usize, x: usize, y: usize) -> u8 {
    u8::try_from((plane * 91 + x * 3 + y * 7) % 256).unwrap()
}

fn rows(plane: usize) -> Rows {
    let extent = PixelFormat::Nv12.plane_extent(plane, WIDTH, HEIGHT);
    let (row_bytes, rows) = (extent.row_bytes as usize, extent.rows as usize);
    Rows { offset: plane as u64 * 65_536, pitch: 1024, row_bytes, rows }
}

/// A picture of FFmpeg's in ordinary memory.
fn painted() -> frame::Video {
    let mut picture = frame::Video::new(Pixel::NV12, WIDTH, HEIGHT);
    for plane in 0..2 {
        let (stride, rows) = (picture.stride(plane), rows(plane));
        for (y, row) in picture.data_mut(plane).chunks_mut(stride).take(rows.rows).enumerate() {
            let row = row[..rows.row_bytes].iter_mut().enumerate();
            row.for_each(|(x, at)| *at = sample(plane, x, y));
        }
    }
    picture
}

fn is_painted(memory: &Region, plane: usize) {
    let rows = rows(plane);
    let mut seen = vec![0; rows.row_bytes * rows.rows];
    memory.download(&rows, &mut seen, rows.row_bytes).unwrap();
    for (place, seen) in seen.into_iter().enumerate() {
        assert_eq!(seen, sample(plane, place % rows.row_bytes, place / rows.row_bytes));
    }
}

fn moved(folder: &Path, what: &str) -> usize {
    let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
    log.lines().filter(|line| line.starts_with(what)).count()
}

#[test]
fn a_picture_that_was_made_on_the_device_goes_into_a_ring_there_and_never_here() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return beside_the_fake_driver(
            "a_picture_that_was_made_on_the_device_goes_into_a_ring_there_and_never_here",
        );
    };
    crate::init();
    let made = testing::on_cuda(&painted());
    let picture = testing::received(made, Codec::H264, true).unwrap();
    assert_eq!((picture.home, picture.format), (PictureHome::Device, PixelFormat::Nv12));
    assert_eq!((picture.width, picture.height), (WIDTH, HEIGHT));
    assert!(picture.plane(0).is_none() && picture.sampled(4, 4).is_empty());
    assert!(picture.copy_to(&mut [0; 96 * 50 * 2]).is_none());

    let device = Driver::here().and_then(Device::first).unwrap();
    let slots = device.allocate(1 << 20).unwrap();
    let folder = Path::new(&folder);
    let before = (moved(folder, "HtoD"), moved(folder, "DtoH"));
    for plane in 0..2 {
        let from = picture.on_device(plane).unwrap();
        slots.region().copy_from(&rows(plane), from).unwrap();
    }
    assert_eq!((moved(folder, "HtoD"), moved(folder, "DtoH")), before, "no copy touches the host");
    assert_eq!(moved(folder, "DtoD"), 2);
    (0..2).for_each(|plane| is_painted(slots.region(), plane));
}

#[test]
fn a_picture_that_somebody_wants_here_is_at_both_places() {
    if std::env::var_os(FOLDER).is_none() {
        return beside_the_fake_driver("a_picture_that_somebody_wants_here_is_at_both_places");
    }
    crate::init();
    let made = testing::on_cuda(&painted());
    let picture = testing::received(made, Codec::H264, false).unwrap();
    assert_eq!(picture.home, PictureHome::Heap);
    assert!(picture.on_device(0).is_some() && picture.on_device(2).is_none());
    let (luma, pitch) = picture.plane(0).unwrap();
    assert_eq!(luma[3 * pitch + 5], sample(0, 5, 3));
}

#[test]
fn a_picture_of_a_ring_goes_to_where_an_encoder_takes_it() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return beside_the_fake_driver("a_picture_of_a_ring_goes_to_where_an_encoder_takes_it");
    };
    crate::init();
    let device = Driver::here().and_then(Device::first).unwrap();
    let slots = device.allocate(1 << 20).unwrap();
    let upload = Upload::open_cuda((WIDTH, HEIGHT)).unwrap();
    let place = upload.place().unwrap();
    let from = painted();
    for plane in 0..2 {
        slots.region().upload(&rows(plane), from.data(plane), from.stride(plane)).unwrap();
        slots.region().copy_to(&rows(plane), place.plane(plane).unwrap()).unwrap();
    }
    assert!(place.plane(2).is_none());
    assert_eq!(moved(Path::new(&folder), "DtoH"), 0);
    let here = testing::fetched(&place.0);
    for plane in 0..2 {
        let rows = rows(plane);
        for y in 0..rows.rows {
            let row = &here.data(plane)[y * here.stride(plane)..][..rows.row_bytes];
            let expected = (0..rows.row_bytes).map(|x| sample(plane, x, y));
            assert!(row.iter().copied().eq(expected), "row {y} of plane {plane}");
        }
    }
}

#[test]
fn ffmpegs_device_and_ours_are_one_on_a_real_device() {
    let ours = match Driver::here().and_then(Device::first) {
        Ok(device) => device,
        Err(error) => return println!("skipped: no device: {error}"),
    };
    crate::init();
    let picture = testing::received(testing::on_cuda(&painted()), Codec::H264, true).unwrap();
    let slots = ours.allocate(1 << 20).unwrap();
    for plane in 0..2 {
        slots.region().copy_from(&rows(plane), picture.on_device(plane).unwrap()).unwrap();
        is_painted(slots.region(), plane);
    }
    crate::has_device(DecodeEngine::Cuda).unwrap();
}
