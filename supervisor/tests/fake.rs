//! This test program in the role of a built-in worker. What it does is in its name: `good` keeps
//! the contract, the others break it. Each writes to the topology's folder, where it is started.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipc_channel::ipc::IpcOneShotServer;
use nix::sys::socket::{ControlMessage, MsgFlags, recv, send, sendmsg};
use protocol::codec;
use protocol::control::{
    CONTROL_VERSION, Condition, ItemId, Joint, StartUp, ToSupervisor, ToWorker, env,
};
use protocol::health::word;
use shmring::{Next, PacketMeta, PacketOptions, PacketReader, PacketWriter, Start};
use spawn::HealthPage;

/// Run by the supervisor under test; does nothing when run as a test.
#[test]
fn in_the_role_of_a_worker() {
    if std::env::var_os(env::HEALTH_FD).is_none() {
        return;
    }
    let name = std::env::var(env::WORKER).unwrap();
    let link = spawn::take_inherited(env::CONTROL_FD).unwrap();
    match name.split('-').next().unwrap() {
        "good" | "stays" => Fake::start(link, &name).work(true),
        // Reads nothing, and looks at no signal.
        "clings" => Fake::start(link, &name).beat_for_ever(),
        "works" => {
            let fake = Fake::start(link, &name);
            fake.page.add(word::ITEM_EPOCH, 7);
            fake.page.add(word::ITEM_SEQUENCE, 42);
            fake.work(true);
        }
        "poisoned" => {
            let fake = Fake::start(link, &name);
            let item = ItemId { epoch: 7, sequence: 42 };
            if !fake.poison.contains(&item) {
                fake.page.store(word::ITEM_EPOCH, item.epoch);
                fake.page.store(word::ITEM_SEQUENCE, item.sequence);
                std::process::abort();
            }
            fake.work(true);
        }
        "stalls" => {
            let fake = Fake::start(link, &name);
            fake.page.add(word::TAKEN, 1);
            fake.work(true);
        }
        "writes" => {
            let fake = Fake::start(link, &name);
            let contract = fake.start_up.output.as_ref().unwrap();
            let mut ring = PacketWriter::create(&fake.start_up.project, contract, &[]).unwrap();
            let meta = PacketMeta { key: true, ..PacketMeta::default() };
            fake.until_stopped(|| {
                ring.publish(&meta, b"packet").unwrap();
            });
        }
        "reads" => {
            let fake = Fake::start(link, &name);
            let options = PacketOptions { reader: name.clone(), start: Start::Oldest };
            let (project, ring) = (&fake.start_up.project, &fake.start_up.inputs[0]);
            let mut reader = None;
            fake.until_stopped(|| match &mut reader {
                None => reader = PacketReader::attach(project, ring, &options).ok(),
                Some(reader) => match reader.next(Duration::ZERO).unwrap() {
                    // Only a few lines: `logs` shows the last hundred, which were those of a second.
                    Next::Quiet => {}
                    Next::Item(packet) if packet.sequence > 3 => {}
                    Next::Item(packet) => {
                        println!("packet {} of {}", packet.sequence, packet.epoch)
                    }
                    other => println!("{other:?}"),
                },
            });
        }
        "hangs" => Fake::start(link, &name).work(false),
        "garbage" => say_bytes(&link, b"\x01\xff\xff\xff\xff\xff"),
        "forged" => say_bytes(&link, &forged_length()),
        "short" => say_bytes(&link, &[1]),
        "huge" => say_bytes(&link, &vec![1; codec::FRAME_MAX_BYTES + 1]),
        "endless" => loop {
            // The pipe may be full or closed: what matters is that it never stops trying.
            let _ = send(link.as_raw_fd(), &frame(&ToSupervisor::Stopped), MsgFlags::MSG_NOSIGNAL);
        },
        "early" => say_bytes(&link, &frame(&ToSupervisor::Ready)),
        "elsewhere" => {
            let hand_over = "/etc/passwd".to_owned();
            say_bytes(&link, &frame(&ToSupervisor::Hello { version: CONTROL_VERSION, hand_over }));
        }
        "deaf" => {
            let fake = Fake::start(link, &name);
            for id in 0.. {
                fake.beat();
                fake.say(&ToSupervisor::Ask { id, query: protocol::control::Query::Workers });
                // With what a full socket holds while the supervisor is not scheduled, some 280, these
                // are no flood either.
                std::thread::sleep(Duration::from_millis(6));
            }
        }
        "floods" => {
            let fake = Fake::start(link, &name);
            for number in 0u64.. {
                fake.beat();
                let why = number.to_string();
                fake.say(&ToSupervisor::Condition { condition: Condition::Degraded, why });
            }
        }
        "closes" => {
            let fake = Fake::start(link, &name);
            drop(fake.link);
        }
        "silent" => {}
        "dies" => die(),
        "greets" => {
            say_bytes(
                &link,
                &frame(&ToSupervisor::Hello { version: CONTROL_VERSION, hand_over: nowhere() }),
            );
            die();
        }
        "unready" => {
            let _fake = Fake::greet(link, &name);
            die();
        }
        "mute" => {
            let fake = Fake::greet(link, &name);
            fake.beat_for_ever();
        }
        "stuffed" => loop {
            say_with_descriptors(&link, &frame(&ToSupervisor::Stopped));
        },
        other => panic!("no role {other}"),
    }
    std::thread::sleep(Duration::from_secs(1000));
}

