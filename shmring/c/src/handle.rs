//! What C holds by its address.

use shmring::fork::Birth;

use crate::error::Error;
use crate::input;

/// A value with an owner: the process it was made in.
pub(crate) trait Handle {
    /// For the text that says it is NULL.
    const WHAT: &'static str;

    fn birth(&self) -> Birth;
}

/// Hands a value to C, until [`take`].
pub(crate) fn give<T: Handle>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// The value C holds, unless this is a forked child.
///
/// # Safety
/// NULL, or from [`give`] and not taken back for as long as `'a`.
pub(crate) unsafe fn look<'a, T: Handle>(pointer: *const T) -> Result<&'a T, Error> {
    // SAFETY: NULL or from `give`, by the caller's word.
    let value = unsafe { input::reference(T::WHAT, pointer) }?;
    value.birth().check()?;
    Ok(value)
}

/// Takes a value back; [`Error::Ring`] in a forked child, where it stays: its parent's locks and leases
/// would end with it.
///
/// # Safety
/// NULL, or from [`give`] and not taken back before, nor looked at from here on.
pub(crate) unsafe fn take<T: Handle>(pointer: *mut T) -> Result<Box<T>, Error> {
    // SAFETY: as the caller says.
    unsafe { look(pointer) }?;
    // SAFETY: not NULL, so from `give`, whose box nobody else has, by the caller's word.
    Ok(unsafe { Box::from_raw(pointer) })
}

/// Ends a value; NULL and a forked child's are left alone.
///
/// # Safety
/// As [`take`].
pub(crate) unsafe fn end<T: Handle>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: as the caller says. A forked child's copy is none of its business, and no error.
        drop(unsafe { take(pointer) });
    }
}
