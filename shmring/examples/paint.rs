//! Puts raw pictures from standard input into a frame ring, and prints the number of each:
//!
//! ```text
//! ffmpeg -re -i clip.mp4 -f rawvideo -pix_fmt yuv420p - \
//!   | cargo run --example paint -- demo cam1.frames 640x360 yuv420p
//! ```
//!
//! Two more arguments tell the colours, by their code points: range (1 limited, 2 full) and matrix
//! (1 BT.709, 6 BT.601).
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::stream::{Colour, PixelFormat};
use protocol::time::ClockSource;
use protocol::units::Size;
use shmring::{FrameMeta, FrameWriter, PlaneLayout, clock};

const USAGE: &str = "usage: paint PROJECT RING WIDTHxHEIGHT FORMAT [RANGE MATRIX] < pictures";
/// Readers that may attach at once.
const PLACES: u32 = 4;
/// What decoders like rows to begin at, and what makes most sizes have padded rows.
const ROW_ALIGN_BYTES: u32 = 64;
/// Presentation times are those of 25 pictures a second.
const PERIOD_NS: i64 = 40_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [project, ring, size, format, colour @ ..] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let format = PixelFormat::ALL.into_iter().find(|known| known.as_str() == format);
    let (mut meta, slot_bytes) = describe(size.parse()?, format.ok_or(USAGE)?);
    if let [range, matrix] = colour {
        meta.colour = Colour { range: range.parse()?, matrix: matrix.parse()?, ..meta.colour };
    }
    let contract = RingContract::new(ring.parse()?, RingConfig::default(), PLACES);
    let writer = FrameWriter::create(&project.parse()?, &contract, None)?;
    println!("ready");
    io::stdout().flush()?;
    paint(&writer, meta, slot_bytes)
}

fn paint(
    writer: &FrameWriter,
    mut meta: FrameMeta,
    slot_bytes: usize,
) -> Result<(), Box<dyn Error>> {
    let mut pictures = io::stdin().lock();
    loop {
        let mut loan = writer.loan(slot_bytes, 1)?;
        match read_picture(&mut pictures, &meta, loan.bytes_mut()) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            read => read?,
        }
        meta.capture = clock::now();
        meta.ingest = meta.capture.mono;
        meta.decoded = meta.capture.mono;
        println!("{}", writer.publish(loan.slot(), &meta)?);
        io::stdout().flush()?;
        meta.pts_ns += PERIOD_NS;
    }
    writer.finish();
    Ok(())
}

/// Where each plane of such a picture lies, and the bytes of all.
fn describe(size: Size, format: PixelFormat) -> (FrameMeta, usize) {
    let mut planes = [PlaneLayout::default(); 4];
    let mut end = 0;
    for (plane, layout) in planes.iter_mut().enumerate().take(format.planes()) {
        let extent = format.plane_extent(plane, size.width, size.height);
        let linesize = extent.row_bytes.next_multiple_of(ROW_ALIGN_BYTES);
        *layout = PlaneLayout { offset: end, linesize };
        end += linesize * extent.rows;
    }
    let now = clock::now();
    let meta = FrameMeta {
        width: size.width,
        height: size.height,
        format,
        colour: Colour::default(),
        planes,
        pts_ns: 0,
        duration_ns: PERIOD_NS,
        capture: now,
        clock: ClockSource::Arrival,
        ingest: now.mono,
        decoded: now.mono,
        source: None,
        key: true,
        corrupt: false,
        discontinuity: false,
        copied: true,
        gop_index: 0,
    };
    (meta, end as usize)
}

fn read_picture(from: &mut impl Read, meta: &FrameMeta, slot: &mut [u8]) -> io::Result<()> {
    for plane in 0..meta.format.planes() {
        let extent = meta.format.plane_extent(plane, meta.width, meta.height);
        let layout = meta.planes[plane];
        for y in 0..extent.rows {
            let at = (layout.offset + y * layout.linesize) as usize;
            from.read_exact(&mut slot[at..at + extent.row_bytes as usize])?;
        }
    }
    Ok(())
}
