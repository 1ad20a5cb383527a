//! The parts of the frame ring. Every word of a picture is the number its descriptor gives as its
//! group of pictures.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::stream::PixelFormat;
use shmring::{
    Error, Frame, FrameMeta, FrameOptions, FrameReader, FrameWriter, Loan, Next, Picture, Policy,
};

use crate::parts::{self, FRAMES, Stage};

/// Pictures that the writer keeps on loan, as a decoder keeps its references.
const REFERENCES: u32 = 3;
/// Sides of the pictures of an epoch, one generation each, and how many there are of each.
const SIDES: [u32; 3] = [64, 96, 128];
const PICTURES_OF_A_SIDE: u64 = 400;
const WAIT: Duration = Duration::from_millis(100);
/// As in the packet ring.
const WARM_UP_EPOCHS: u64 = 3;

pub(crate) fn write(mut stage: Stage) {
    let created =
        stage.retry(|project| FrameWriter::create(project, &parts::contract(FRAMES), None));
    let Some(writer) = created else { return };
    let mut references = VecDeque::new();
    for number in 1u64.. {
        if stage.page.is_to_finish() {
            break;
        }
        let side = usize::try_from(number / PICTURES_OF_A_SIDE).unwrap().min(SIDES.len() - 1);
        match show(&writer, number, SIDES[side]) {
            Ok(loan) => references.push_back((loan, picture(number, SIDES[side]))),
            Err(Error::NoFreeSlot { .. }) => stage.page.figures.starved += 1,
            Err(error) => stage.fail(&error),
        }
        if references.len() >= REFERENCES as usize {
            references.pop_front();
        }
        // VP9 and AV1 show a reference picture again.
        if let Some((reference, meta)) = references.front().filter(|_| stage.random.one_in(16)) {
            // Refused when its size has changed twice since.
            let _ = writer.publish(reference.slot(), meta);
        }
        stage.page.figures.items += 1;
        stage.page.save();
    }
    writer.finish();
    stage.page.figures.ended = 1;
    stage.page.save();
}

fn show(writer: &FrameWriter, number: u64, side: u32) -> Result<Loan, Error> {
    let mut loan = writer.loan((side * side) as usize, REFERENCES)?;
    for word in loan.bytes_mut().chunks_exact_mut(8) {
        word.copy_from_slice(&number.to_le_bytes());
    }
    writer.publish(loan.slot(), &picture(number, side))?;
    Ok(loan)
}

fn picture(number: u64, side: u32) -> FrameMeta {
    let picture = Picture::packed(side, side, PixelFormat::Gray8, 1).unwrap();
    FrameMeta { key: true, gop_index: number, ..FrameMeta::of(picture) }
}

pub(crate) fn read(mut stage: Stage, is_witness: bool) {
    let policy = if stage.random.one_in(2) { Policy::Latest } else { Policy::Sequential };
    let options = FrameOptions { policy, ..FrameOptions::named("torture") };
    let ring = FRAMES.parse().unwrap();
    loop {
        let Some(mut reader) = stage.retry(|project| FrameReader::attach(project, &ring, &options))
        else {
            return;
        };
        let mut held = None;
        loop {
            match reader.next(WAIT) {
                Ok(Next::Item(frame)) => look(&mut stage, frame, &mut held),
                Ok(Next::Overrun { missed }) => stage.page.figures.missed += missed,
                Ok(Next::NewEpoch { .. }) => stage.page.figures.new_epochs += 1,
                Ok(Next::Ended) if stage.page.is_to_finish() => {
                    stage.page.figures.ended = 1;
                    return stage.page.save();
                }
                // No reader here is essential.
                Ok(Next::Ended | Next::Evicted { .. } | Next::Quiet) => {}
                // Swept: attach to what comes.
                Err(Error::NoSuchRing { .. }) => break,
                Err(error) => stage.fail(&error),
            }
            if is_witness && stage.page.figures.new_epochs > WARM_UP_EPOCHS {
                parts::measure(&mut stage.page);
            }
            stage.page.save();
        }
    }
}

/// Looks at a picture when it comes, a little later, and for some much later: others come and go
/// meanwhile.
fn look(stage: &mut Stage, frame: Frame, held: &mut Option<Frame>) {
    check(stage, &frame);
    if stage.random.one_in(8) {
        std::thread::sleep(Duration::from_micros(stage.random.below(2_000)));
    }
    check(stage, &frame);
    if stage.random.one_in(6) {
        if let Some(held) = held.as_ref() {
            check(stage, held);
        }
        *held = Some(frame);
    }
}

fn check(stage: &mut Stage, frame: &Frame) {
    let mut samples = Vec::new();
    frame.plane(0).unwrap().copy_to(&mut samples);
    let mut words = samples.chunks_exact(8);
    let first = words.next().unwrap();
    let is_whole = words.all(|word| word == first);
    let is_right = first == frame.meta().gop_index.to_le_bytes();
    stage.page.figures.items += 1;
    stage.page.figures.torn += u64::from(!is_whole || !is_right);
}
