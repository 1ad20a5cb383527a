//! Attaching, and being told what comes next.

use std::ffi::{c_char, c_int};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::control::Condition;
use protocol::name::{ProjectName, RingName};
use protocol::stream::{Colour, DType, PixelFormat, Track};
use protocol::time::MonoNs;
use serde_json::{Value, json};
use shmring::fork::Birth;
use shmring::link::Link;
use shmring::{Content, Next, Picture, Pollable, Semaphore, clock, project};

use crate::abi::{self, AttachOptions, News, REASON_BYTES, policy, start, status};
use crate::desk;
use crate::error::{Error, answer, quietly};
use crate::handle::{self, Handle};
use crate::input;
use crate::item::Item;
use crate::source::{Source, Taken};
use crate::wish::{Wish, default_wait};

/// How often an absent ring is looked for, and one that has ended or gone is looked at again: they have no
/// bell to wait for.
pub(crate) const RETRY: Duration = Duration::from_millis(20);

/// A place among a ring's readers.
#[derive(Debug)]
pub struct Reader {
    birth: Birth,
    pub(crate) project: ProjectName,
    pub(crate) ring: RingName,
    /// Apart from the state, so that one thread may wait while another one reads.
    pub(crate) semaphore: Semaphore,
    state: Mutex<State>,
    /// Where messages come from, if they are wanted and there is anybody to send some.
    pub(crate) link: Option<Arc<Link>>,
    /// Made when it is first asked for.
    pollable: Mutex<Option<Arc<Pollable>>>,
    /// The same, with the messages, where there may be some.
    joined: Mutex<Option<OwnedFd>>,
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
    /// There is no bell to wait for: the writer has ended, or the ring is gone.
    is_silent: bool,
}

/// What one look at the ring brought.
struct Look {
    status: c_int,
    news: News,
    /// Nothing, or what was told before.
    is_old: bool,
    is_silent: bool,
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
        let link = if options.messages == 1 { desk::open()? } else { None };
        match attach(project, ring, &wish, wait, link)? {
            Some(reader) => {
                place.write(handle::give(reader));
                Ok(status::OK)
            }
            None => Ok(status::STOP),
        }
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
    messages: 0,
};

/// `None` is the default.
fn wait_of(wait_ns: i64) -> Option<Duration> {
    (wait_ns != 0).then(|| input::timeout(wait_ns))
}

/// `None` when the worker is told to stop before its ring is there.
fn attach(
    project: Option<&str>,
    ring: RingName,
    wish: &Wish,
    wait: Duration,
    link: Option<Arc<Link>>,
) -> Result<Option<Reader>, Error> {
    let until = clock::mono() + wait;
    let mut waits = false;
    loop {
        let found = project::having(project, &ring).and_then(|project| {
            let source = Source::attach(&project, &ring, wish)?;
            Ok((project, source))
        });
        match found {
            Ok((project, source)) => {
                if let Some(link) = link.as_ref().filter(|_| waits) {
                    link.condition(Condition::Flowing, "")?;
                }
                return Ok(Some(Reader::new(project, ring, source, link)));
            }
            Err(error) if error.is_absent() && clock::mono() < until => {
                let Some(link) = &link else {
                    std::thread::sleep(RETRY);
                    continue;
                };
                if !waits {
                    let why = format!("ring {ring} is not there yet");
                    link.condition(Condition::Waiting, &why)?;
                    waits = true;
                }
                if !desk::turn_away(link, &ring)? {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

impl Reader {
    fn new(project: ProjectName, ring: RingName, source: Source, link: Option<Arc<Link>>) -> Self {
        let (birth, semaphore) = (Birth::here(), source.semaphore());
        let state = State { source, likeness: None, missed: 0, end_told: false, is_silent: false };
        let (pollable, joined) = (Mutex::default(), Mutex::default());
        Self { birth, project, ring, semaphore, state: Mutex::new(state), link, pollable, joined }
    }

    /// What comes next: an item, a message, or what there is to know instead.
    fn next(&self, timeout: Duration) -> Result<(c_int, News), Error> {
        let Some(link) = &self.link else { return self.lock().next(&self.ring, timeout) };
        let deadline = clock::mono() + timeout;
        loop {
            if let Some(told) = link.next(Duration::ZERO)? {
                return desk::news(told, self.lock().no_news());
            }
            let Look { status, news, is_old, is_silent } = self.look()?;
            let left = deadline.saturating_since(clock::mono());
            if !is_old || left.is_zero() {
                return Ok((status, news));
            }
            if is_silent {
                link.wait(None, left.min(RETRY))?;
            } else {
                link.wait(Some(self.pollable()?.as_fd()), left)?;
            }
        }
    }

    fn look(&self) -> Result<Look, Error> {
        let mut state = self.lock();
        let was_told = state.end_told;
        let (status, news) = state.next(&self.ring, Duration::ZERO)?;
        let is_old = status == status::QUIET || (status == status::ENDED && was_told);
        Ok(Look { status, news, is_old, is_silent: state.is_silent })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// What tells of items, made when it is first asked for.
    pub(crate) fn pollable(&self) -> Result<Arc<Pollable>, Error> {
        let mut held = lock(&self.pollable);
        if let Some(pollable) = held.as_ref() {
            return Ok(Arc::clone(pollable));
        }
        let made = Arc::new(self.lock().source.pollable()?);
        Ok(Arc::clone(held.insert(made)))
    }

    /// The number of a descriptor that tells of items, and of messages where there may be some.
    pub(crate) fn descriptor(&self) -> Result<RawFd, Error> {
        let pollable = self.pollable()?;
        let Some(link) = &self.link else { return Ok(pollable.as_fd().as_raw_fd()) };
        let mut held = lock(&self.joined);
        if let Some(joined) = held.as_ref() {
            return Ok(joined.as_raw_fd());
        }
        Ok(held.insert(link.joined(&*pollable)?).as_raw_fd())
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
        let (status, news) = reader.next(input::timeout(timeout_ns))?;
        place.write(news);
        Ok(status)
    })
}

const NO_NEWS: News = News {
    item: std::ptr::null_mut(),
    epoch: 0,
    missed: 0,
    format_changed: 0,
    reserved: 0,
    message: 0,
    data_json: std::ptr::null_mut(),
    more_reserved: [0; 4],
    reason: [0; REASON_BYTES],
};

impl State {
    fn next(&mut self, ring: &RingName, timeout: Duration) -> Result<(c_int, News), Error> {
        let deadline = clock::mono() + timeout;
        self.is_silent = false;
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
                    self.is_silent = true;
                    let is_told = std::mem::replace(&mut self.end_told, true);
                    if !is_told || !rest(deadline) {
                        return Ok((status::ENDED, self.no_news()));
                    }
                }
                // Taken down while we read it. Somebody may bring it up again.
                Err(error) if error.is_absent() => {
                    self.is_silent = true;
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
