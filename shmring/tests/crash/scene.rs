//! A ring with a history, a reader attached to it, a writer that starts and publishes, and what must be
//! true after that writer's death.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::ProjectName;
use protocol::stream::PixelFormat;
use shmring::{
    FrameMeta, FrameOptions, FrameReader, FrameWriter, Next, PacketMeta, PacketOptions,
    PacketReader, PacketWriter, Picture, Start, census,
};

/// The stops of [`play`].
pub(crate) const BEFORE_START: u32 = 1;
pub(crate) const BEFORE_PUBLISH: u32 = 2;

const SOON: Duration = Duration::from_secs(20);
const SIDE: u32 = 16;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Frames,
    /// Packets that are too large for their log.
    Large,
    Packets,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Large => "large",
            Self::Packets => "packets",
        }
    }

    pub(crate) fn parse(text: &str) -> Self {
        let all = [Self::Frames, Self::Large, Self::Packets];
        all.into_iter().find(|kind| kind.as_str() == text).unwrap()
    }
}

/// The traced writer's part.
pub(crate) fn play(kind: Kind, project: &str) {
    let project = project.parse().unwrap();
    raise(Signal::SIGSTOP).unwrap();
    let mut writer = Writer::create(kind, &project);
    raise(Signal::SIGSTOP).unwrap();
    writer.publish(kind, 7);
    raise(Signal::SIGSTOP).unwrap();
    // Its own death, without a word to its readers.
}

enum Writer {
    Frames(FrameWriter),
    Packets(Box<PacketWriter>),
}

impl Writer {
    fn create(kind: Kind, project: &ProjectName) -> Self {
        let contract = contract(kind);
        match kind {
            Kind::Frames => Self::Frames(FrameWriter::create(project, &contract, None).unwrap()),
            Kind::Large | Kind::Packets => {
                Self::Packets(Box::new(PacketWriter::create(project, &contract, &[]).unwrap()))
            }
        }
    }

    fn publish(&mut self, kind: Kind, value: u8) {
        match self {
            Self::Packets(writer) => {
                let meta = PacketMeta { key: true, ..PacketMeta::default() };
                let in_the_log = writer.payload_max_bytes();
                let bytes = if matches!(kind, Kind::Large) { in_the_log + 1 } else { 100 };
                writer.publish(&meta, &vec![value; bytes]).unwrap();
            }
            Self::Frames(writer) => {
                let mut loan = writer.loan((SIDE * SIDE) as usize, 1).unwrap();
                loan.bytes_mut()[..(SIDE * SIDE) as usize].fill(value);
                writer.publish(loan.slot(), &picture()).unwrap();
            }
        }
    }
}

enum Reader {
    Frames(Box<FrameReader>),
    Packets(Box<PacketReader>),
}

impl Reader {
    fn attach(kind: Kind, project: &ProjectName) -> Self {
        let ring = contract(kind).name;
        match kind {
            Kind::Frames => {
                let options = FrameOptions::named("crash");
                Self::Frames(Box::new(FrameReader::attach(project, &ring, &options).unwrap()))
            }
            Kind::Large | Kind::Packets => {
                let options = PacketOptions { reader: "crash".into(), start: Start::Oldest };
                Self::Packets(Box::new(PacketReader::attach(project, &ring, &options).unwrap()))
            }
        }
    }

    /// The bytes of the next item, whatever comes before it.
    fn next(&mut self, why: &str) -> Vec<u8> {
        loop {
            let next = match self {
                Self::Packets(reader) => reader.next(SOON).map(|next| of(next, |p| p.payload)),
                Self::Frames(reader) => reader.next(SOON).map(|next| {
                    of(next, |frame| {
                        let mut samples = Vec::new();
                        frame.plane(0).unwrap().copy_to(&mut samples);
                        samples
                    })
                }),
            };
            if let Some(bytes) = next.unwrap_or_else(|error| panic!("{why}: {error}")) {
                return bytes;
            }
        }
    }
}

fn of<T>(next: Next<T>, bytes: impl FnOnce(T) -> Vec<u8>) -> Option<Vec<u8>> {
    match next {
        Next::Item(item) => Some(bytes(item)),
        Next::Evicted { .. } | Next::Overrun { .. } | Next::NewEpoch { .. } => None,
        Next::Quiet | Next::Ended => panic!("nothing came"),
    }
}

/// A ring that had a writer, which published and died; its reader stays.
pub(crate) struct Scene {
    pub(crate) kind: Kind,
    pub(crate) project: ProjectName,
    reader: Option<Reader>,
}

impl Scene {
    pub(crate) fn new(kind: Kind) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let project = format!("crash{}-{number}", std::process::id()).parse().unwrap();
        let mut writer = Writer::create(kind, &project);
        let mut reader = Reader::attach(kind, &project);
        writer.publish(kind, 1);
        assert!(reader.next("before").iter().all(|byte| *byte == 1));
        Self { kind, project, reader: Some(reader) }
    }

    /// What must hold after the traced writer's death.
    pub(crate) fn goes_on(mut self, why: &str) {
        census::rings(&self.project);
        let mut reader = self.reader.take().unwrap();
        let mut writer = Writer::create(self.kind, &self.project);
        writer.publish(self.kind, 9);
        // The dead one's item may come first; half an item never does.
        let bytes = std::iter::repeat_with(|| reader.next(why)).take(2).find(|bytes| bytes[0] != 7);
        assert!(bytes.unwrap().iter().all(|byte| *byte == 9), "{why}");
        let names = self.names();
        assert!(names.iter().all(|name| !name.contains(".tmp-")), "{why}: {names:?}");
        // The new epoch and, in packet rings, the one before it.
        let epochs = names.iter().filter(|name| is_index(name)).count();
        assert!(epochs <= 2, "{why}: {names:?}");
        // No segment outlives the index that tells of it.
        let of_an_index = |name: &String| {
            let (index, _) = name.rsplit_once(".g").unwrap();
            names.iter().any(|other| other == index)
        };
        let mut data = names.iter().filter(|name| is_data(name));
        assert!(data.all(of_an_index), "{why}: {names:?}");
        drop((writer, reader));
        census::sweep_unowned(&self.project);
        assert_eq!(self.names(), Vec::<String>::new(), "{why}");
    }

    fn names(&self) -> Vec<String> {
        let prefix = format!("fv.{}.", self.project);
        let entries = std::fs::read_dir("/dev/shm").unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(&prefix)).collect()
    }
}

fn is_index(name: &str) -> bool {
    let suffix = name.rsplit('.').next().unwrap_or_default();
    suffix.strip_prefix('e').is_some_and(|digits| digits.parse::<u64>().is_ok())
}

fn is_data(name: &str) -> bool {
    let suffix = name.rsplit('.').next().unwrap_or_default();
    suffix.strip_prefix('g').is_some_and(|digits| digits.parse::<u32>().is_ok())
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.reader = None;
        census::sweep_unowned(&self.project);
    }
}

fn contract(kind: Kind) -> RingContract {
    // An events ring is a packet ring with a short log.
    let name = match kind {
        Kind::Frames => "cam.frames",
        Kind::Large | Kind::Packets => "cam.events",
    };
    let config = RingConfig::default();
    RingContract::new(name.parse().unwrap(), config, 2)
}

fn picture() -> FrameMeta {
    FrameMeta::of(Picture::packed(SIDE, SIDE, PixelFormat::Gray8, 1).unwrap())
}