struct Fake {
    name: String,
    link: OwnedFd,
    page: HealthPage,
    poison: Vec<ItemId>,
    start_up: StartUp,
    stop: Arc<AtomicBool>,
}

impl Fake {
    /// The whole handshake.
    fn start(link: OwnedFd, name: &str) -> Self {
        let fake = Self::greet(link, name);
        fake.say(&ToSupervisor::Ready);
        let why = String::new();
        fake.say(&ToSupervisor::Condition { condition: Condition::Flowing, why });
        fake
    }

    /// The handshake but for its last word.
    fn greet(link: OwnedFd, name: &str) -> Self {
        let page = HealthPage::map(spawn::take_inherited(env::HEALTH_FD).unwrap()).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop)).unwrap();
        let name = name.to_owned();
        let (server, hand_over) = IpcOneShotServer::<StartUp>::new().unwrap();
        say_bytes(&link, &frame(&ToSupervisor::Hello { version: CONTROL_VERSION, hand_over }));
        let (_, start_up) = server.accept().unwrap();
        println!("start-up {}", serde_json::to_string(&start_up).unwrap());
        Self { name, link, page, poison: start_up.poison.clone(), start_up, stop }
    }

    fn beat_for_ever(&self) {
        loop {
            self.beat();
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn work(&self, beats: bool) {
        self.step_until_stopped(beats, || ());
    }

    fn until_stopped(&self, step: impl FnMut()) {
        self.step_until_stopped(true, step);
    }

    fn step_until_stopped(&self, beats: bool, mut step: impl FnMut()) {
        let mut buffer = [0; 4096];
        while !self.stop.load(Ordering::Relaxed) {
            if beats {
                self.beat();
            }
            let seen = recv(self.link.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT);
            let message = seen.ok().and_then(|length| codec::decode(&buffer[..length]).ok());
            match message {
                Some(ToWorker::Stop { .. }) => break,
                Some(ToWorker::Drain) => self.drain(),
                Some(ToWorker::TakeOver { from }) => println!("took over from {from:?}"),
                _ => {}
            }
            step();
            std::thread::sleep(Duration::from_millis(10));
        }
        self.note("stopped.txt");
        self.say(&ToSupervisor::Stopped);
        die();
    }

    /// A server keeps its client until a file says that it has left; a writer leaves its ring.
    fn drain(&self) {
        if self.start_up.output.is_some() {
            let after = Some(ItemId { epoch: 7, sequence: 42 });
            self.say(&ToSupervisor::Yielded { to: Joint { after, at_key: true } });
        }
        while self.name.starts_with("stays") && !std::path::Path::new("leave").exists() {
            self.beat();
            std::thread::sleep(Duration::from_millis(10));
        }
        self.stop.store(true, Ordering::Relaxed);
    }

    fn beat(&self) {
        self.page.add(word::BEAT, 1);
    }

    fn say(&self, message: &ToSupervisor) {
        say_bytes(&self.link, &frame(message));
    }

    /// One line of a file that several workers write.
    fn note(&self, file: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
        writeln!(file, "{}", self.name).unwrap();
    }
}

/// At once: the test's own way to end would print its result first.
fn die() {
    let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
}

/// A socket where a hand-over could be, and nobody is.
fn nowhere() -> String {
    std::env::temp_dir().join(".tmpabcdef/socket").display().to_string()
}

/// A frame with as many open descriptors as fit beside it.
fn say_with_descriptors(link: &OwnedFd, bytes: &[u8]) {
    let null = std::fs::File::open("/dev/null").unwrap();
    let descriptors = [null.as_raw_fd(); 200];
    let rights = [ControlMessage::ScmRights(&descriptors)];
    let slices = [std::io::IoSlice::new(bytes)];
    let flags = MsgFlags::MSG_NOSIGNAL;
    let _ = sendmsg::<()>(link.as_raw_fd(), &slices, &rights, flags, None);
}

fn say_bytes(link: &OwnedFd, bytes: &[u8]) {
    let _ = send(link.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL);
}

fn frame(message: &ToSupervisor) -> Vec<u8> {
    codec::encode(message).unwrap()
}

/// A Hello whose text claims to be longer than memory.
fn forged_length() -> Vec<u8> {
    let mut frame = vec![codec::FRAME_VERSION, 0, 0, 0, 0];
    frame.extend(CONTROL_VERSION.to_le_bytes());
    frame.extend(u64::MAX.to_le_bytes());
    frame
}
