//! A project of its own for each test: rings, a recordings directory, a recorder in a thread or in
//! a process that can be killed, and the independent reading of what was recorded.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fmp4::{Scan, is_intact, scan};
use protocol::config::{FreeSpace, Keep, RingConfig, When};
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::Track;
use protocol::time::MonoNs;
use recorder::{
    Camera, Disk, Gate, Gates, Indexing, Job, Keeper, Listener, Remarks, Segments, SharedGate,
    Status,
};
use recordings::FileName;
use recordings::index::Notes;
use shmring::{PacketWriter, RecordWriter, census, clock};

/// Longest any wait of these tests may take.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Rig {
    pub(crate) project: ProjectName,
    pub(crate) ring: RingName,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) segment: Duration,
    pub(crate) keep: Keep,
    pub(crate) min_free: Option<FreeSpace>,
    /// The recorder's directory, below the usual one.
    pub(crate) below: Option<PathBuf>,
    pub(crate) when: When,
    /// Where events come from.
    pub(crate) events: RingName,
    /// Complete files of all its recorders.
    pub(crate) segments: Segments,
}

impl Rig {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("recordings")).unwrap();
        Self {
            project: format!("rec{}-{number}", std::process::id()).parse().unwrap(),
            ring: "cam1.packets".parse().unwrap(),
            dir,
            segment: Duration::from_secs(6),
            keep: Keep::default(),
            min_free: None,
            below: None,
            when: When::default(),
            events: "motion1.events".parse().unwrap(),
            segments: Segments::default(),
        }
    }

    /// What `dir` says in a topology.
    pub(crate) fn root(&self) -> PathBuf {
        let usual = self.dir.path().join("recordings");
        match &self.below {
            Some(below) => usual.join(below),
            None => usual,
        }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.root().join("cam1")
    }

    pub(crate) fn writer(&self, tracks: &[Track]) -> PacketWriter {
        let contract = RingContract::new(self.ring.clone(), RingConfig::default(), 4);
        PacketWriter::create(&self.project, &contract, tracks).unwrap()
    }

    pub(crate) fn job(&self, folder: PathBuf) -> Job {
        Job {
            project: self.project.clone(),
            ring: self.ring.clone(),
            reader: "rec".to_owned(),
            folder,
            segment: self.segment,
            disk: Arc::new(self.disk()),
            gate: SharedGate::new(Gate::new(&self.ring, self.when.clone())),
            remarks: Remarks::default(),
            keeper: Arc::new(Keeper::new(&self.keep, self.min_free)),
            index: Notes::default(),
            segments: self.segments.clone(),
            stop: Arc::new(AtomicBool::new(false)),
            status: Arc::new(Status::new(self.ring.as_str())),
        }
    }

    /// Its memory is kept over the recorders of a test, beside the directory.
    fn disk(&self) -> Disk {
        Disk::new(&self.root(), self.dir.path().join("memory.json"))
    }

    pub(crate) fn recorder(&self) -> InThread {
        InThread::start(self.job(self.folder()))
    }

    /// The one writer of the events.
    pub(crate) fn teller(&self) -> RecordWriter {
        let contract = RingContract::new(self.events.clone(), RingConfig::default(), 4);
        RecordWriter::create(&self.project, &contract).unwrap()
    }

    /// A recorder in a process of its own.
    pub(crate) fn process(&self) -> InProcess {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "rig::the_recorder_of_another_test", "--nocapture"])
            .env("REC_PROJECT", self.project.to_string())
            .env("REC_ROOT", self.root())
            .env("REC_SEGMENT_MS", self.segment.as_millis().to_string())
            .env("REC_WHEN", serde_json::to_string(&self.when).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        InProcess(child)
    }

    pub(crate) fn recorded(&self) -> Recorded {
        Recorded::read(&self.folder())
    }
}

