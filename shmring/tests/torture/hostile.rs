//! A reader that takes a place and scribbles over its own lease page: claims on slots it never saw,
//! wild numbers, no bytes at all. It may cost the ring its quota of slots and nothing else.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use shmring::layout::{index, lease};
use shmring::{census, clock};

use crate::parts::{FRAMES, PLACES, Stage};

pub(crate) fn scribble(mut stage: Stage) {
    while !stage.page.is_to_finish() {
        // Not for ever: places are for readers too.
        let until = clock::mono() + Duration::from_millis(50);
        let Some(page) = take_place(&stage) else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        while clock::mono() < until {
            let claim = claim(&mut stage);
            let _ = page.write_all_at(&claim, lease::AT_EPOCH as u64);
            stage.page.figures.items += 1;
            if stage.random.one_in(200) {
                let _ = page.set_len(stage.random.below(lease::BYTES as u64));
            }
        }
        let _ = page.set_len(lease::BYTES as u64);
        stage.page.save();
    }
    stage.page.figures.ended = 1;
    stage.page.save();
}

fn take_place(stage: &Stage) -> Option<File> {
    let whole = libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).unwrap(),
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // From behind, where honest readers come last.
    (0..PLACES).rev().find_map(|place| {
        let page =
            OpenOptions::new().read(true).write(true).open(path(stage, &format!("l{place}")));
        let page = page.ok()?;
        fcntl(&page, FcntlArg::F_OFD_SETLK(&whole)).is_ok().then_some(page)
    })
}

/// Epoch and hazards of a page that claims present slots, or random ones.
fn claim(stage: &mut Stage) -> Vec<u8> {
    let epoch = census::status(&stage.project, &FRAMES.parse().unwrap(), clock::mono()).epoch;
    let mut versions = [0; lease::HAZARDS * 8];
    if stage.random.one_in(4) {
        versions.iter_mut().for_each(|byte| *byte = u8::try_from(stage.random.below(256)).unwrap());
    } else if let Ok(index) = File::open(path(stage, &format!("e{epoch}"))) {
        let first = stage.random.below(512);
        let _ = index.read_at(&mut versions, index::AT_VERSIONS as u64 + first * 8);
    }
    [&epoch.to_le_bytes()[..], &versions].concat()
}

fn path(stage: &Stage, suffix: &str) -> String {
    format!("/dev/shm/fv.{}.{FRAMES}.{suffix}", stage.project)
}
