//! What slots hold, and how readers are told that it changes.

use protocol::stream::{DType, PixelFormat};
use shmring::{
    Error, Frame, FrameMeta, FrameReader, FrameWriter, Next, Picture, Policy, SourceId, Tensor,
};

use crate::frames::{attach, fill, gray, item, pixels};
use crate::{NOW, Project};

fn put(writer: &FrameWriter, meta: &FrameMeta, bytes: &[u8]) -> u64 {
    let mut loan = writer.loan(bytes.len(), 1).unwrap();
    loan.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
    writer.publish(loan.slot(), meta).unwrap()
}

fn put_picture(writer: &FrameWriter, width: u32, format: PixelFormat) {
    let picture = Picture::packed(width, 48, format, 64).unwrap();
    put(writer, &FrameMeta::of(picture), &vec![7; picture.slot_bytes()]);
}

fn elements(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.tensor().unwrap().copy_to(&mut bytes);
    bytes
}

fn next(reader: &mut FrameReader) -> Frame {
    item(reader.next(NOW).unwrap())
}

#[test]
fn a_tensor_arrives_with_its_type_shape_and_elements() {
    let project = Project::new();
    let contract = project.contract("net.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Sequential);
    let numbers: Vec<u8> = (0..24u16).flat_map(|n| (f32::from(n) / 2.0).to_le_bytes()).collect();
    let mut meta = FrameMeta::of(Tensor::dense(DType::F32, &[2, 3, 4]).unwrap());
    meta.source = Some(SourceId { epoch: 5, sequence: 6 });
    meta.user[..4].copy_from_slice(b"yolo");
    put(&writer, &meta, &numbers);
    let frame = next(&mut reader);
    let tensor = frame.tensor().unwrap();
    assert_eq!((tensor.dtype(), tensor.shape()), (DType::F32, &[2, 3, 4][..]));
    assert_eq!((tensor.strides(), elements(&frame)), (&[48, 16, 4][..], numbers));
    assert_eq!((frame.meta().user, frame.meta().source), (meta.user, meta.source));
    assert!(frame.plane(0).is_none() && frame.meta().picture().is_none());
    assert_eq!(frame.meta().content.to_string(), "f32[2, 3, 4]");
}

#[test]
fn a_strided_tensor_is_copied_without_what_lies_between_its_rows() {
    let project = Project::new();
    let contract = project.contract("net.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    let tensor = Tensor::strided(DType::U16, &[2, 2, 3], &[64, 16, 2], 4096).unwrap();
    let mut slot = vec![0xee; tensor.slot_bytes()];
    let mut expected = Vec::new();
    for (number, at) in [(0u8, 0), (1, 16), (2, 64), (3, 80)] {
        let row = [number; 6];
        slot[4096 + at..][..6].copy_from_slice(&row);
        expected.extend(row);
    }
    put(&writer, &FrameMeta::of(tensor), &slot);
    assert_eq!(elements(&next(&mut reader)), expected);
}

#[test]
fn an_empty_tensor_and_a_single_element_arrive_too() {
    let project = Project::new();
    let contract = project.contract("net.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Sequential);
    put(&writer, &FrameMeta::of(Tensor::dense(DType::F32, &[0, 6]).unwrap()), &[]);
    put(&writer, &FrameMeta::of(Tensor::dense(DType::I64, &[]).unwrap()), &9i64.to_le_bytes());
    assert!(elements(&next(&mut reader)).is_empty());
    assert_eq!(elements(&next(&mut reader)), 9i64.to_le_bytes());
}

#[test]
fn a_tensor_that_leaves_its_slot_is_refused() {
    let project = Project::new();
    let contract = project.contract("net.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let loan = writer.loan(4096, 1).unwrap();
    let too_large = FrameMeta::of(Tensor::dense(DType::F32, &[1025]).unwrap());
    assert!(matches!(writer.publish(loan.slot(), &too_large), Err(Error::BadPicture { .. })));
}

#[test]
fn an_attached_reader_goes_on_through_changes_of_size_format_and_kind_and_is_told_of_each() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Sequential);
    let mut told = Vec::new();
    let mut look = |reader: &mut FrameReader| {
        let frame = next(reader);
        told.push((frame.meta().content.to_string(), frame.meta().format_change));
    };
    for (width, format) in [
        (64, PixelFormat::Yuv420p),
        (64, PixelFormat::Yuv420p),
        // Fits the slots there are.
        (64, PixelFormat::Nv12),
        (64, PixelFormat::Gray8),
        // Needs larger ones.
        (640, PixelFormat::Rgba),
        (640, PixelFormat::Rgba),
        (32, PixelFormat::Gray8),
    ] {
        put_picture(&writer, width, format);
        look(&mut reader);
    }
    for length in [4, 4, 5] {
        let tensor = Tensor::dense(DType::F16, &[length]).unwrap();
        put(&writer, &FrameMeta::of(tensor), &[0; 10]);
        look(&mut reader);
    }
    let told: Vec<_> = told.iter().map(|(content, change)| (content.as_str(), *change)).collect();
    assert_eq!(
        told,
        [
            ("64x48 yuv420p", false),
            ("64x48 yuv420p", false),
            ("64x48 nv12", true),
            ("64x48 gray8", true),
            ("640x48 rgba", true),
            ("640x48 rgba", false),
            ("32x48 gray8", true),
            ("f16[4]", true),
            ("f16[4]", false),
            ("f16[5]", true),
        ]
    );
    assert_eq!(reader.epoch(), writer.epoch());
}

#[test]
fn a_reader_that_passes_over_the_first_picture_of_a_new_size_is_told_at_the_next() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    put_picture(&writer, 64, PixelFormat::Gray8);
    assert!(!next(&mut reader).meta().format_change);
    put_picture(&writer, 128, PixelFormat::Gray8);
    put_picture(&writer, 128, PixelFormat::Gray8);
    assert!(next(&mut reader).meta().format_change);
    // There and back while it looked away.
    put_picture(&writer, 256, PixelFormat::Gray8);
    put_picture(&writer, 128, PixelFormat::Gray8);
    assert!(!next(&mut reader).meta().format_change);
}

#[test]
fn a_restarted_writer_of_another_size_is_a_change_too() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    put_picture(&writer, 64, PixelFormat::Gray8);
    next(&mut reader);
    drop(writer);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    put_picture(&writer, 96, PixelFormat::Gray8);
    assert!(matches!(reader.next(NOW).unwrap(), Next::NewEpoch { .. }));
    assert!(next(&mut reader).meta().format_change);
}

