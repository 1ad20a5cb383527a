//! What the machine itself takes for the things everything is made of.

use std::hint::black_box;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::uio::pread;

use super::{Plan, told};
use crate::Outcome;
use crate::lines::{Line, Load, Way};
use crate::machine::{Touch, processors, time_of, touch};
use crate::report::Report;
use crate::stage::{Cores, pin};
use crate::stats::median;

const ROW: &str = "floors";
const HD_BYTES: usize = 1920 * 1080 * 3 / 2;

pub(super) fn row(report: &mut Report, plan: &Plan) -> Outcome<()> {
    pin(Cores::One.director())?;
    let batches = plan.rounds;
    report.figure(
        ROW,
        "null syscall",
        time_of(batches, 10_000, || _ = rustix::process::getppid()),
        "ns",
    );
    report.figure(
        ROW,
        "clock read",
        time_of(batches, 10_000, || _ = crate::machine::now_ns()),
        "ns",
    );
    files(report, batches)?;
    memory(report, batches);
    let core = told(64, Cores::One);
    report.figure(ROW, "futex, one core", trip(Way::Futex, core, plan)?, "us");
    if processors() > 1 {
        let cores = told(64, Cores::Two);
        report.figure(ROW, "futex, two cores", trip(Way::Futex, cores, plan)?, "us");
        report.figure(ROW, "spin, two cores", trip(Way::Spin, cores, plan)?, "us");
    }
    for readers in [1, 4, 16] {
        let load = Load { readers, ..told(64, Cores::Two) };
        if processors() > 1 {
            let mut line = Line::open(Way::Futex, load)?;
            let spent = (0..plan.trips).map(|_| line.send_cpu()).collect::<Outcome<Vec<_>>>()?;
            report.figure(ROW, &format!("wake of {readers}, CPU"), median(&spent) / 1e3, "us");
        }
    }
    Ok(())
}

fn files(report: &mut Report, batches: usize) -> Outcome<()> {
    let file = tempfile()?;
    let mut probe = libc::flock {
        l_type: libc::F_RDLCK as libc::c_short,
        l_whence: 0,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    let getlk = || _ = fcntl(&file, FcntlArg::F_OFD_GETLK(black_box(&mut probe)));
    report.figure(ROW, "OFD_GETLK of a free file", time_of(batches, 10_000, getlk), "ns");
    let mut page = [0; 136];
    let read = || _ = pread(&file, black_box(&mut page), 0);
    report.figure(ROW, "pread of 136 bytes", time_of(batches, 10_000, read), "ns");
    Ok(())
}

/// Where the rings lie, and without a name.
fn tempfile() -> Outcome<std::fs::File> {
    let name = c"ringbench";
    let file = nix::sys::memfd::memfd_create(name, nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
    let file = std::fs::File::from(file);
    file.set_len(4096)?;
    Ok(file)
}

fn memory(report: &mut Report, batches: usize) {
    let (from, mut to) = (vec![7u8; HD_BYTES], vec![0u8; HD_BYTES]);
    let copy = time_of(batches, 10, || black_box(&mut to).copy_from_slice(black_box(&from)));
    report.figure(ROW, "copy of a 1080p picture", copy / 1e3, "us");
    let look = time_of(batches, 10, || touch(black_box(&from), Touch::Lines));
    report.figure(ROW, "every line of a 1080p picture", look / 1e3, "us");
}

fn trip(way: Way, load: Load, plan: &Plan) -> Outcome<f64> {
    let mut line = Line::open(way, load)?;
    let trips = (0..plan.rounds * plan.trips).map(|_| line.trip());
    Ok(median(&trips.collect::<Outcome<Vec<_>>>()?) / 1e3)
}
