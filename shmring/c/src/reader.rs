//! Attaching, and being told what comes next.

use std::ffi::{CString, c_char, c_int};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::control::env;
use protocol::name::{ProjectName, RingKind, RingName};
use protocol::stream::{Colour, DType, PixelFormat, Track};
use protocol::time::MonoNs;
use serde_json::{Value, json};
use shmring::fork::Birth;
use shmring::{
    Content, Next, Picture, Policy, Pollable, Semaphore, Start, Waitable, census, clock, project,
};

use crate::abi::{self, AttachOptions, News, REASON_BYTES, policy, start, status};
use crate::error::{Error, answer, number, pointer, quietly};
use crate::fork;
use crate::handle::{self, Handle};
use crate::input;
use crate::item::Item;
use crate::source::{Source, Taken, Wish};

/// How often an absent ring is looked for, and one that has ended or gone is looked at again: they have no
/// bell to wait for.
const RETRY: Duration = Duration::from_millis(20);

/// A place among a ring's readers.
#[derive(Debug)]
pub struct Reader {
    birth: Birth,
    project: ProjectName,
    ring: RingName,
    /// Apart from the state, so that one thread may wait while another one reads.
    semaphore: Semaphore,
    state: Mutex<State>,
    /// Made when it is first asked for.
    pollable: Mutex<Option<Pollable>>,
}

#[derive(Debug)]
struct State {
    source: Source,
    /// What the last item was like; `None` before the first.
    likeness: Option<Likeness>,
    /// Items lost since this reader attached.
    missed: u64,
    /// The end of this epoch was told at once.
    end_told: bool,
}

/// What a program sets itself up for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Likeness {
    Picture(u32, u32, PixelFormat, Colour),
    Tensor(DType, Vec<u32>),
    Tracks(std::sync::Arc<[Track]>),
    Record,
}

impl Handle for Reader {
    const WHAT: &'static str = "reader";

    fn birth(&self) -> Birth {
        self.birth
    }
}

/// # Safety
/// As in the header: texts and options readable, `reader` a place for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_attach(
    project: *const c_char,
    ring: *const c_char,
    options: *const AttachOptions,
    reader: *mut *mut Reader,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let place = unsafe { input::place("reader", reader) }?;
        place.write(std::ptr::null_mut());
        // SAFETY: by the caller's word.
        let project = unsafe { input::text("project", project) }?;
        // SAFETY: by the caller's word.
        let ring = unsafe { input::text("ring", ring) }?;
        let ring: RingName = ring.ok_or(Error::Null { what: "ring" })?.parse()?;
        let (wish, wait) = if options.is_null() {
            (Wish::default(), None)
        } else {
            // SAFETY: not NULL, and a struct with its size by the caller's word.
            let options = unsafe { input::sized(options) }?;
            // SAFETY: by the caller's word.
            let name = unsafe { input::text("options.reader", options.reader) }?;
            (parse(&options, name, ring.kind())?, wait_of(options.wait_ns))
        };
        let wait = wait.unwrap_or_else(default_wait);
        place.write(handle::give(attach(project, ring, &wish, wait)?));
        Ok(status::OK)
    })
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            reader: program_name(),
            policy: Policy::Latest,
            quota: None,
            max_fps: None,
            every: 1,
            start: None,
        }
    }
}

fn parse(options: &AttachOptions, name: Option<&str>, kind: RingKind) -> Result<Wish, Error> {
    let value = |what, seen: u32, expected| Error::Value { what, seen: u64::from(seen), expected };
    let policy = match options.policy {
        policy::LATEST => Policy::Latest,
        policy::SEQUENTIAL => Policy::Sequential,
        seen => return Err(value("options.policy", seen, "an enum shmring_policy")),
    };
    for (what, seen) in [("options.max_fps", options.max_fps), ("options.every", options.every)] {
        if seen != 0 && kind != RingKind::Frames {
            return Err(value(what, seen, "0: it is for frame rings only"));
        }
    }
    let above_zero = |value: u32| (value != 0).then_some(value);
    Ok(Wish {
        reader: name.map_or_else(program_name, str::to_owned),
        policy,
        quota: above_zero(options.quota),
        max_fps: above_zero(options.max_fps),
        every: options.every.max(1),
        start: parse_start(options, kind)?,
    })
}

fn parse_start(options: &AttachOptions, kind: RingKind) -> Result<Option<Start>, Error> {
    let after = Start::After { epoch: options.after_epoch, sequence: options.after_sequence };
    Ok(match (options.start, kind) {
        (start::DEFAULT, _) => None,
        (start::NEWEST, _) => Some(Start::Newest),
        (start::NEWEST_KEY, RingKind::Packets) => Some(Start::NewestKey),
        (start::OLDEST, _) => Some(Start::Oldest),
        (start::AFTER, _) => Some(after),
        (seen, _) => {
            let expected = "an enum shmring_start, _NEWEST_KEY for packet rings only";
            return Err(Error::Value { what: "options.start", seen: u64::from(seen), expected });
        }
    })
}

