//! What a detached project says, kept within bounds: its directory lies in memory as a rule.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

/// Of the log, and of what is kept of what came before it.
const MAX_BYTES: u64 = 8 << 20;

/// Moves what was said to `log.1`, once it is much. Who says more appends to the same file as before; what it says
/// between the two steps is lost.
pub(crate) fn keep_bounded(log: &Path) -> io::Result<()> {
    keep_within(MAX_BYTES, log)
}

fn keep_within(max_bytes: u64, log: &Path) -> io::Result<()> {
    let opened = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(log);
    let mut said = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let bytes = said.metadata()?.len();
    if bytes <= max_bytes {
        return Ok(());
    }
    let mut before = OpenOptions::new();
    before.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    // One of an earlier version may be of any size.
    said.seek(SeekFrom::Start(bytes.saturating_sub(max_bytes)))?;
    let copied = before
        .open(log.with_extension("1"))
        .and_then(|mut before| io::copy(&mut (&said).take(max_bytes), &mut before));
    // Also where there was no room for the copy: then there is some again.
    said.set_len(0)?;
    copied.map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_said_goes_on_in_the_same_file_with_the_last_of_it_beside() {
        let dir = std::env::temp_dir().join(format!("framevisor-own-log-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let log = dir.join("log");
        keep_within(10, &log).unwrap();
        let mut said = OpenOptions::new().append(true).create(true).open(&log).unwrap();
        let mut seen = Vec::new();
        for line in ["0123456789", "a", "b", "0123456789", "c"] {
            said.write_all(line.as_bytes()).unwrap();
            keep_within(10, &log).unwrap();
            let before = fs::read_to_string(dir.join("log.1")).unwrap_or_default();
            seen.push((before, fs::read_to_string(&log).unwrap()));
        }
        fs::remove_dir_all(&dir).unwrap();
        let seen: Vec<_> = seen.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("", "0123456789"),
                ("123456789a", ""),
                ("123456789a", "b"),
                ("0123456789", ""),
                ("0123456789", "c"),
            ]
        );
    }
}
