//! Taking inherited descriptors: an environment variable names the number, once.

use std::collections::BTreeSet;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

/// Why an inherited descriptor cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    #[error("{variable} is not set: this program is started by framevisor, not by hand")]
    Missing { variable: String },
    #[error("{variable}={seen}: expected the number of an inherited descriptor, 3 or above")]
    Number { variable: String, seen: String },
    #[error("{variable}={number}: no such descriptor is inherited")]
    Closed { variable: String, number: RawFd },
    #[error("{variable}={number}: this program opened that descriptor itself")]
    Own { variable: String, number: RawFd },
    #[error("{variable}={number}: taken before")]
    Taken { variable: String, number: RawFd },
}

/// Numbers handed out already: an `OwnedFd` must be the only one of its number.
static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

/// The one descriptor whose number `variable` holds; from now on close-on-exec.
pub fn take_inherited(variable: &str) -> Result<OwnedFd, InheritError> {
    let text = value_of(variable)?;
    take(variable, &text)
}

/// The descriptors of a comma list; none when the variable is empty or not set.
pub fn take_inherited_list(variable: &str) -> Result<Vec<OwnedFd>, InheritError> {
    match value_of(variable) {
        Err(InheritError::Missing { .. }) => Ok(Vec::new()),
        Err(other) => Err(other),
        Ok(text) => text
            .split(',')
            .filter(|number| !number.is_empty())
            .map(|number| take(variable, number))
            .collect(),
    }
}

/// One that another process of this program has left open for it, and told the number of some other way:
/// `whence` names that in errors. From now on close-on-exec.
pub fn take_inherited_number(whence: &str, number: RawFd) -> Result<OwnedFd, InheritError> {
    take(whence, &number.to_string())
}

fn value_of(variable: &str) -> Result<String, InheritError> {
    match std::env::var(variable) {
        Ok(text) => Ok(text),
        Err(std::env::VarError::NotPresent) => {
            Err(InheritError::Missing { variable: variable.to_owned() })
        }
        Err(std::env::VarError::NotUnicode(seen)) => Err(InheritError::Number {
            variable: variable.to_owned(),
            seen: seen.to_string_lossy().into_owned(),
        }),
    }
}

fn take(variable: &str, text: &str) -> Result<OwnedFd, InheritError> {
    let variable = || variable.to_owned();
    let number: RawFd = text
        .parse()
        .ok()
        .filter(|number| *number > libc::STDERR_FILENO)
        .ok_or_else(|| InheritError::Number { variable: variable(), seen: text.to_owned() })?;
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.contains(&number) {
        return Err(InheritError::Taken { variable: variable(), number });
    }
    match descriptor_flags(number) {
        None => Err(InheritError::Closed { variable: variable(), number }),
        // What crossed exec cannot carry the flag, and whatever Rust opens does.
        Some(flags) if flags & libc::FD_CLOEXEC != 0 => {
            Err(InheritError::Own { variable: variable(), number })
        }
        Some(_) => {
            taken.insert(number);
            close_on_exec(number);
            // SAFETY: the number is open (checked above), was inherited and not opened by this
            // program (no close-on-exec flag), and TAKEN keeps a second owner from being made.
            Ok(unsafe { OwnedFd::from_raw_fd(number) })
        }
    }
}

/// `None` when the number is not open.
fn descriptor_flags(number: RawFd) -> Option<i32> {
    // SAFETY: F_GETFD reads a flag; any number is allowed, a closed one gives EBADF.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    (flags >= 0).then_some(flags)
}

fn close_on_exec(number: RawFd) {
    // SAFETY: F_SETFD changes a flag of a descriptor that `take` has just found open; it takes no
    // pointer. Its only error is EBADF.
    unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, IntoRawFd};

    /// A descriptor as it is after exec: open, not owned by anybody, without close-on-exec.
    fn as_inherited() -> RawFd {
        let file = std::fs::File::open("/dev/null").unwrap();
        let number = nix::unistd::dup(&file).unwrap().into_raw_fd();
        assert_eq!(descriptor_flags(number), Some(0));
        number
    }

    #[test]
    fn a_descriptor_is_handed_out_once_and_closes_on_exec() {
        let number = as_inherited();
        let owned = take("X", &number.to_string()).unwrap();
        assert_eq!(descriptor_flags(number), Some(libc::FD_CLOEXEC));
        assert!(matches!(take("X", &number.to_string()), Err(InheritError::Taken { .. })));
        assert_eq!(owned.as_raw_fd(), number);
    }

    #[test]
    fn what_is_no_inherited_descriptor_is_refused() {
        let own = std::fs::File::open("/dev/null").unwrap();
        for bad in ["", "x", "-1", "0", "2", "3x", "99999999999"] {
            let refused = take("X", bad);
            assert!(matches!(refused, Err(InheritError::Number { .. })), "{bad}");
        }
        assert!(matches!(take("X", "1000000"), Err(InheritError::Closed { .. })));
        let text = own.as_raw_fd().to_string();
        assert!(matches!(take("X", &text), Err(InheritError::Own { .. })));
    }

    #[test]
    fn a_variable_that_is_not_set_is_an_empty_list() {
        assert!(take_inherited_list("FRAMEVISOR_NOT_SET").unwrap().is_empty());
        assert!(matches!(take_inherited("FRAMEVISOR_NOT_SET"), Err(InheritError::Missing { .. })));
    }
}