impl Drop for Rig {
    /// Until nothing is left: a child that another test forks at this moment holds copies of this
    /// process's locks until it has become another program.
    fn drop(&mut self) {
        let deadline = clock::mono() + DEADLINE;
        loop {
            census::sweep_unowned(&self.project);
            if census::rings(&self.project).is_empty() || clock::mono() >= deadline {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

pub(crate) struct InThread {
    pub(crate) job: Job,
    thread: JoinHandle<()>,
    _listener: Listener,
}

impl InThread {
    pub(crate) fn start(job: Job) -> Self {
        let camera = Camera::new(job.clone());
        let (gates, stop) = (Gates(vec![job.gate.clone()]), Arc::clone(&job.stop));
        let events = ["motion1.events".parse().unwrap()];
        let listener = Listener::start(&job.project, &job.reader, &events, gates, stop).unwrap();
        Self { job, thread: thread::spawn(move || camera.run()), _listener: listener }
    }

    /// Stops as the supervisor does: everything published before is recorded.
    pub(crate) fn stop(self) {
        self.job.stop.store(true, Ordering::Release);
        self.thread.join().unwrap();
    }

    pub(crate) fn wait_until(&self, what: &str, mut so: impl FnMut(&Status) -> bool) {
        wait_until(what, || so(&self.job.status));
    }
}

pub(crate) struct InProcess(Child);

impl InProcess {
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn stop(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

/// Not a test: what [`Rig::process`] runs. Ends when its standard input does.
#[test]
fn the_recorder_of_another_test() {
    let Ok(project) = std::env::var("REC_PROJECT") else {
        return;
    };
    let segment_ms = std::env::var("REC_SEGMENT_MS").unwrap().parse().unwrap();
    let ring: RingName = "cam1.packets".parse().unwrap();
    let root = PathBuf::from(std::env::var("REC_ROOT").unwrap());
    let indexing = Indexing::begin(&root, Duration::from_millis(2)).unwrap();
    let when: When = serde_json::from_str(&std::env::var("REC_WHEN").unwrap()).unwrap();
    let recorder = InThread::start(Job {
        project: project.parse().unwrap(),
        gate: SharedGate::new(Gate::new(&ring, when)),
        remarks: Remarks::default(),
        status: Arc::new(Status::new(ring.as_str())),
        ring,
        reader: "rec".to_owned(),
        folder: root.join("cam1"),
        disk: Arc::new(Disk::new(&root, root.with_file_name("memory.json"))),
        segment: Duration::from_millis(segment_ms),
        keeper: Arc::new(Keeper::of_all().telling(indexing.notes())),
        index: indexing.notes(),
        segments: Segments::default(),
        stop: Arc::new(AtomicBool::new(false)),
    });
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    recorder.stop();
    indexing.end();
}

/// What the files say, read without the recorder.
pub(crate) struct Recorded {
    pub(crate) files: Vec<(PathBuf, Scan)>,
}

impl Recorded {
    pub(crate) fn read(folder: &Path) -> Self {
        let whole = |path: PathBuf| {
            let mut file = std::fs::File::open(&path).unwrap();
            let found = scan(&mut file).unwrap();
            for fragment in &found.fragments {
                assert!(is_intact(&mut file, fragment).unwrap(), "{}", path.display());
            }
            (path, found)
        };
        Self { files: numbered(folder).into_iter().map(whole).collect() }
    }

    /// The sequences of a folder that nobody has repaired: of each file as far as it is whole.
    pub(crate) fn whole_of(folder: &Path) -> Vec<u64> {
        let mut sequences = Vec::new();
        for path in numbered(folder) {
            let mut file = std::fs::File::open(&path).unwrap();
            for fragment in scan(&mut file).unwrap().fragments {
                if !is_intact(&mut file, &fragment).unwrap() {
                    break;
                }
                sequences.extend(fragment.origin.recorded());
            }
        }
        sequences
    }

    /// Epoch and sequence of every recorded packet, in the order of the files.
    pub(crate) fn ids(&self) -> Vec<(u64, u64)> {
        let fragments = self.files.iter().flat_map(|(_, found)| &found.fragments);
        let ids = fragments.flat_map(|fragment| {
            let epoch = fragment.origin.epoch;
            fragment.origin.recorded().map(move |sequence| (epoch, sequence))
        });
        ids.collect()
    }

    /// Every published packet once, in order; tells which are not.
    pub(crate) fn assert_all_of(&self, published: &[(u64, u64)]) {
        let recorded = self.ids();
        let missing: Vec<_> = published.iter().filter(|id| !recorded.contains(id)).collect();
        let doubled: Vec<_> =
            recorded.windows(2).filter(|pair| pair[1] <= pair[0]).map(|pair| pair[1]).collect();
        let files: Vec<String> = self.files.iter().map(|(path, found)| told(path, found)).collect();
        let list = files.join("\n");
        assert!(
            missing.is_empty() && doubled.is_empty() && recorded.len() == published.len(),
            "missing {missing:?}, doubled from {doubled:?}\n{list}"
        );
    }

    pub(crate) fn assert_clean(&self) {
        for (path, found) in &self.files {
            assert_eq!(found.damage, None, "{}", path.display());
            let begins = &found.fragments[0];
            assert!(
                begins.begins_with_key(&found.tracks),
                "{} begins inside a group",
                path.display()
            );
        }
    }

    pub(crate) fn assert_plays(&self) {
        for (path, _) in &self.files {
            assert_eq!(crate::media::complaints(path), "", "{}", path.display());
        }
    }
}

/// The recordings of a folder in the order of their numbers.
fn numbered(folder: &Path) -> Vec<PathBuf> {
    let number = |path: &PathBuf| FileName::number_in(path.file_name()?.to_str()?);
    let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(u64, PathBuf)> =
        paths.filter_map(|path| Some((number(&path)?, path))).collect();
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

fn told(path: &Path, found: &Scan) -> String {
    let name = path.file_name().unwrap().to_string_lossy();
    let ids = found.fragments.iter().map(|f| format!("{}..{}", f.origin.first, f.origin.last()));
    format!("{name}: {}", ids.collect::<Vec<_>>().join(" "))
}

/// What this machine has, or a word that a test says nothing here.
pub(crate) fn here<T>(had: Result<T, String>) -> Option<T> {
    had.inspect_err(|why| println!("skipped: {why}")).ok()
}

pub(crate) fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline: MonoNs = clock::mono() + DEADLINE;
    while !so() {
        assert!(clock::mono() < deadline, "not within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
