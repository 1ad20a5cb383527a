//! Memory of one process in another, by a driver that is none; and by the real one, where there is a device.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use shmring_cuda::{Allocation, Device, DeviceId, Driver, Error, Handle, Imported, Rows, fake};

/// Set in the process that imports: the library it calls.
const LIBRARY: &str = "IPC_TEST_LIBRARY";
/// A picture of 5 rows of 96 bytes in memory with a pitch of 128.
const ROWS: Rows = Rows { offset: 256, pitch: 128, row_bytes: 96, rows: 5 };
const BYTES: u64 = 4096;

fn picture(seed: u8) -> Vec<u8> {
    (0..96 * 5).map(|place: u32| seed.wrapping_add(u8::try_from(place % 251).unwrap())).collect()
}

/// The importing process: a line with device, handle and length in, the picture's bytes in hex out, for each line.
#[test]
fn the_other_side() {
    let Some(library) = std::env::var_os(LIBRARY) else { return };
    let driver = Driver::load(Path::new(&library)).unwrap();
    let mut imported: Option<(String, Imported)> = None;
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        if imported.as_ref().is_none_or(|(opened, _)| *opened != line) {
            imported = None;
            let [id, handle, bytes] = line.split(' ').collect::<Vec<_>>()[..] else { panic!() };
            let (handle, bytes) = (unhex(handle).try_into().unwrap(), bytes.parse().unwrap());
            let opened = Device::with_id(driver, DeviceId(unhex(id).try_into().unwrap()))
                .and_then(|device| device.import(&Handle(handle), bytes));
            match opened {
                Ok(opened) => imported = Some((line, opened)),
                Err(error) => {
                    answer(&format!("! {error}"));
                    continue;
                }
            }
        }
        let mut seen = vec![0; 96 * 5];
        imported.as_ref().unwrap().1.region().download(&ROWS, &mut seen, 96).unwrap();
        answer(&format!("= {}", hex(&seen)));
    }
}

/// Past the test harness, which captures what is printed.
fn answer(line: &str) {
    let mut out = std::io::stdout().lock();
    // The harness has begun a line of its own.
    writeln!(out, "\n{line}").unwrap();
    out.flush().unwrap();
}

struct Other {
    process: Child,
    ask: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
}

impl Other {
    fn start(library: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_other_side", "--nocapture", "--test-threads=1"])
            .env(LIBRARY, library)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let ask = process.stdin.take();
        let told = BufReader::new(process.stdout.take().unwrap());
        Self { process, ask, told }
    }

    fn asks(&mut self, id: DeviceId, handle: Handle) -> String {
        self.asks_for(BYTES, id, handle)
    }

    fn asks_for(&mut self, bytes: u64, id: DeviceId, handle: Handle) -> String {
        let ask = self.ask.as_mut().unwrap();
        writeln!(ask, "{} {} {bytes}", hex(&id.0), hex(&handle.0)).unwrap();
        let mut line = String::new();
        // The harness says something of its own before.
        while !line.starts_with(['!', '=']) {
            line.clear();
            assert!(self.told.read_line(&mut line).unwrap() > 0, "the other side has ended");
        }
        line.trim_end().to_owned()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.ask = None;
        let _ = self.process.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// What is uploaded here is what is downloaded there, now and after a change.
fn another_process_sees_what_was_written(library: &Path) {
    let device = Device::first(Driver::load(library).unwrap()).unwrap();
    let memory = device.allocate(BYTES).unwrap();
    let handle = memory.export().unwrap();
    let mut other = Other::start(library);
    for seed in [7, 80] {
        memory.region().upload(&ROWS, &picture(seed), 96).unwrap();
        assert_eq!(other.asks(device.id(), handle), format!("= {}", hex(&picture(seed))));
    }
    let nobody = DeviceId([9; 16]);
    let told = other.asks(nobody, handle);
    assert!(
        told.contains(&nobody.to_string()) && told.contains(&device.id().to_string()),
        "{told}"
    );
}

#[test]
fn memory_of_one_process_is_seen_in_another() {
    let folder = tempfile::tempdir().unwrap();
    another_process_sees_what_was_written(&fake::build(folder.path()));
}

#[test]
fn memory_of_one_process_is_seen_in_another_on_a_real_device() {
    match Driver::here().and_then(Device::first) {
        Ok(_) => another_process_sees_what_was_written(Path::new("libcuda.so.1")),
        Err(error) => println!("skipped: no device: {error}"),
    }
}

#[test]
fn what_its_process_has_freed_is_not_opened_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let library = fake::build(folder.path());
    let device = Device::first(Driver::load(&library).unwrap()).unwrap();
    let handle = device.allocate(BYTES).as_ref().map(Allocation::export).unwrap().unwrap();
    let told = Other::start(&library).asks(device.id(), handle);
    assert!(told.contains("opening another process's memory: CUDA_ERROR_MAP_FAILED"), "{told}");
}

#[test]
fn memory_that_is_shorter_than_its_ring_says_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let library = fake::build(folder.path());
    let device = Device::first(Driver::load(&library).unwrap()).unwrap();
    let memory = device.allocate(BYTES).unwrap();
    let mut other = Other::start(&library);
    let told = other.asks_for(1 << 30, device.id(), memory.export().unwrap());
    // Drivers give whole blocks.
    assert!(told.contains("has 2097152 bytes, and its ring says 1073741824"), "{told}");
}

#[test]
fn rows_outside_of_the_memory_are_refused_before_the_driver_hears_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let device = Device::first(Driver::load(&fake::build(folder.path())).unwrap()).unwrap();
    let memory = device.allocate(BYTES).unwrap();
    let mut host = picture(1);
    for rows in [
        Rows { offset: BYTES - 1, ..ROWS },
        Rows { offset: u64::MAX, ..ROWS },
        Rows { pitch: usize::MAX, ..ROWS },
        Rows { pitch: 95, ..ROWS },
        Rows { rows: 6, ..ROWS },
    ] {
        let refused = memory.region().upload(&rows, &host, 96);
        assert!(matches!(refused, Err(Error::Outside { .. })), "{rows:?}: {refused:?}");
        let refused = memory.region().download(&rows, &mut host, 96);
        assert!(matches!(refused, Err(Error::Outside { .. })), "{rows:?}: {refused:?}");
    }
    assert!(device.import(&memory.export().unwrap(), BYTES).is_err(), "by its own process");
    // A context with another one's flags would be refused by FFmpeg.
    assert_eq!(device.ordinal(), 0);
}
