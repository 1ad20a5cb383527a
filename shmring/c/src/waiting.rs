//! Waiting for readers: their semaphores and descriptors, which need not wait for a reader that waits.

use std::ffi::c_int;

use protocol::time::MonoNs;
use shmring::{Waitable, clock};

use crate::abi::status;
use crate::error::{Error, answer, number};
use crate::handle;
use crate::input;
use crate::reader::Reader;

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
        Ok(wait_until(reader, clock::mono() + input::timeout(timeout_ns)))
    })
}

/// # Safety
/// As in the header: `reader` NULL or attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_wait_until(reader: *mut Reader, mono_ns: u64) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        Ok(wait_until(reader, MonoNs(mono_ns)))
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
        reader.descriptor()
    })
}

/// # Safety
/// As in the header: `reader` NULL or attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_clear(reader: *mut Reader) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        reader.pollable()?.clear();
        Ok(status::OK)
    })
}

fn wait_until(reader: &Reader, deadline: MonoNs) -> c_int {
    if reader.semaphore.wait_until(deadline) { status::OK } else { status::QUIET }
}