/// `None` is the default.
fn wait_of(wait_ns: i64) -> Option<Duration> {
    (wait_ns != 0).then(|| input::timeout(wait_ns))
}

fn default_wait() -> Duration {
    let has_supervisor = std::env::var_os(env::WORKER).is_some();
    if has_supervisor { Duration::MAX } else { Duration::ZERO }
}

/// What others see of this program unless it says something better.
pub(crate) fn program_name() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let file = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned());
    file.unwrap_or_else(|| "program".to_owned())
}

fn attach(
    project: Option<&str>,
    ring: RingName,
    wish: &Wish,
    wait: Duration,
) -> Result<Reader, Error> {
    fork::register();
    let until = clock::mono() + wait;
    loop {
        let found = project::having(project, &ring).and_then(|project| {
            let source = Source::attach(&project, &ring, wish)?;
            Ok((project, source))
        });
        match found {
            Ok((project, source)) => return Ok(Reader::new(project, ring, source)),
            Err(error) if error.is_absent() && clock::mono() < until => std::thread::sleep(RETRY),
            Err(error) => return Err(error.into()),
        }
    }
}

impl Reader {
    fn new(project: ProjectName, ring: RingName, source: Source) -> Self {
        let (birth, semaphore) = (Birth::here(), source.semaphore());
        let state = State { source, likeness: None, missed: 0, end_told: false };
        let (state, pollable) = (Mutex::new(state), Mutex::default());
        Self { birth, project, ring, semaphore, state, pollable }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether there was something to be told before `deadline`.
    fn wait_until(&self, deadline: MonoNs) -> c_int {
        if self.semaphore.wait_until(deadline) { status::OK } else { status::QUIET }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// As in the header: `reader` NULL or attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_detach(reader: *mut Reader) {
    // SAFETY: by the caller's word.
    quietly(|| unsafe { handle::end(reader) });
}

/// # Safety
/// As in the header: `reader` NULL or attached, `news` a place for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_next(
    reader: *mut Reader,
    timeout_ns: i64,
    news: *mut News,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let place = unsafe { input::place("news", news) }?;
        place.write(NO_NEWS);
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        let (status, news) = reader.lock().next(&reader.ring, input::timeout(timeout_ns))?;
        place.write(news);
        Ok(status)
    })
}

const NO_NEWS: News = News {
    item: std::ptr::null_mut(),
    epoch: 0,
    missed: 0,
    format_changed: 0,
    reserved: [0; 9],
    reason: [0; REASON_BYTES],
};

impl State {
    fn next(&mut self, ring: &RingName, timeout: Duration) -> Result<(c_int, News), Error> {
        let deadline = clock::mono() + timeout;
        loop {
            let left = deadline.saturating_since(clock::mono());
            match self.source.next(left) {
                Ok(Next::Item(taken)) => return self.took(taken, ring),
                Ok(Next::Overrun { missed }) => {
                    self.missed += missed;
                    return Ok((status::OVERRUN, News { missed, ..self.no_news() }));
                }
                Ok(Next::Evicted { reason }) => {
                    let reason = abi::text(&reason);
                    return Ok((status::EVICTED, News { reason, ..self.no_news() }));
                }
                Ok(Next::NewEpoch { .. }) => {
                    self.end_told = false;
                    return Ok((status::NEW_EPOCH, self.no_news()));
                }
                Ok(Next::Quiet) => return Ok((status::QUIET, self.no_news())),
                Ok(Next::Ended) => {
                    let is_told = std::mem::replace(&mut self.end_told, true);
                    if !is_told || !rest(deadline) {
                        return Ok((status::ENDED, self.no_news()));
                    }
                }
                // Taken down while we read it. Somebody may bring it up again.
                Err(error) if error.is_absent() => {
                    if !rest(deadline) {
                        return Ok((status::QUIET, self.no_news()));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn took(&mut self, taken: Taken, ring: &RingName) -> Result<(c_int, News), Error> {
        let likeness = likeness_of(&taken);
        let item = handle::give(Item::new(taken, ring)?);
        let changed = self.likeness.as_ref() != Some(&likeness);
        self.likeness = Some(likeness);
        Ok((status::OK, News { item, format_changed: u32::from(changed), ..self.no_news() }))
    }

    fn no_news(&self) -> News {
        News { epoch: self.source.epoch(), ..NO_NEWS }
    }
}

fn likeness_of(taken: &Taken) -> Likeness {
    match taken {
        Taken::Frame(frame) => match &frame.meta().content {
            Content::Picture(Picture { width, height, format, colour, .. }) => {
                Likeness::Picture(*width, *height, *format, *colour)
            }
            Content::Tensor(tensor) => Likeness::Tensor(tensor.dtype, tensor.shape().to_vec()),
        },
        Taken::Packet(_, tracks) => Likeness::Tracks(std::sync::Arc::clone(tracks)),
        Taken::Record(_) => Likeness::Record,
    }
}

/// Sleeps before another look, no longer than until `deadline`; `false` when that is over.
fn rest(deadline: MonoNs) -> bool {
    let left = deadline.saturating_since(clock::mono());
    std::thread::sleep(left.min(RETRY));
    !left.is_zero()
}

/// # Safety
/// As in the header: `reader` NULL or attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_count(reader: *mut Reader) -> i64 {
    number(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        Ok(i64::try_from(reader.semaphore.count()).unwrap_or(i64::MAX))
    })
}

/// # Safety
/// As in the header: `reader` NULL or attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_wait(reader: *mut Reader, timeout_ns: i64) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        Ok(reader.wait_until(clock::mono() + input::timeout(timeout_ns)))
    })
}

