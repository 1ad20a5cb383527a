//! Disks that are small, slow, failing or gone, where this user may have such: each answers with why not.
//!
//! Also compiled into the recorder's own tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// It, or why it cannot be had here.
pub type Here<T> = Result<T, String>;

/// A file system of its own at a place.
#[derive(Debug)]
pub struct Mount(PathBuf);

impl Mount {
    pub fn tmpfs(at: &Path, size: &str) -> Here<Self> {
        Self::new(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], at)
    }

    /// What is at one place at another one too.
    pub fn bind(from: &Path, at: &Path) -> Here<Self> {
        Self::new(&["--bind", &from.display().to_string()], at)
    }

    /// A file as a disk.
    pub fn image(image: &Path, at: &Path) -> Here<Self> {
        Self::new(&["-o", "loop", &image.display().to_string()], at)
    }

    /// A new image with ext4 in it.
    pub fn ext4(image: &Path, mib: u64, at: &Path) -> Here<Self> {
        let file = fs::File::create(image).and_then(|file| file.set_len(mib << 20));
        file.map_err(|error| format!("{}: {error}", image.display()))?;
        done(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image), "mkfs.ext4")?;
        Self::image(image, at)
    }

    fn new(what: &[&str], at: &Path) -> Here<Self> {
        done(Command::new("mount").args(what).arg(at), "no right to mount")?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Mount {
    /// Also while somebody has a file open there, as when a disk is pulled out.
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(
            thread::panicking() || unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.0.display()
        );
    }
}

/// A file system that lets nobody write, without an error, until this is dropped.
#[derive(Debug)]
pub struct Frozen(PathBuf);

impl Frozen {
    pub fn new(at: &Path) -> Here<Self> {
        done(Command::new("fsfreeze").arg("-f").arg(at), "fsfreeze")?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let thawed = Command::new("fsfreeze").arg("-u").arg(&self.0).status();
        assert!(
            thread::panicking() || thawed.is_ok_and(|status| status.success()),
            "{} stays frozen",
            self.0.display()
        );
    }
}

/// As a disk that is pulled out: from now on the file system takes nothing, and what it has not handed on to
/// its device is gone.
pub fn pull_out(at: &Path) -> Here<()> {
    // EXT4_IOC_SHUTDOWN without flushing the journal.
    const SHUTDOWN: &str = "import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";
    let mut python = Command::new("python3");
    done(python.args(["-c", SHUTDOWN]).arg(at), "a file system cannot be shut down").map(drop)
}

/// System calls of a process fail, or take long, until this is dropped.
#[derive(Debug)]
pub struct Injected(Child);

impl Injected {
    /// `what` as strace's `inject` takes it, for the calls of all threads.
    pub fn into(pid: u32, call: &str, what: &str) -> Here<Self> {
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:{what}"), "-p", &pid.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut strace = strace.map_err(|error| format!("strace: {error}"))?;
        while !threads(pid).iter().all(|thread| is_traced(thread)) {
            if strace.try_wait().map_err(|error| error.to_string())?.is_some() {
                return Err("no right to trace a process".to_owned());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Self(strace))
    }
}

impl Drop for Injected {
    /// Asked to end, strace lets go of the process in order.
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            // It has ended already when the process has.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

fn threads(pid: u32) -> Vec<PathBuf> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    tasks.into_iter().flatten().flatten().map(|task| task.path()).collect()
}

/// A thread that has ended meanwhile does no harm.
fn is_traced(thread: &Path) -> bool {
    let status = fs::read_to_string(thread.join("status")).unwrap_or_default();
    !status.lines().any(|line| line == "TracerPid:\t0")
}

fn done(command: &mut Command, what: &str) -> Here<Output> {
    let output = command.output().map_err(|error| format!("{what}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(output) } else { Err(format!("{what}: {said}")) }
}
