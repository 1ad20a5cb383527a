//! A wait for one descriptor, by both ends of an adoption.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Whether there is something to read, or an end, after at most `within`. A signal ends the wait.
pub fn is_readable(fd: impl AsFd, within: Duration) -> bool {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    // Whole milliseconds: rounded up, or a short wait would be none.
    let ms = within.as_nanos().div_ceil(1_000_000);
    let timeout = i32::try_from(ms).ok().and_then(|ms| PollTimeout::try_from(ms).ok());
    poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX)) == Ok(1)
}

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};

    use super::*;

    #[test]
    fn a_pipe_is_readable_when_something_is_in_it_and_at_its_end() {
        let (reader, mut writer) = pipe().unwrap();
        assert!(!is_readable(&reader, Duration::ZERO));
        assert!(!is_readable(&reader, Duration::from_micros(1)));
        writer.write_all(b"x").unwrap();
        assert!(is_readable(&reader, Duration::MAX));
        let (reader, writer) = pipe().unwrap();
        drop(writer);
        assert!(is_readable(&reader, Duration::MAX));
    }
}
