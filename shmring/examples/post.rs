//! Puts each line of standard input into a packet ring as one packet, and prints its number:
//!
//! ```text
//! seq 100 | cargo run --example post -- demo cam1.packets
//! ```
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

use std::error::Error;
use std::io::{self, BufRead, Write};

use protocol::config::RingConfig;
use protocol::control::RingContract;
use shmring::{PacketMeta, PacketWriter, clock};

/// Readers that may attach at once.
const PLACES: u32 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [project, ring] = arguments.as_slice() else {
        return Err("usage: post PROJECT RING < lines".into());
    };
    let contract = RingContract::new(ring.parse()?, RingConfig::default(), PLACES);
    let mut writer = PacketWriter::create(&project.parse()?, &contract, &[])?;
    println!("ready");
    io::stdout().flush()?;
    for line in io::stdin().lock().lines() {
        let capture = clock::now();
        let meta = PacketMeta { key: true, capture, ingest: capture.mono, ..PacketMeta::default() };
        println!("{}", writer.publish(&meta, line?.as_bytes())?);
        io::stdout().flush()?;
    }
    writer.finish();
    Ok(())
}
