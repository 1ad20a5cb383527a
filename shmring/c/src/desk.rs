//! Messages to a worker, among the items of a ring it reads.

use std::ffi::{c_char, c_int};
use std::sync::{Arc, Mutex, PoisonError};

use protocol::control::Condition;
use protocol::name::RingName;
use serde_json::Value;
use shmring::link::{Link, Message, Told};

use crate::abi::{News, condition, status};
use crate::error::{Error, answer};
use crate::handle;
use crate::input;
use crate::json;
use crate::reader::{RETRY, Reader};

/// The link of this program, taken by the first reader that wants messages.
static LINK: Mutex<Option<Arc<Link>>> = Mutex::new(None);

/// `None` for a program that no topology runs. From here on the worker counts as ready.
pub(crate) fn open() -> Result<Option<Arc<Link>>, Error> {
    let mut held = LINK.lock().unwrap_or_else(PoisonError::into_inner);
    if held.is_none() {
        let Some(link) = Link::take()? else { return Ok(None) };
        link.ready()?;
        *held = Some(Arc::new(link));
    }
    Ok(held.clone())
}

/// While a ring is waited for: messages are told to come later. `false` once the worker is told to stop.
pub(crate) fn turn_away(link: &Link, ring: &RingName) -> Result<bool, Error> {
    match link.next(RETRY)? {
        Some(Told::Stop { .. }) => return Ok(false),
        Some(Told::Message(message)) => {
            let why = format!("ring {ring} is not there yet; try again once it is");
            link.reply(message.number, Err(why))?;
        }
        None => {}
    }
    Ok(true)
}

/// What was said, as news of the reader.
pub(crate) fn news(told: Told, none: News) -> Result<(c_int, News), Error> {
    Ok(match told {
        Told::Stop { .. } => (status::STOP, none),
        Told::Message(Message { number, data }) => {
            let data_json = json::text(&data)?;
            (status::MESSAGE, News { message: number, data_json, ..none })
        }
    })
}

/// # Safety
/// As in the header: `reader` NULL or attached, `data_json` NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_reply(
    reader: *mut Reader,
    message: u64,
    data_json: *const c_char,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        // SAFETY: by the caller's word.
        let data = unsafe { input::text("data_json", data_json) }?;
        let data = data.map_or(Ok(Value::Null), serde_json::from_str).map_err(Error::BadData)?;
        reader.link.as_ref().ok_or(Error::NoMessages)?.reply(message, Ok(data))?;
        Ok(status::OK)
    })
}

/// # Safety
/// As in the header: `reader` NULL or attached, `why` NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_refuse(
    reader: *mut Reader,
    message: u64,
    why: *const c_char,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        // SAFETY: by the caller's word.
        let why = unsafe { input::text("why", why) }?.unwrap_or("it cannot be done");
        let link = reader.link.as_ref().ok_or(Error::NoMessages)?;
        link.reply(message, Err(why.to_owned()))?;
        Ok(status::OK)
    })
}

/// # Safety
/// As in the header: `reader` NULL or attached, `why` NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_tell_condition(
    reader: *mut Reader,
    condition: u32,
    why: *const c_char,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        // SAFETY: by the caller's word.
        let why = unsafe { input::text("why", why) }?.unwrap_or_default();
        let condition = match condition {
            condition::FLOWING => Condition::Flowing,
            condition::WAITING => Condition::Waiting,
            condition::DEGRADED => Condition::Degraded,
            condition::PARKED => Condition::Parked,
            seen => {
                let expected = "an enum shmring_condition";
                return Err(Error::Value { what: "condition", seen: seen.into(), expected });
            }
        };
        // By hand nobody is told.
        if let Some(link) = &reader.link {
            link.condition(condition, why)?;
        }
        Ok(status::OK)
    })
}
