//! Starts the writer under ptrace and lets it go step by step.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::libc;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::scene::Scene;

/// First argument of the writer.
pub(crate) const CHILD: &str = "child";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// To the next entry or exit of a system call.
    SystemCall,
    Instruction,
}

/// How the writer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was through before its steps were.
    ByItself,
    Killed,
}

/// A traced child that does not outlive its test, even one that fails.
struct Traced(Child);

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lets the writer of `scene` come to its stop number `stage`, then so many steps further.
pub(crate) fn kill_after(scene: &Scene, stage: u32, step: Step, steps: u64) -> End {
    let traced = start_at(scene, stage);
    for _ in 0..steps {
        if !traced.go(request(step)) {
            return End::ByItself;
        }
    }
    End::Killed
}

/// Instructions from stop number `stage` to the next one.
pub(crate) fn length(scene: &Scene, stage: u32) -> u64 {
    let traced = start_at(scene, stage);
    let mut instructions = 0;
    while !traced.has_stopped_itself() && traced.go(request(Step::Instruction)) {
        instructions += 1;
    }
    instructions
}

fn start_at(scene: &Scene, stage: u32) -> Traced {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([CHILD, scene.kind.as_str(), scene.project.as_str()]).stdout(Stdio::null());
    // SAFETY: ptrace(PTRACE_TRACEME) is one system call without memory, allowed between fork and exec.
    unsafe { command.pre_exec(trace_me) };
    let traced = Traced(command.spawn().unwrap());
    // exec of a traced process is its first stop.
    assert!(matches!(traced.wait(), WaitStatus::Stopped(_, Signal::SIGTRAP)));
    for _ in 0..stage {
        assert!(traced.go(libc::PTRACE_CONT), "the writer ended before its stage");
        assert!(traced.has_stopped_itself(), "something else stopped the writer");
    }
    traced
}

fn trace_me() -> std::io::Result<()> {
    ptrace(libc::PTRACE_TRACEME, Pid::from_raw(0))
}

fn request(step: Step) -> libc::c_uint {
    match step {
        Step::SystemCall => libc::PTRACE_SYSCALL,
        Step::Instruction => libc::PTRACE_SINGLESTEP,
    }
}

impl Traced {
    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }

    fn wait(&self) -> WaitStatus {
        waitpid(self.pid(), None).unwrap()
    }

    /// `false` when it has ended.
    fn go(&self, request: libc::c_uint) -> bool {
        ptrace(request, self.pid()).unwrap();
        match self.wait() {
            WaitStatus::Exited(_, 0) => false,
            WaitStatus::Stopped(..) => true,
            other => panic!("the writer: {other:?}"),
        }
    }

    fn has_stopped_itself(&self) -> bool {
        // SAFETY: siginfo_t is plain data, for which zeros are a value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: the kernel writes one siginfo_t, which `info` is.
        let asked = unsafe {
            libc::ptrace(libc::PTRACE_GETSIGINFO, self.pid().as_raw(), none, &raw mut info)
        };
        asked == 0 && info.si_signo == libc::SIGSTOP
    }
}

/// A request that passes no memory. A signal that stopped the process is not delivered.
fn ptrace(request: libc::c_uint, pid: Pid) -> std::io::Result<()> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: of these requests, none reads or writes memory of this process.
    match unsafe { libc::ptrace(request, pid.as_raw(), none, none) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