/// # Safety
/// As in the header: `reader` NULL or attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_wait_until(reader: *mut Reader, mono_ns: u64) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        Ok(reader.wait_until(MonoNs(mono_ns)))
    })
}

/// # Safety
/// As in the header: `readers` that many, each attached, `ready` NULL or places for as many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_wait_any(
    readers: *const *mut Reader,
    count: u32,
    timeout_ns: i64,
    ready: *mut u8,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let readers = unsafe { input::slice("readers", readers, count.into()) }?;
        // SAFETY: by the caller's word.
        let looks = readers.iter().map(|reader| unsafe { handle::look(*reader) });
        let readers = looks.collect::<Result<Vec<&Reader>, Error>>()?;
        let all: Vec<&dyn Waitable> = readers.iter().map(|reader| &reader.semaphore as _).collect();
        let found = shmring::wait_any(&all, input::timeout(timeout_ns));
        for number in 0..readers.len() {
            let is_ready = u8::from(found.contains(&number));
            // SAFETY: by the caller's word NULL or so many places.
            unsafe { input::put(ready, number, is_ready) };
        }
        Ok(c_int::try_from(found.len()).unwrap_or(c_int::MAX))
    })
}

/// # Safety
/// As in the header: `reader` NULL or attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_fileno(reader: *mut Reader) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        let mut pollable = lock(&reader.pollable);
        if pollable.is_none() {
            *pollable = Some(reader.lock().source.pollable()?);
        }
        let descriptor = pollable.as_ref().map(|pollable| pollable.as_fd().as_raw_fd());
        Ok(descriptor.unwrap_or(status::E_IO))
    })
}

/// # Safety
/// As in the header: `reader` NULL or attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_clear(reader: *mut Reader) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        if let Some(pollable) = &*lock(&reader.pollable) {
            pollable.clear();
        }
        Ok(status::OK)
    })
}

/// # Safety
/// As in the header: `reader` NULL or attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_reader_json(reader: *mut Reader) -> *mut c_char {
    pointer(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        let mut row = row(&reader.project, &reader.ring)?;
        let state = reader.lock();
        row["source"] = json!(state.source.source_ring());
        row["reader"] = json!({
            "epoch": state.source.epoch(),
            "count": reader.semaphore.count(),
            "missed": state.missed,
            "live": state.source.writer_lives(),
        });
        text(&row)
    })
}

/// # Safety
/// As in the header: `project` NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_rings_json(project: *const c_char) -> *mut c_char {
    pointer(|| {
        // SAFETY: by the caller's word.
        let project = unsafe { input::text("project", project) }?;
        let projects = project::given(project)?.map_or_else(project::all, |given| vec![given]);
        let mut rows = Vec::new();
        for project in &projects {
            for ring in census::names(project) {
                rows.push(row(project, &ring)?);
            }
        }
        text(&Value::Array(rows))
    })
}

/// A row of the census, with its project.
fn row(project: &ProjectName, ring: &RingName) -> Result<Value, Error> {
    let status = census::status(project, ring, clock::mono());
    let mut row = serde_json::to_value(status).map_err(shmring::Error::from)?;
    row["project"] = json!(project);
    Ok(row)
}

fn text(value: &Value) -> Result<*mut c_char, Error> {
    // JSON writes a NUL as an escape.
    let text = CString::new(value.to_string());
    Ok(text.map_err(|error| Error::Bug(error.to_string()))?.into_raw())
}

/// # Safety
/// As in the header: NULL, or a text this library made, not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_free(text: *mut c_char) {
    quietly(|| {
        if !text.is_null() {
            // SAFETY: not NULL, so one of `text`'s by the caller's word, with the length it had.
            drop(unsafe { CString::from_raw(text) });
        }
    });
}
