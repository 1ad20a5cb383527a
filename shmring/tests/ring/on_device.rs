//! Rings whose pictures lie in a device's memory: what the ring itself does about it. Where the pictures are is
//! made up here; `shmring/cuda` and the decoder have them in memory that a driver gives.

use std::sync::{Arc, Mutex};

use protocol::config::Memory;
use protocol::control::RingContract;
use protocol::stream::PixelFormat;
use shmring::{
    DeviceBlock, DeviceMemory, Error, FrameMeta, FrameOptions, FrameReader, FrameWriter, Loan,
    Next, Picture, census, layout,
};

use crate::frames::item;
use crate::{NOW, Project};

/// Notes what was asked for.
#[derive(Clone, Debug, Default)]
struct Device(Arc<Mutex<Vec<(u32, u64)>>>);

impl DeviceMemory for Device {
    fn allocate(&mut self, generation: u32, bytes: u64) -> Result<DeviceBlock, String> {
        if bytes > 1 << 30 {
            return Err("out of memory".to_owned());
        }
        self.0.lock().unwrap().push((generation, bytes));
        let number = u8::try_from(generation).unwrap();
        Ok(DeviceBlock { device: [7; 16], handle: std::array::from_fn(|_| number), bytes })
    }
}

fn contract(project: &Project) -> RingContract {
    let mut contract = project.contract("cam.frames", 2);
    contract.config.memory = Memory::Cuda;
    contract
}

fn begin(project: &Project, device: &Device) -> FrameWriter {
    let device = Box::new(device.clone());
    FrameWriter::create_on(&project.0, &contract(project), None, device).unwrap()
}

fn options() -> FrameOptions {
    FrameOptions { on_device: true, ..FrameOptions::named("test") }
}

fn send(writer: &FrameWriter, side: u32) -> Loan {
    let picture = Picture::packed(side, side, PixelFormat::Nv12, 64).unwrap();
    let loan = writer.loan(picture.slot_bytes(), 1).unwrap();
    writer.publish(loan.slot(), &FrameMeta::of(picture)).unwrap();
    loan
}

fn attach(project: &Project) -> FrameReader {
    FrameReader::attach(&project.0, &contract(project).name, &options()).unwrap()
}

#[test]
fn a_reader_learns_where_a_picture_lies_and_holds_its_slot() {
    let (project, device) = (Project::new(), Device::default());
    let writer = begin(&project, &device);
    let mut reader = attach(&project);
    let spot = send(&writer, 64).spot().unwrap();
    let frame = item(reader.next(NOW).unwrap());
    let on = frame.device().unwrap();
    assert_eq!((on.block().device, on.block().handle), ([7; 16], [1; 64]));
    assert_eq!((on.offset(), spot.generation), (spot.offset, 1));
    assert!(spot.offset + spot.bytes <= on.block().bytes);
    assert_eq!(device.0.lock().unwrap()[..], [(1, on.block().bytes)]);
    assert!(!on.is_lost());
    // Its bytes are nothing that could be read here.
    assert!(frame.plane(0).is_none() && frame.tensor().is_none());
    for _ in 0..50 {
        assert_ne!(send(&writer, 64).spot().unwrap().offset, spot.offset, "it is leased");
    }
}

#[test]
fn larger_pictures_lie_in_an_allocation_of_their_own() {
    let (project, device) = (Project::new(), Device::default());
    let writer = begin(&project, &device);
    let mut reader = attach(&project);
    send(&writer, 64);
    let first = item(reader.next(NOW).unwrap());
    send(&writer, 640);
    let second = item(reader.next(NOW).unwrap());
    let handles = [&first, &second].map(|frame| frame.device().unwrap().block().handle[0]);
    assert_eq!(handles, [1, 2]);
    let bytes = census::rings(&project.0)[0].bytes;
    assert!(bytes < 640 * 640, "no picture lies in shared memory, which is {bytes} bytes");
}

#[test]
fn who_reads_the_machines_memory_is_refused_with_a_cure() {
    let project = Project::new();
    let writer = begin(&project, &Device::default());
    send(&writer, 64);
    let ring = contract(&project).name;
    let told = FrameReader::attach(&project.0, &ring, &FrameOptions::named("old")).unwrap_err();
    assert!(matches!(told, Error::OnDevice { .. }));
    assert!(told.to_string().contains("memory: host"), "{told}");
    // As programs of before 1.2 read it: the index has another major version.
    let index =
        project.files().into_iter().find(|name| name.rsplit('.').next().unwrap().starts_with('e'));
    let bytes = std::fs::read(format!("/dev/shm/{}", index.unwrap())).unwrap();
    let major = &bytes[layout::index::AT_MAJOR..][..4];
    assert_eq!(major, layout::index::DEVICE_MAJOR.to_le_bytes());
}

#[test]
fn pictures_of_a_dead_writer_are_lost_and_those_of_its_successor_are_not() {
    let (project, device) = (Project::new(), Device::default());
    let writer = begin(&project, &device);
    let mut reader = attach(&project);
    send(&writer, 64);
    let frame = item(reader.next(NOW).unwrap());
    drop(writer);
    assert!(frame.device().unwrap().is_lost());
    let writer = begin(&project, &device);
    assert!(matches!(reader.next(NOW).unwrap(), Next::NewEpoch { .. }));
    send(&writer, 64);
    let next = item(reader.next(NOW).unwrap());
    assert!(!next.device().unwrap().is_lost() && frame.device().unwrap().is_lost());
}

#[test]
fn memory_that_a_device_lacks_is_an_error_of_the_writer_in_its_words() {
    let project = Project::new();
    let writer = begin(&project, &Device::default());
    let told = writer.loan(1 << 30, 1).unwrap_err().to_string();
    assert!(told.contains("cam.frames") && told.contains("out of memory"), "{told}");
    // Another one is lent.
    send(&writer, 64);
    let told = FrameWriter::create(&Project::new().0, &contract(&project), None).unwrap_err();
    assert!(told.to_string().contains("no memory of a device"), "{told}");
}

#[test]
fn what_has_no_name_to_be_shown_by_takes_no_memory_of_the_device() {
    let (project, device) = (Project::new(), Device::default());
    let writer = begin(&project, &device);
    let path = format!("/dev/shm/fv.{}.cam.frames.e{}.g1", project.0, writer.epoch());
    std::fs::write(path, b"theirs").unwrap();
    assert_eq!(send(&writer, 64).spot().unwrap().generation, 3);
    assert_eq!(device.0.lock().unwrap().iter().map(|(number, _)| *number).collect::<Vec<_>>(), [3]);
}
