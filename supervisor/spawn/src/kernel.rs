//! What the kernel tells only by a raw call: how exact its clock is, and which landlock it has.

use std::io;
use std::mem::MaybeUninit;

/// The clock as whoever disciplines it (NTP, PTP) has told the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockState {
    pub synchronized: bool,
    /// How far it may be off, in microseconds.
    pub error_us: u64,
}

/// adjtimex(2), only read.
pub fn clock_state() -> io::Result<ClockState> {
    let mut timex = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zero is a valid timex: plain numbers, and modes 0 changes nothing. The pointer is to
    // memory of that size that is ours.
    let state = unsafe { libc::adjtimex(timex.as_mut_ptr()) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed above, and filled in by the kernel since.
    let timex = unsafe { timex.assume_init() };
    Ok(ClockState {
        synchronized: timex.status & libc::STA_UNSYNC == 0,
        error_us: u64::try_from(timex.maxerror).unwrap_or(0),
    })
}

/// The version of landlock's interface; `None` where the kernel has none, or has it turned off.
pub fn landlock_version() -> Option<u32> {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call takes no rules (null, size 0) and only tells its version.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, CREATE_RULESET_VERSION)
    };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_read_and_not_set() {
        let first = clock_state().unwrap();
        assert_eq!(clock_state().unwrap().synchronized, first.synchronized);
    }
}
