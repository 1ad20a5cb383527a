//! Writes a ring on a device for tests: `paint_on_device PROJECT RING WIDTHxHEIGHT` takes pictures (nv12, tight)
//! from stdin and says the number of each; `ready` when it can.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool of tests")]

use std::io::{Read, stdin};

use protocol::config::{Memory, RingConfig};
use protocol::control::RingContract;
use protocol::stream::PixelFormat;
use shmring::{FrameMeta, FrameWriter, Picture};
use shmring_cuda::{Device, Driver, Rows, Slots};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (width, height) = arguments[2].split_once('x').unwrap();
    let picture =
        Picture::packed(width.parse().unwrap(), height.parse().unwrap(), PixelFormat::Nv12, 256);
    let picture = picture.unwrap();
    let slots = Slots::new(Driver::here().and_then(Device::first).unwrap());
    let config = RingConfig { memory: Memory::Cuda, ..RingConfig::default() };
    let contract = RingContract::new(arguments[1].parse().unwrap(), config, 4);
    let project = arguments[0].parse().unwrap();
    let ring = FrameWriter::create_on(&project, &contract, None, Box::new(slots.clone())).unwrap();
    println!("ready");
    let extent = |plane| PixelFormat::Nv12.plane_extent(plane, picture.width, picture.height);
    let bytes = (0..2).map(|plane| (extent(plane).row_bytes * extent(plane).rows) as usize).sum();
    let mut tight = vec![0; bytes];
    while stdin().read_exact(&mut tight).is_ok() {
        let loan = ring.loan(picture.slot_bytes(), 1).unwrap();
        let mut rest = &tight[..];
        for plane in 0..2 {
            let (at, extent) = (picture.planes[plane], extent(plane));
            let rows = Rows {
                offset: u64::from(at.offset),
                pitch: at.linesize as usize,
                row_bytes: extent.row_bytes as usize,
                rows: extent.rows as usize,
            };
            let (own, behind) = rest.split_at(rows.row_bytes * rows.rows);
            slots.upload(&loan.spot().unwrap(), &rows, own, rows.row_bytes).unwrap();
            rest = behind;
        }
        println!("{}", ring.publish(loan.slot(), &FrameMeta::of(picture)).unwrap());
    }
}
