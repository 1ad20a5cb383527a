//! Answers: what a call's error is to C, its text for this thread, and the fence no panic passes.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use protocol::name::{NameError, RingName};

use crate::abi::status;

/// What can go wrong in a call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{what} is NULL")]
    Null { what: &'static str },
    #[error("{what} is not UTF-8")]
    NotUtf8 { what: &'static str },
    #[error("{what} is {seen}, expected {expected}")]
    Value { what: &'static str, seen: u64, expected: &'static str },
    #[error("{name} is '{said}', expected latest, sequential, every N or essential SPAN")]
    Inherited { name: &'static str, said: String },
    #[error(
        "{what} says size {seen}, this library knows {known} bytes of it; SHMRING_INIT sets the size, \
         and a program that uses newer fields needs a newer library"
    )]
    Size { what: &'static str, seen: usize, known: usize },
    #[error("a picture of {width}x{height}, expected 1 to 65536 pixels a side and less than 4 GiB")]
    Side { width: u32, height: u32 },
    #[error("a tensor with a stride above 2 GiB; publish it in parts")]
    Shape,
    #[error("this is an item of {seen}, expected one of {expected}")]
    ItemKind { seen: &'static str, expected: &'static str },
    #[error("ring {ring}: it carries {seen}, this call is for {expected}")]
    RingKind { ring: RingName, seen: &'static str, expected: &'static str },
    #[error(
        "the picture is from {seen}, this ring's source is {expected}; name it in the writer's `source`"
    )]
    OtherSource { seen: String, expected: String },
    #[error("ring {ring}: its record {sequence} is none: {why}")]
    BadRecord { ring: RingName, sequence: u64, why: String },
    #[error(
        "this reader has no messages: it was attached without `messages`, or no topology runs this program"
    )]
    NoMessages,
    #[error("data_json is no JSON: {0}")]
    BadData(serde_json::Error),
    #[error(transparent)]
    Ring(#[from] shmring::Error),
    #[error("a bug in shmring, please report it: {0}")]
    Bug(String),
}

impl From<NameError> for Error {
    fn from(error: NameError) -> Self {
        Self::Ring(error.into())
    }
}

impl Error {
    fn status(&self) -> c_int {
        match self {
            Self::Null { .. }
            | Self::NotUtf8 { .. }
            | Self::Value { .. }
            | Self::Inherited { .. }
            | Self::NoMessages
            | Self::Shape
            | Self::Side { .. }
            | Self::Size { .. }
            | Self::OtherSource { .. } => status::E_ARGUMENT,
            Self::ItemKind { .. } | Self::RingKind { .. } => status::E_WRONG_KIND,
            Self::BadRecord { .. } | Self::BadData(_) => status::E_BAD_RECORD,
            Self::Ring(error) => of_ring(error),
            Self::Bug(_) => status::E_BUG,
        }
    }
}

fn of_ring(error: &shmring::Error) -> c_int {
    use shmring::Error as E;
    match error {
        E::NoSuchRing { .. } | E::NoProject { .. } => status::E_NO_RING,
        E::Ambiguous { .. } => status::E_AMBIGUOUS,
        E::WrongKind { .. } => status::E_WRONG_KIND,
        E::NoPlace { .. } => status::E_NO_PLACE,
        E::NoLease { .. } => status::E_NO_LEASE,
        E::NoFreeSlot { .. } => status::E_NO_SLOT,
        E::BadPicture { .. } | E::PacketTooLarge { .. } | E::StreamTooLarge { .. } => {
            status::E_TOO_LARGE
        }
        E::HasWriter { .. } => status::E_HAS_WRITER,
        E::Denied { .. } | E::GroupRefused { .. } => status::E_DENIED,
        E::NoSpace { .. } => status::E_NO_SPACE,
        E::Layout { .. } => status::E_LAYOUT,
        E::Damaged { .. } => status::E_DAMAGED,
        E::Record(_) => status::E_BAD_RECORD,
        E::Forked { .. } => status::E_FORKED,
        E::Name(_) | E::TooManyReaders { .. } | E::TooManySlots { .. } | E::NotOnLoan { .. } => {
            status::E_ARGUMENT
        }
        // What the system refused; and what the Rust crate tells apart and C need not.
        _ => status::E_IO,
    }
}

thread_local! {
    static LAST: RefCell<(c_int, CString)> = RefCell::default();
    /// Whether this thread is inside a call.
    static IS_FENCED: Cell<bool> = const { Cell::new(false) };
    /// The last panic of a call.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs a call's body and makes its answer one for C.
pub(crate) fn answer(body: impl FnOnce() -> Result<c_int, Error>) -> c_int {
    fenced(body).unwrap_or_else(|error| error.status())
}

/// As [`answer`], for calls that give a number.
pub(crate) fn number(body: impl FnOnce() -> Result<i64, Error>) -> i64 {
    fenced(body).unwrap_or_else(|error| i64::from(error.status()))
}

/// As [`answer`], for calls that give a pointer, NULL after an error.
pub(crate) fn pointer<T>(body: impl FnOnce() -> Result<*mut T, Error>) -> *mut T {
    fenced(body).unwrap_or(std::ptr::null_mut())
}

/// As [`answer`], for calls that only end something.
pub(crate) fn quietly(body: impl FnOnce()) {
    let _ = fenced(|| {
        body();
        Ok(())
    });
}

/// Runs `body`; its error, and a panic, becomes this thread's last. Handles stay whole after a panic: what
/// they guard is locked by mutexes whose poison is looked past, as in the Rust crate.
fn fenced<T>(body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    hear_panics();
    IS_FENCED.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(body));
    IS_FENCED.set(false);
    let outcome = outcome.unwrap_or_else(|payload| {
        // Dropping a payload may panic again, outside of any fence.
        std::mem::forget(payload);
        Err(Error::Bug(PANIC.take()))
    });
    if let Err(error) = &outcome {
        remember(error);
    }
    outcome
}

/// A panic inside a call is kept for its answer, with its place, instead of printed. Others, of a program in
/// Rust that this library is linked into, go where they went.
fn hear_panics() {
    static HEARD: Once = Once::new();
    HEARD.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if IS_FENCED.get() {
                PANIC.set(panic.to_string().replace('\n', " "));
            } else {
                before(panic);
            }
        }));
    });
}

fn remember(error: &Error) {
    let text = CString::new(error.to_string().replace('\0', "?")).unwrap_or_default();
    // A thread on its way out has no last error any more.
    let _ = LAST.try_with(|last| last.replace((error.status(), text)));
}

#[unsafe(no_mangle)]
pub extern "C" fn shmring_last_error() -> *const c_char {
    let last = LAST.try_with(|last| last.borrow().1.as_ptr());
    last.unwrap_or(c"".as_ptr())
}

#[unsafe(no_mangle)]
pub extern "C" fn shmring_last_status() -> c_int {
    LAST.try_with(|last| last.borrow().0).unwrap_or(status::OK)
}

#[unsafe(no_mangle)]
pub extern "C" fn shmring_status_name(status: c_int) -> *const c_char {
    let known = status::ALL.iter().find(|(number, _)| *number == status);
    known.map_or(c"unknown", |(_, name)| *name as &CStr).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_answer_with_its_words() {
        let status = answer(|| panic!("slot {} is on the moon", 7));
        assert_eq!(status, status::E_BUG);
        // SAFETY: the text stays until this thread's next error.
        let text = unsafe { CStr::from_ptr(shmring_last_error()) }.to_str().unwrap();
        assert!(text.contains("slot 7 is on the moon") && text.contains("error.rs:"), "{text}");
    }
}
