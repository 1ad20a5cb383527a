//! The real sources: shared-memory rings by name, the supervisor by its link. The only file of this
//! crate that touches either.

use std::path::PathBuf;
use std::time::Duration;

use protocol::admin::{CLIENTS_DIR, ClientStatus, ClientsNote, RingStatus};
use protocol::control::{Query, WorkersPage};
use protocol::name::{ProjectName, RingName, WorkerName};
use protocol::stream::Track;
use protocol::time::{MonoNs, Stamp};
use recordings::UploadStatus;
use serde_json::Value;
use shmring::{
    Frame, FrameOptions, FrameReader, Next, PacketOptions, PacketReader, RecordReader, Start,
    census, clock,
};
use tracing::debug;
use worker::{Link, PacketInput};

use crate::events::EventLog;
use crate::insight::passage::Passage;
use crate::picture::Picture;
use crate::sources::{PacketTap, PictureTap, SharedMemory, Sources, TimesTap, Told, Trouble};

/// Most records taken from one ring in one step: a ring full of old ones must not hold the sockets.
const RECORDS_A_STEP: usize = 500;
/// Most packets whose times are taken at once: some ten seconds of a camera with sound.
const PACKETS_A_LOOK: usize = 1_000;
/// How often an absent event ring is looked for.
const RETRY: Duration = Duration::from_millis(500);

/// The rings of one project.
#[derive(Clone, Debug)]
pub struct Rings {
    pub project: ProjectName,
    /// Name of this worker, shown to others as a reader's name.
    pub reader: String,
}

/// The rings, and the supervisor that runs their project.
#[derive(Debug)]
pub struct Live {
    pub rings: Rings,
    pub link: Link,
    /// The project's state folder.
    pub state: PathBuf,
    /// What workers keep for others during the project's run.
    pub notes: PathBuf,
}

impl Sources for Live {
    fn now(&self) -> Stamp {
        clock::now()
    }

    fn workers(&self) -> Result<String, Trouble> {
        let mut all: Vec<Value> = Vec::new();
        let mut next = Some(0);
        while let Some(first) = next {
            let body = self.link.ask(Query::WorkersFrom(first))?;
            let page: WorkersPage<Value> = serde_json::from_str(&body)?;
            // While pages are asked for a worker may come or go, and the others change places.
            let is_new = |row: &Value| !all.iter().any(|other| other["name"] == row["name"]);
            let new: Vec<Value> = page.workers.into_iter().filter(is_new).collect();
            all.extend(new);
            next = page.next.filter(|next| *next > first);
        }
        Ok(Value::Array(all).to_string())
    }

    fn rings(&self) -> Vec<RingStatus> {
        self.rings.census()
    }

    fn upload(&self, worker: &WorkerName) -> Option<UploadStatus> {
        UploadStatus::read(&self.state, worker)
    }

    fn clients(&self, worker: &WorkerName) -> Vec<ClientStatus> {
        let (folder, now) = (self.notes.join(CLIENTS_DIR), clock::now().utc);
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let notes = files.filter(|file| {
            file.file_name()
                .to_str()
                .is_some_and(|name| ClientsNote::is_called(name, worker.as_str()))
        });
        let notes = notes.filter_map(|file| {
            serde_json::from_slice::<ClientsNote>(&std::fs::read(file.path()).ok()?).ok()
        });
        notes.filter(|note| note.is_fresh(now)).flat_map(|note| note.clients).collect()
    }

    fn shared_memory(&self) -> Option<SharedMemory> {
        let shm = rustix::fs::statvfs("/dev/shm").ok()?;
        let of = |blocks: u64| blocks.checked_mul(shm.f_frsize);
        Some(SharedMemory { all: of(shm.f_blocks)?, free: of(shm.f_bavail)? })
    }

    fn logs(&self, worker: &WorkerName, lines: u32) -> Result<Option<String>, Trouble> {
        let told = self.link.ask(Query::Logs { worker: worker.clone(), lines })?;
        Ok((told != "null").then_some(told))
    }

    fn open_times(&self, ring: &RingName) -> Result<Option<Box<dyn TimesTap>>, Trouble> {
        // From the newest key on: the first answer has some, and none is older than a group of pictures.
        let options = PacketOptions { reader: self.rings.reader.clone(), start: Start::NewestKey };
        let reader = PacketReader::attach(&self.rings.project, ring, &options)?;
        Ok(Some(Box::new(reader)))
    }

    fn open(&self, ring: &RingName) -> Result<Box<dyn PictureTap>, Trouble> {
        self.rings.open(ring)
    }

