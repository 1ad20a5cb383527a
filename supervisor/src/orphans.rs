//! Children of this process, its own and those it inherited as a subreaper.

use std::fs;
use std::io;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Every child of this process: running ones and zombies.
pub(crate) fn children() -> io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for task in fs::read_dir("/proc/self/task")? {
        match fs::read_to_string(task?.path().join("children")) {
            Ok(text) => {
                children.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()))
            }
            // A kernel without CONFIG_PROC_CHILDREN; a thread that has just ended is no reason.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return children_by_scan(),
            Err(error) => return Err(error),
        }
    }
    Ok(children)
}

/// Looks at every process of the machine for its parent.
fn children_by_scan() -> io::Result<Vec<u32>> {
    let me = std::process::id().to_string();
    let child = |entry: io::Result<fs::DirEntry>| {
        let pid = entry.ok()?.file_name().to_str()?.parse::<u32>().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        (parent_of(&stat)? == me).then_some(pid)
    };
    Ok(fs::read_dir("/proc")?.filter_map(child).collect())
}

/// Fields follow the command in parentheses, which may itself hold spaces and parentheses.
fn parent_of(stat: &str) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)
}

/// Whether there is such a process that has not ended; nobody may have reaped one that has.
pub(crate) fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
    let state = stat.as_deref().and_then(|stat| stat.rsplit_once(')')?.1.split_whitespace().next());
    state.is_some_and(|state| !matches!(state, "Z" | "X"))
}

/// The group that `pid` is in.
pub(crate) fn group_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.rsplit_once(')')?.1;
    fields.split_whitespace().nth(2)?.parse().ok()
}

/// When `pid` was started, in ticks since boot (proc(5), field 22).
pub(crate) fn born(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.rsplit_once(')')?.1;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// The value of a variable that `pid` was started with, as far as it can be seen.
pub(crate) fn variable_of(pid: u32, name: &str) -> Option<String> {
    let block = fs::read(format!("/proc/{pid}/environ")).ok()?;
    block.split(|byte| *byte == 0).find_map(|entry| {
        let (key, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
        (key == name).then(|| value.to_owned())
    })
}

/// To a child of this process that was not reaped yet, so its number cannot belong to another.
pub(crate) fn kill_child(pid: u32) {
    let Ok(pid) = i32::try_from(pid) else { return };
    // ESRCH is a zombie that is about to be reaped.
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_a_command_with_parentheses() {
        assert_eq!(parent_of("12 (a) b) S 77 12 12 0"), Some("77"));
    }

    #[test]
    fn both_ways_of_listing_see_a_child_and_its_environment() {
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("100")
            .env("FRAMEVISOR_WORKER", "x")
            .spawn()
            .unwrap();
        assert!(children().unwrap().contains(&child.id()));
        assert!(children_by_scan().unwrap().contains(&child.id()));
        let deadline = shmring::clock::mono() + std::time::Duration::from_secs(60);
        // The environment is the parent's until the child has executed its program.
        while variable_of(child.id(), "FRAMEVISOR_WORKER").as_deref() != Some("x") {
            assert!(shmring::clock::mono() < deadline, "no environment seen");
        }
        kill_child(child.id());
        child.wait().unwrap();
    }

    #[test]
    fn who_has_ended_and_was_not_reaped_does_not_live() {
        let mut child = std::process::Command::new("/bin/sleep").arg("100").spawn().unwrap();
        let pid = child.id();
        assert!(lives(pid));
        kill_child(pid);
        let deadline = shmring::clock::mono() + std::time::Duration::from_secs(60);
        while lives(pid) {
            assert!(shmring::clock::mono() < deadline, "it still lives");
        }
        assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
        child.wait().unwrap();
        assert!(!lives(pid));
    }
}
