//! Our own rings. The only file of the bench that makes contracts, options and metadata.

use std::sync::atomic::{AtomicU32, Ordering};

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::{Colour, PixelFormat};
use shmring::{
    Frame, FrameMeta, FrameOptions, FrameReader, FrameWriter, Loan, Next, PacketMeta,
    PacketOptions, PacketReader, PacketWriter, Picture, PlaneLayout, Policy, Start, clock,
};

use super::{Ends, Load, Receiver, Sender};
use crate::Outcome;
use crate::machine::{Touch, run, touch};
use crate::stage::SLICE;

/// Places of every ring, whoever is attached: what a large topology has.
const PLACES: u32 = 16;

/// Every ring of this run is in it.
fn project() -> Outcome<ProjectName> {
    Ok(format!("bench{}", run()).parse()?)
}

/// Takes away what is left of the run.
pub(crate) fn sweep() {
    if let Ok(project) = project() {
        shmring::census::sweep_unowned(&project);
    }
}

/// A ring like no other of this run.
pub(crate) fn contract(kind: &str) -> Outcome<RingContract> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Ok(RingContract::new(format!("r{number}.{kind}").parse()?, RingConfig::default(), PLACES))
}

/// A picture of `bytes` bytes without padding.
pub(crate) fn describe(bytes: usize) -> FrameMeta {
    let (format, width, height) = match bytes {
        HD_BYTES => (PixelFormat::Yuv420p, 1920, 1080),
        UHD_BYTES => (PixelFormat::Yuv420p, 3840, 2160),
        _ => {
            // No side may be longer than 65536.
            let fits = |width: &usize| bytes.is_multiple_of(*width) && bytes / width <= 1 << 16;
            let width = [64, 4096, 5000].into_iter().find(fits).unwrap_or(bytes);
            (PixelFormat::Gray8, width as u32, (bytes / width) as u32)
        }
    };
    let mut planes = [PlaneLayout::default(); 4];
    let mut offset = 0;
    for (plane, layout) in planes.iter_mut().enumerate().take(format.planes()) {
        let extent = format.plane_extent(plane, width, height);
        *layout = PlaneLayout { offset, linesize: extent.row_bytes };
        offset += extent.row_bytes * extent.rows;
    }
    let picture = Picture { width, height, format, colour: Colour::default(), planes };
    let capture = clock::now();
    FrameMeta { capture, duration_ns: 40_000_000, key: true, ..FrameMeta::of(picture) }
}

const HD_BYTES: usize = 1920 * 1080 * 3 / 2;
pub(crate) const UHD_BYTES: usize = 3840 * 2160 * 3 / 2;

pub(super) fn frames(load: &Load) -> Outcome<Ends<'static>> {
    let contract = contract("frames")?;
    let frames = Frames::create(&contract, load.bytes)?;
    let name = contract.name;
    Ok(Ends {
        receiver: Box::new(move |_| Ok(Box::new(attach(&name, Policy::Latest)?))),
        sender: Box::new(move || Ok(Box::new(frames))),
    })
}

/// A frame ring's writing end.
#[derive(Debug)]
pub(crate) struct Frames {
    writer: FrameWriter,
    meta: FrameMeta,
    bytes: usize,
    loan: Option<Loan>,
}

impl Frames {
    pub(crate) fn create(contract: &RingContract, bytes: usize) -> Outcome<Self> {
        let writer = FrameWriter::create(&project()?, contract, None)?;
        Ok(Self { writer, meta: describe(bytes), bytes, loan: None })
    }
}

impl Sender for Frames {
    fn prepare(&mut self, content: Option<&[u8]>) -> Outcome<()> {
        let mut loan = self.writer.loan(self.bytes, 1)?;
        if let Some(content) = content {
            loan.bytes_mut()[..content.len()].copy_from_slice(content);
        }
        self.loan = Some(loan);
        Ok(())
    }

    fn send(&mut self) -> Outcome<()> {
        let loan = self.loan.take().ok_or("nothing prepared")?;
        self.writer.publish(loan.slot(), &self.meta)?;
        // A decoder gives its slot back much later.
        self.loan = Some(loan);
        Ok(())
    }
}

/// A frame ring's reading end.
#[derive(Debug)]
pub(crate) struct Pictures {
    reader: FrameReader,
    pub(crate) missed: u64,
}

pub(crate) fn attach(ring: &RingName, policy: Policy) -> Outcome<Pictures> {
    let options = FrameOptions { policy, ..FrameOptions::named("bench") };
    let reader = FrameReader::attach(&project()?, ring, &options)?;
    Ok(Pictures { reader, missed: 0 })
}

impl Pictures {
    pub(crate) fn epoch(&self) -> u64 {
        self.reader.epoch()
    }

    /// As many pictures as a reader may hold.
    pub(crate) fn hold(&mut self) -> Outcome<Vec<Frame>> {
        let mut held = Vec::new();
        while held.len() < 2 {
            if let Next::Item(frame) = self.reader.next(SLICE)? {
                held.push(frame);
            }
        }
        Ok(held)
    }
}

impl Receiver for Pictures {
    fn receive(&mut self, how: Touch) -> Outcome<bool> {
        match self.reader.next(SLICE)? {
            Next::Item(frame) => {
                for plane in (0..3).map_while(|number| frame.plane(number)) {
                    let bytes = plane.linesize() * (plane.rows() - 1) + plane.row_bytes();
                    // SAFETY: the plane's rows lie within the mapping, which `frame` keeps, and the
                    // lease keeps the writer, which is ours, from changing them.
                    touch(unsafe { std::slice::from_raw_parts(plane.as_ptr(), bytes) }, how);
                }
                Ok(true)
            }
            Next::Overrun { missed } => {
                self.missed += missed;
                Ok(false)
            }
            _ => Ok(false),
        }
    }
}

pub(super) fn packets(_: &Load) -> Outcome<Ends<'static>> {
    let contract = contract("packets")?;
    let packets = Packets::create(&contract)?;
    let name = contract.name;
    Ok(Ends {
        receiver: Box::new(move |_| {
            let options = PacketOptions { reader: "bench".to_owned(), start: Start::Newest };
            let reader = PacketReader::attach(&project()?, &name, &options)?;
            Ok(Box::new(PacketEnd { reader }))
        }),
        sender: Box::new(move || Ok(Box::new(packets))),
    })
}

/// A packet ring's writing end.
#[derive(Debug)]
pub(crate) struct Packets {
    writer: PacketWriter,
    content: Vec<u8>,
}

impl Packets {
    pub(crate) fn create(contract: &RingContract) -> Outcome<Self> {
        Ok(Self { writer: PacketWriter::create(&project()?, contract, &[])?, content: Vec::new() })
    }
}

impl Sender for Packets {
    fn prepare(&mut self, content: Option<&[u8]>) -> Outcome<()> {
        content.unwrap_or(&[7; 64]).clone_into(&mut self.content);
        Ok(())
    }

    fn send(&mut self) -> Outcome<()> {
        self.writer.publish(&PacketMeta::default(), &self.content)?;
        Ok(())
    }
}

#[derive(Debug)]
struct PacketEnd {
    reader: PacketReader,
}

impl Receiver for PacketEnd {
    fn receive(&mut self, how: Touch) -> Outcome<bool> {
        match self.reader.next(SLICE)? {
            Next::Item(packet) => {
                touch(&packet.payload, how);
                Ok(true)
            }
            Next::Overrun { missed } => Err(format!("{missed} packets overrun").into()),
            _ => Ok(false),
        }
    }
}
