//! What C hands in, made into values. Pointers are checked for NULL and texts for UTF-8; that they lead
//! to what they should is the caller's word.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::time::Duration;

use crate::abi::{AttachOptions, Frame, Packet, Record, WriterOptions};
use crate::error::Error;

/// A text, or `None` for NULL.
///
/// # Safety
/// NULL, or a NUL-terminated text that stays as it is for `'a`.
pub(crate) unsafe fn text<'a>(
    what: &'static str,
    pointer: *const c_char,
) -> Result<Option<&'a str>, Error> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, so by the caller's word a text that ends, and stays for 'a.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map(Some).map_err(|_| Error::NotUtf8 { what })
}

/// What a pointer leads to.
///
/// # Safety
/// NULL, or leads to a value that stays as it is for `'a`.
pub(crate) unsafe fn reference<'a, T>(
    what: &'static str,
    pointer: *const T,
) -> Result<&'a T, Error> {
    // SAFETY: NULL or a value that stays, by the caller's word.
    unsafe { pointer.as_ref() }.ok_or(Error::Null { what })
}

/// The place an answer goes to.
///
/// # Safety
/// NULL, or leads to a place for a T that is the callee's alone for `'a`.
pub(crate) unsafe fn place<'a, T>(
    what: &'static str,
    pointer: *mut T,
) -> Result<&'a mut MaybeUninit<T>, Error> {
    // SAFETY: NULL or a place for a T, by the caller's word, of whose bytes nothing is believed.
    unsafe { pointer.cast::<MaybeUninit<T>>().as_mut() }.ok_or(Error::Null { what })
}

/// Writes one of several answers; NULL is fine when they are not wanted.
///
/// # Safety
/// NULL, or leads to places for more than `number` of them.
pub(crate) unsafe fn put<T>(places: *mut T, number: usize, value: T) {
    if !places.is_null() {
        // SAFETY: inside of what the caller says is there.
        let place = unsafe { places.add(number) };
        // SAFETY: as above.
        unsafe { place.write(value) };
    }
}

/// `count` values behind a pointer; NULL is fine for none.
///
/// # Safety
/// NULL, or leads to that many values that stay as they are for `'a`.
pub(crate) unsafe fn slice<'a, T>(
    what: &'static str,
    pointer: *const T,
    count: u64,
) -> Result<&'a [T], Error> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Error::Null { what });
    }
    let count = usize::try_from(count).ok().filter(|count| {
        count.checked_mul(size_of::<T>()).is_some_and(|bytes| isize::try_from(bytes).is_ok())
    });
    let Some(count) = count else {
        return Err(Error::Value { what, seen: u64::MAX, expected: "a length of this machine" });
    };
    // SAFETY: not NULL, by the caller's word so many values that stay for 'a, and no more bytes than
    // any object has.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count) })
}

/// Structs that C fills in: plain numbers and pointers, the first a u32 with the struct's size.
///
/// # Safety
/// All bytes zero is a value, and so is any bytes a C program of the same header can leave there; the
/// first field is the size, a u32.
pub(crate) unsafe trait Sized32: Copy {
    const WHAT: &'static str;
}

// SAFETY: plain numbers and pointers, size first.
unsafe impl Sized32 for AttachOptions {
    const WHAT: &'static str = "struct shmring_attach_options";
}
// SAFETY: as above.
unsafe impl Sized32 for WriterOptions {
    const WHAT: &'static str = "struct shmring_writer_options";
}
// SAFETY: as above.
unsafe impl Sized32 for Frame {
    const WHAT: &'static str = "struct shmring_frame";
}
// SAFETY: as above.
unsafe impl Sized32 for Packet {
    const WHAT: &'static str = "struct shmring_packet";
}
// SAFETY: as above.
unsafe impl Sized32 for Record {
    const WHAT: &'static str = "struct shmring_record";
}

/// A struct with its size: what an older program left out is 0, and what a newer one adds must be.
///
/// # Safety
/// NULL, or leads to as many readable bytes as its first u32 says.
pub(crate) unsafe fn sized<T: Sized32>(pointer: *const T) -> Result<T, Error> {
    if pointer.is_null() {
        return Err(Error::Null { what: T::WHAT });
    }
    // SAFETY: not NULL, and each of these structs begins with its size.
    let seen = unsafe { pointer.cast::<u32>().read() } as usize;
    let known = size_of::<T>();
    if seen < size_of::<u32>() {
        return Err(Error::Size { what: T::WHAT, seen, known });
    }
    // SAFETY: as many bytes as it says, by the caller's word.
    let bytes = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>(), seen) };
    if bytes.iter().skip(known).any(|byte| *byte != 0) {
        return Err(Error::Size { what: T::WHAT, seen, known });
    }
    let mut value = MaybeUninit::<T>::zeroed();
    let common = seen.min(known);
    // SAFETY: both are at least so long, and the local one is apart from what C gave.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), value.as_mut_ptr().cast(), common) };
    // SAFETY: zeros, and over them what a C program left there: a value by `Sized32`.
    Ok(unsafe { value.assume_init() })
}

/// The size a struct tells of itself.
pub(crate) fn size_of_u32<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}

/// A timeout: below 0 is for ever.
pub(crate) fn timeout(ns: i64) -> Duration {
    u64::try_from(ns).map_or(Duration::MAX, Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(size: u32) -> AttachOptions {
        AttachOptions {
            size,
            policy: 1,
            reader: std::ptr::null(),
            wait_ns: 0,
            quota: 7,
            max_fps: 0,
            every: 0,
            start: 0,
            after_epoch: 0,
            after_sequence: 9,
            key_only: 0,
            messages: 0,
        }
    }

    #[test]
    fn an_older_programs_struct_has_defaults_where_it_ends() {
        let older = options(std::mem::offset_of!(AttachOptions, max_fps).try_into().unwrap());
        // SAFETY: it is longer than its size says.
        let read = unsafe { sized(&raw const older) }.unwrap();
        assert_eq!((read.policy, read.quota, read.after_sequence), (1, 7, 0));
    }

    #[test]
    fn a_newer_programs_struct_may_say_nothing_that_is_not_known_here() {
        #[repr(C)]
        struct Newer {
            known: AttachOptions,
            more: u64,
        }
        let mut newer = Newer { known: options(size_of_u32::<Newer>()), more: 0 };
        // SAFETY: it is as long as its size says.
        let read = unsafe { sized((&raw const newer).cast::<AttachOptions>()) }.unwrap();
        assert_eq!(read.after_sequence, 9);
        newer.more = 1;
        // SAFETY: as above.
        let refused = unsafe { sized((&raw const newer).cast::<AttachOptions>()) }.unwrap_err();
        assert!(refused.to_string().contains("newer library"), "{refused}");
    }

    #[test]
    fn a_struct_without_its_size_is_refused() {
        let unset = options(0);
        // SAFETY: its size says 0 bytes.
        let refused = unsafe { sized(&raw const unset) }.unwrap_err();
        assert!(refused.to_string().contains("SHMRING_INIT"), "{refused}");
    }
}
