//! The parts of the packet ring. A record's length and bytes follow from its sequence.

use std::time::Duration;

use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;
use shmring::{
    Error, Next, Packet, PacketMeta, PacketOptions, PacketReader, PacketWriter, Start, census,
    clock,
};

use crate::parts::{self, PACKETS, Stage};

/// Longest payload: a log of 8 MiB laps within some hundred packets.
const LONGEST_BYTES: u64 = 60_000;
const WAIT: Duration = Duration::from_millis(100);
/// Epochs a witness lets pass before its holdings count: buffers grow at first.
const WARM_UP_EPOCHS: u64 = 3;

fn payload(sequence: u64) -> Vec<u8> {
    let bytes = usize::try_from(sequence * 7919 % LONGEST_BYTES).unwrap();
    vec![u8::try_from(sequence % 251).unwrap(); bytes]
}

pub(crate) fn write(mut stage: Stage) {
    let created = stage
        .retry(|project| PacketWriter::create(project, &parts::contract(PACKETS), &[track(0)]));
    let Some(mut writer) = created else { return };
    let mut sequence = 0;
    (stage.page.figures.epoch, stage.page.figures.sequence) = (writer.epoch(), 0);
    stage.page.save();
    while !stage.page.is_to_finish() {
        let meta = PacketMeta { key: sequence % 25 == 0, ..PacketMeta::default() };
        match writer.publish(&meta, &payload(sequence + 1)) {
            Ok(published) => sequence = published,
            Err(error) => stage.fail(&error),
        }
        if stage.random.one_in(500) {
            writer.set_tracks(&[track(sequence)]).unwrap();
        }
        stage.page.figures.items += 1;
        stage.page.figures.sequence = sequence;
        stage.page.save();
    }
    writer.finish();
    stage.page.figures.ended = 1;
    stage.page.save();
}

/// A track whose fields belong together, so that a torn one shows.
fn track(number: u64) -> Track {
    let side = u32::try_from(number % 4096).unwrap();
    Track {
        codec: Codec::H264,
        time_base: TimeBase::VIDEO_90K,
        width: side,
        height: side,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: vec![u8::try_from(number % 256).unwrap(); 4096],
    }
}

pub(crate) fn read(mut stage: Stage, is_witness: bool) {
    loop {
        let (epoch, sequence) = (stage.page.figures.epoch, stage.page.figures.sequence);
        let start = if epoch == 0 { Start::Oldest } else { Start::After { epoch, sequence } };
        let options = PacketOptions { reader: "torture".into(), start };
        let ring = PACKETS.parse().unwrap();
        let Some(mut reader) =
            stage.retry(|project| PacketReader::attach(project, &ring, &options))
        else {
            return;
        };
        let mut book = Book { epoch, last: sequence, hole: epoch == 0 };
        loop {
            match reader.next(WAIT) {
                Ok(Next::Ended) if stage.page.is_to_finish() => return end(&mut stage, &book),
                Ok(next) => account(&mut stage, &mut book, &reader, &next),
                // Swept: attach to what comes.
                Err(Error::NoSuchRing { .. }) => break,
                Err(error) => stage.fail(&error),
            }
            if is_witness && stage.page.figures.new_epochs > WARM_UP_EPOCHS {
                parts::measure(&mut stage.page);
            }
            if stage.random.one_in(64) {
                std::thread::sleep(Duration::from_micros(stage.random.below(20_000)));
            }
        }
    }
}

fn end(stage: &mut Stage, book: &Book) {
    if book.hole {
        // The last epoch held nothing: its end is where this reader is.
        let status = census::status(&stage.project, &PACKETS.parse().unwrap(), clock::mono());
        (stage.page.figures.epoch, stage.page.figures.sequence) = (status.epoch, status.head);
    }
    stage.page.figures.ended = 1;
    stage.page.save();
}

/// Where the reader must be.
#[derive(Debug)]
struct Book {
    epoch: u64,
    last: u64,
    /// A hole of unknown size was told, so the next sequence may be any.
    hole: bool,
}

fn account(stage: &mut Stage, book: &mut Book, reader: &PacketReader, next: &Next<Packet>) {
    let figures = &mut stage.page.figures;
    match next {
        Next::Item(packet) => {
            let is_next = (packet.epoch, packet.sequence) == (book.epoch, book.last + 1);
            if !is_next && !book.hole {
                figures.unaccounted += 1;
                let seen = (packet.epoch, packet.sequence);
                parts::eprint(&format_args!("packet {seen:?} after {book:?}"));
            }
            figures.bad += u64::from(packet.payload != payload(packet.sequence));
            figures.bad += u64::from(!is_sane(reader));
            figures.items += 1;
            *book = Book { epoch: packet.epoch, last: packet.sequence, hole: false };
        }
        Next::Overrun { missed: 0 } => {
            book.hole = true;
            figures.lost_epochs += 1;
        }
        Next::Overrun { missed } => {
            book.last += missed;
            figures.missed += missed;
        }
        Next::NewEpoch { epoch } => {
            *book = Book { epoch: *epoch, last: 0, hole: false };
            figures.new_epochs += 1;
        }
        // No reader here is essential.
        Next::Evicted { .. } | Next::Quiet | Next::Ended => {}
    }
    if !book.hole {
        (figures.epoch, figures.sequence) = (book.epoch, book.last);
    }
    stage.page.save();
}

/// Tracks are empty when a writer died while it wrote them; half a description never shows.
fn is_sane(reader: &PacketReader) -> bool {
    reader.tracks().iter().all(|track| {
        let bytes = &track.extradata;
        track.width == track.height
            && bytes.len() == 4096
            && bytes.iter().all(|byte| u32::from(*byte) == track.width % 256)
    })
}