    fn packets(&self, ring: &RingName) -> Box<dyn PacketTap> {
        self.rings.packets(ring)
    }
}

impl Rings {
    pub fn census(&self) -> Vec<RingStatus> {
        census::rings(&self.project)
    }

    pub fn open(&self, ring: &RingName) -> Result<Box<dyn PictureTap>, Trouble> {
        // No rate is declared: the newest picture is wanted whenever somebody asks, and the rate of
        // the ring then is the camera's own.
        let options = FrameOptions { quota: 1, ..FrameOptions::named(&self.reader) };
        Ok(Box::new(FrameReader::attach(&self.project, ring, &options)?))
    }

    pub fn packets(&self, ring: &RingName) -> Box<dyn PacketTap> {
        let options = PacketOptions { reader: self.reader.clone(), start: Start::Oldest };
        Box::new(PacketInput::detached(&self.project, ring, options))
    }
}

impl PacketTap for PacketInput {
    fn next(&mut self, wait: Duration) -> Result<Told, Trouble> {
        Ok(match self.poll(wait)? {
            Some(Next::Item(packet)) => Told::Packet(packet),
            Some(Next::Overrun { missed }) => Told::Missed(missed),
            // What is lost follows as an overrun, what is new as packets of another epoch.
            Some(Next::Evicted { .. } | Next::NewEpoch { .. }) => Told::Missed(0),
            Some(Next::Quiet) => Told::Quiet,
            Some(Next::Ended) => Told::Ended,
            None => Told::Absent(self.absence()),
        })
    }

    fn tracks(&self) -> &[Track] {
        Self::tracks(self)
    }
}

impl PictureTap for FrameReader {
    fn newest(&mut self) -> Result<Option<Picture>, Trouble> {
        loop {
            match self.next(Duration::ZERO)? {
                Next::Item(frame) => return copy(&frame).map(Some),
                Next::Evicted { .. } | Next::NewEpoch { .. } | Next::Overrun { .. } => {}
                Next::Quiet | Next::Ended => return Ok(None),
            }
        }
    }
}

impl TimesTap for PacketReader {
    fn drain(&mut self, take: &mut dyn FnMut(Passage)) -> Result<(), Trouble> {
        for _ in 0..PACKETS_A_LOOK {
            match self.next(Duration::ZERO)? {
                Next::Item(packet) => take(Passage {
                    capture: packet.meta.capture.mono,
                    ingest: packet.meta.ingest,
                    published: packet.published,
                    ..Passage::default()
                }),
                Next::Evicted { .. } | Next::NewEpoch { .. } | Next::Overrun { .. } => {}
                Next::Quiet | Next::Ended => break,
            }
        }
        Ok(())
    }
}

/// Copies what is visible; the lease ends with the caller's frame.
fn copy(frame: &Frame) -> Result<Picture, Trouble> {
    let seen = frame.meta().content;
    Picture::copied(frame).ok_or_else(|| Trouble::NoPicture { ring: frame.ring().clone(), seen })
}

/// One event ring among the inputs, there or not.
#[derive(Debug)]
pub struct EventInput {
    ring: RingName,
    reader: Option<RecordReader>,
    retry: MonoNs,
}

impl EventInput {
    pub fn new(ring: &RingName) -> Self {
        Self { ring: ring.clone(), reader: None, retry: MonoNs(0) }
    }

    /// Moves what is new into the log; does not wait.
    pub fn drain(&mut self, rings: &Rings, log: &EventLog) {
        for _ in 0..RECORDS_A_STEP {
            let Some(reader) = self.reader(rings) else {
                return;
            };
            match reader.next(Duration::ZERO) {
                Ok(Next::Item(record)) => log.push(&self.ring, record),
                Ok(Next::Evicted { .. } | Next::NewEpoch { .. } | Next::Overrun { .. }) => {}
                Ok(Next::Quiet | Next::Ended) => return,
                // One bad record of its writer; the next may be good.
                Err(error @ shmring::Error::Record(_)) => debug!(ring = %self.ring, %error),
                Err(error) => {
                    debug!(ring = %self.ring, %error, "events interrupted");
                    self.reader = None;
                }
            }
        }
    }

    fn reader(&mut self, rings: &Rings) -> Option<&mut RecordReader> {
        let now = clock::mono();
        if self.reader.is_none() && now >= self.retry {
            self.retry = now + RETRY;
            let options = PacketOptions { reader: rings.reader.clone(), start: Start::Oldest };
            self.reader = RecordReader::attach(&rings.project, &self.ring, &options).ok();
        }
        self.reader.as_mut()
    }
}
