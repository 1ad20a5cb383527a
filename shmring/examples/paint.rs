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
use protocol::units::Size;
use shmring::{FrameMeta, FrameWriter, Picture, clock};

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
    let Size { width, height } = size.parse()?;
    let picture = Picture::packed(width, height, format.ok_or(USAGE)?, ROW_ALIGN_BYTES);
    let mut picture = picture.ok_or("no picture is that large")?;
    if let [range, matrix] = colour {
        let (range, matrix) = (range.parse()?, matrix.parse()?);
        picture.colour = Colour { range, matrix, ..picture.colour };
    }
    let contract = RingContract::new(ring.parse()?, RingConfig::default(), PLACES);
    let writer = FrameWriter::create(&project.parse()?, &contract, None)?;
    println!("ready");
    io::stdout().flush()?;
    paint(&writer, &picture)
}

fn paint(writer: &FrameWriter, picture: &Picture) -> Result<(), Box<dyn Error>> {
    let mut pictures = io::stdin().lock();
    let mut meta = FrameMeta::of(*picture);
    (meta.duration_ns, meta.key, meta.copied) = (PERIOD_NS, true, true);
    loop {
        let mut loan = writer.loan(picture.slot_bytes(), 1)?;
        match read_picture(&mut pictures, picture, loan.bytes_mut()) {
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

fn read_picture(from: &mut impl Read, picture: &Picture, slot: &mut [u8]) -> io::Result<()> {
    for plane in 0..picture.format.planes() {
        let extent = picture.format.plane_extent(plane, picture.width, picture.height);
        let layout = picture.planes[plane];
        for y in 0..extent.rows {
            let at = (layout.offset + y * layout.linesize) as usize;
            from.read_exact(&mut slot[at..at + extent.row_bytes as usize])?;
        }
    }
    Ok(())
}
