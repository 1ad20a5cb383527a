//! Attaching, and being told what comes next.

use std::ffi::{c_char, c_int};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::name::{ProjectName, RingName};
use protocol::stream::{Colour, DType, PixelFormat, Track};
use protocol::time::MonoNs;
use serde_json::{Value, json};
use shmring::fork::Birth;
use shmring::{Content, Next, Picture, Pollable, Semaphore, clock, project};

use crate::abi::{self, AttachOptions, News, REASON_BYTES, policy, start, status};
use crate::error::{Error, answer, quietly};
use crate::handle::{self, Handle};
use crate::input;
use crate::item::Item;
use crate::source::{Source, Taken};
use crate::wish::{Wish, default_wait};

/// How often an absent ring is looked for, and one that has ended or gone is looked at again: they have no
/// bell to wait for.
const RETRY: Duration = Duration::from_millis(20);

/// A place among a ring's readers.
#[derive(Debug)]
pub struct Reader {
    birth: Birth,
    pub(crate) project: ProjectName,
    pub(crate) ring: RingName,
    /// Apart from the state, so that one thread may wait while another one reads.
    pub(crate) semaphore: Semaphore,
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
        let options = if options.is_null() {
            DEFAULTS
        } else {
            // SAFETY: not NULL, and a struct with its size by the caller's word.
            unsafe { input::sized(options) }?
        };
        // SAFETY: by the caller's word.
        let name = unsafe { input::text("options.reader", options.reader) }?;
        let wish = Wish::of(&options, name, ring.kind())?;
        let wait = wait_of(options.wait_ns).unwrap_or_else(default_wait);
        place.write(handle::give(attach(project, ring, &wish, wait)?));
        Ok(status::OK)
    })
}

/// What no options at all stand for.
const DEFAULTS: AttachOptions = AttachOptions {
    size: 0,
    policy: policy::DEFAULT,
    reader: std::ptr::null(),
    wait_ns: 0,
    quota: 0,
    max_fps: 0,
    every: 0,
    start: start::DEFAULT,
    after_epoch: 0,
    after_sequence: 0,
    key_only: 0,
    reserved: 0,
};

/// `None` is the default.
fn wait_of(wait_ns: i64) -> Option<Duration> {
    (wait_ns != 0).then(|| input::timeout(wait_ns))
}

fn attach(
    project: Option<&str>,
    ring: RingName,
    wish: &Wish,
    wait: Duration,
) -> Result<Reader, Error> {
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

    /// The descriptor, made when it is first asked for.
    pub(crate) fn with_pollable<T>(&self, look: impl FnOnce(&Pollable) -> T) -> Result<T, Error> {
        let mut held = lock(&self.pollable);
        if held.is_none() {
            *held = Some(self.lock().source.pollable()?);
        }
        held.as_ref().map(look).ok_or_else(|| Error::Bug("no pollable".to_owned()))
    }

    /// The ring this one is made from, and what is known of this reader.
    pub(crate) fn facts(&self) -> (Value, Value) {
        let state = self.lock();
        let own = json!({
            "epoch": state.source.epoch(),
            "count": self.semaphore.count(),
            "missed": state.missed,
            "live": state.source.writer_lives(),
        });
        (json!(state.source.source_ring()), own)
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
                    // A damaged ring may say anything.
                    self.missed = self.missed.saturating_add(missed);
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
