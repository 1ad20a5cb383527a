//! What rings take is what `shmring::size` says, byte for byte.

use protocol::config::RingConfig;
use protocol::control::{Essential, RingContract};
use protocol::stream::PixelFormat;
use protocol::units::BitRate;
use shmring::size::{self, Pictures};
use shmring::{FrameMeta, FrameWriter, PacketWriter, Picture};

use crate::Project;

/// All files of the project.
fn taken(project: &Project) -> u64 {
    let bytes = |name: String| std::fs::metadata(format!("/dev/shm/{name}")).unwrap().len();
    project.files().into_iter().map(bytes).sum()
}

fn essential() -> Vec<Essential> {
    vec![Essential { reader: "recorder".to_owned(), deadline: "2s".parse().unwrap() }]
}

#[test]
fn packet_rings_take_what_their_contract_tells() {
    for (ring, bits, essential) in [
        ("cam.packets", 1, Vec::new()),
        ("cam.packets", 12_345_678, Vec::new()),
        ("cam.packets", 12_345_678, essential()),
        ("cam.events", 8_000_000, Vec::new()),
    ] {
        let project = Project::new();
        let config = RingConfig { max_bitrate: BitRate(bits), ..RingConfig::default() };
        let contract = RingContract { config, essential, ..project.contract(ring, 3) };
        let _writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
        assert_eq!(taken(&project), size::ring_bytes(&contract, None), "{contract:?}");
    }
}

#[test]
fn frame_rings_take_what_their_contract_and_pictures_tell() {
    for essential in [Vec::new(), essential()] {
        let project = Project::new();
        let contract = RingContract { essential, ..project.contract("cam.frames", 3) };
        let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
        assert_eq!(taken(&project), size::ring_bytes(&contract, None));
        let picture = Picture::packed(333, 101, PixelFormat::Yuv420p, 64).unwrap();
        let writer_need = 4;
        let loan = writer.loan(picture.slot_bytes(), writer_need).unwrap();
        writer.publish(loan.slot(), &FrameMeta::of(picture)).unwrap();
        let pictures = Pictures { slot_bytes: picture.slot_bytes() as u64, writer_need };
        assert_eq!(taken(&project), size::ring_bytes(&contract, Some(pictures)));
    }
}