/// Invariant I11: a decoder shows a reference picture again while readers hold earlier showings of it.
#[test]
fn a_slot_shown_again_keeps_every_lease_of_it_and_is_reused_after_the_last() {
    const SIDE: u32 = 64;
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    let slots_of_many = || (0..60).map(|value| fill(&writer, value, SIDE).0.slot());
    let (reference, _) = fill(&writer, 205, SIDE);
    let slot = reference.slot();
    let first = next(&mut reader);
    assert!(slots_of_many().all(|used| used != slot), "on loan and leased");
    writer.publish(slot, &gray(SIDE)).unwrap();
    let again = next(&mut reader);
    drop(reference);
    assert!(slots_of_many().all(|used| used != slot), "leased twice");
    assert_eq!((pixels(&first)[0], pixels(&again)[0]), (205, 205));
    drop(first);
    assert!(slots_of_many().all(|used| used != slot), "leased once");
    assert_eq!(pixels(&again), vec![205; (SIDE * SIDE) as usize]);
    drop(again);
    assert!(slots_of_many().any(|used| used == slot), "free");
}

#[test]
fn reference_pictures_stay_whole_through_any_number_of_others_and_a_change_of_size() {
    const SIDE: u32 = 64;
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let mut reader = attach(&project, &contract, Policy::Latest);
    let need = 4;
    let references: Vec<_> = (1..=need)
        .map(|value| {
            let mut loan = writer.loan((SIDE * SIDE) as usize, u32::from(need)).unwrap();
            loan.bytes_mut().fill(value);
            writer.publish(loan.slot(), &gray(SIDE)).unwrap();
            (value, loan)
        })
        .collect();
    for value in 100..=200 {
        fill(&writer, value, SIDE);
    }
    // One generation later they may still be shown.
    fill(&writer, 201, 2 * SIDE);
    for (value, loan) in &references {
        writer.publish(loan.slot(), &gray(SIDE)).unwrap();
        assert_eq!(pixels(&next(&mut reader)), vec![*value; (SIDE * SIDE) as usize]);
    }
}
