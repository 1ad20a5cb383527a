//! Puts raw items from standard input into a frame ring, each described on the command line, and
//! prints the number of each. The last description stays for all that follow:
//!
//! ```text
//! cargo run --example offer -- demo net.frames gray8:640x360 f32:1x3x640x640 < items
//! ```
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::io::{self, Read, Write};

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::stream::{DType, PixelFormat};
use shmring::{Content, FrameMeta, FrameWriter, Picture, Tensor, clock};

const USAGE: &str =
    "usage: offer PROJECT RING FORMAT:WIDTHxHEIGHT|TYPE:AxBxC [FORMAT:...|TYPE:...].. < items";
/// Readers that may attach at once.
const PLACES: u32 = 4;
const NEED: u32 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [project, ring, contents @ ..] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let contents: Option<Vec<Content>> = contents.iter().map(|text| content(text)).collect();
    let contents = contents.filter(|contents| !contents.is_empty()).ok_or(USAGE)?;
    let contract = RingContract::new(ring.parse()?, RingConfig::default(), PLACES);
    let writer = FrameWriter::create(&project.parse()?, &contract, None)?;
    println!("ready");
    io::stdout().flush()?;
    let mut items = io::stdin().lock();
    for number in 0.. {
        let content = contents[contents.len().min(number + 1) - 1];
        let bytes = bytes_of(&content);
        let mut loan = writer.loan(bytes, NEED)?;
        if items.read_exact(&mut loan.bytes_mut()[..bytes]).is_err() {
            break;
        }
        let meta = FrameMeta { capture: clock::now(), key: true, ..FrameMeta::of(content) };
        println!("{}", writer.publish(loan.slot(), &meta)?);
        io::stdout().flush()?;
    }
    writer.finish();
    Ok(())
}

/// `gray8:640x360` or `f32:2x3`.
fn content(text: &str) -> Option<Content> {
    let (name, lengths) = text.split_once(':')?;
    let lengths: Vec<u32> =
        lengths.split('x').map(|length| length.parse().ok()).collect::<Option<_>>()?;
    if let Some(dtype) = DType::ALL.into_iter().find(|known| known.as_str() == name) {
        return Tensor::dense(dtype, &lengths).map(Content::from);
    }
    let format = PixelFormat::ALL.into_iter().find(|known| known.as_str() == name)?;
    let &[width, height] = lengths.as_slice() else { return None };
    Picture::packed(width, height, format, 1).map(Content::from)
}

fn bytes_of(content: &Content) -> usize {
    match content {
        Content::Picture(picture) => picture.slot_bytes(),
        Content::Tensor(tensor) => tensor.slot_bytes(),
    }
}
