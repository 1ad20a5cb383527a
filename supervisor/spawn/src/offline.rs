//! `network: none`: a process that opens no sockets but unix ones, nor does what it starts. A filter of system calls,
//! which needs no privilege and stays through exec; what such a process loses beside is what setuid programs gain.
//!
//! Unix sockets stay: links to the supervisor and the broker are such. So do descriptors that it is handed; a command
//! inherits none of the network. Where the filter cannot be set the program is not run.

use std::io;

use libc::{c_long, c_ulong, sock_filter, sock_fprog};

/// What the kernel shows of a call (`struct seccomp_data` of linux/seccomp.h): its number, the machine that it is of,
/// and the lower half of its first argument, on machines with low bytes first.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const FIRST: u32 = 16;

/// `AUDIT_ARCH_...` of linux/audit.h: the ELF machine with the marks of 64 bits and of low bytes first.
#[cfg(target_arch = "x86_64")]
const OURS: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const OURS: Option<u32> = Some(0xc000_00b7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OURS: Option<u32> = None;

/// Numbers from here on are of another table (x32 on x86-64); elsewhere there are none.
const OTHER_TABLE: u32 = 0x4000_0000;

/// Ways around: sockets by another interface of the kernel, or out of another process of the same user.
const AROUND: [c_long; 4] = [
    libc::SYS_io_uring_setup,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
];

/// What opens sockets; the family comes first.
const OPENING: [c_long; 2] = [libc::SYS_socket, libc::SYS_socketpair];

/// Instructions of linux/bpf_common.h: `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_K` with `BPF_JEQ` and `BPF_JGE`,
/// `BPF_RET | BPF_K`.
const LOAD: u16 = 0x20;
const IS: u16 = 0x15;
const IS_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

/// The filter, made before the fork: nothing is allocated in the child.
pub(crate) struct Offline(Vec<sock_filter>);

impl Offline {
    /// Without instructions on a machine that they are not written for, which [`Self::apply`] tells.
    pub(crate) fn new() -> Self {
        let Some(ours) = OURS else { return Self(Vec::new()) };
        let allow = ret(libc::SECCOMP_RET_ALLOW);
        // A program of another machine, of 32 bits say, has other numbers: it is not run at all.
        let end = ret(libc::SECCOMP_RET_KILL_PROCESS);
        let mut filter = vec![load(MACHINE), skip_if(IS, ours), end, load(NUMBER)];
        filter.extend([unless(IS_AT_LEAST, OTHER_TABLE), end]);
        for call in AROUND {
            filter.extend([unless(IS, number(call)), refuse(libc::EPERM)]);
        }
        let [socket, pair] = OPENING.map(number);
        // Neither of the two: passed. Whichever it is, the same is asked of its family.
        filter.extend([skip_two_if(IS, socket), skip_if(IS, pair), allow, load(FIRST)]);
        filter.extend([unless(IS, libc::AF_UNIX.unsigned_abs()), allow, refuse(libc::EACCES)]);
        Self(filter)
    }

    /// As on a machine that the filter is not written for.
    #[cfg(test)]
    pub(crate) fn of_another_machine() -> Self {
        Self(Vec::new())
    }

    /// System calls only: this runs between fork and exec, as the last of what a process does to itself.
    pub(crate) fn apply(&self) -> io::Result<()> {
        let Ok(len) = u16::try_from(self.0.len()) else { return Err(unknown()) };
        if len == 0 {
            return Err(unknown());
        }
        let (one, zero): (c_ulong, c_ulong) = (1, 0);
        // SAFETY: takes numbers.
        let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) };
        if set != 0 {
            return Err(io::Error::last_os_error());
        }
        let program = sock_fprog { len, filter: self.0.as_ptr().cast_mut() };
        let mode = c_ulong::from(libc::SECCOMP_MODE_FILTER);
        // SAFETY: the kernel copies the program, which lives through the call and is as long as it says; it
        // writes nothing to it.
        let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) };
        if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

fn unknown() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOSYS)
}

fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD, jt: 0, jf: 0, k: offset }
}

/// The next instruction is passed over if what was loaded is so.
fn skip_if(test: u16, k: u32) -> sock_filter {
    sock_filter { code: test, jt: 1, jf: 0, k }
}

/// The next two instructions are passed over if what was loaded is so.
fn skip_two_if(test: u16, k: u32) -> sock_filter {
    sock_filter { code: test, jt: 2, jf: 0, k }
}

/// The next instruction is passed over unless what was loaded is so.
fn unless(test: u16, k: u32) -> sock_filter {
    sock_filter { code: test, jt: 0, jf: 1, k }
}

fn ret(answer: u32) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k: answer }
}

fn refuse(errno: i32) -> sock_filter {
    ret(libc::SECCOMP_RET_ERRNO | errno.unsigned_abs())
}

/// Numbers of calls are small; one that is not would never be seen.
fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel's interpreter would answer to this call.
    fn answer(filter: &Offline, machine: u32, number: u32, first: u32) -> u32 {
        let (mut at, mut loaded) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = filter.0[at];
            at += 1;
            let jump = match code {
                LOAD => {
                    loaded = [(NUMBER, number), (MACHINE, machine), (FIRST, first)]
                        .into_iter()
                        .find_map(|(offset, value)| (offset == k).then_some(value))
                        .unwrap();
                    0
                }
                IS => {
                    if loaded == k {
                        jt
                    } else {
                        jf
                    }
                }
                IS_AT_LEAST => {
                    if loaded >= k {
                        jt
                    } else {
                        jf
                    }
                }
                RETURN => return k,
                other => panic!("instruction {other}"),
            };
            at += usize::from(jump);
        }
    }

    #[test]
    fn only_unix_sockets_are_opened_and_all_other_calls_pass() {
        let Some(ours) = OURS else { return };
        let filter = Offline::new();
        for call in OPENING {
            let opened = |family: i32| answer(&filter, ours, number(call), family.unsigned_abs());
            assert_eq!(opened(libc::AF_UNIX), libc::SECCOMP_RET_ALLOW, "{call}");
            for family in [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_PACKET] {
                assert_eq!(opened(family), refuse(libc::EACCES).k, "{call}, family {family}");
            }
        }
        for call in [libc::SYS_read, libc::SYS_execve, libc::SYS_connect, libc::SYS_futex] {
            assert_eq!(answer(&filter, ours, number(call), 9), libc::SECCOMP_RET_ALLOW, "{call}");
        }
        for call in AROUND {
            assert_eq!(answer(&filter, ours, number(call), 1), refuse(libc::EPERM).k, "{call}");
        }
    }

    #[test]
    fn programs_of_other_machines_and_other_tables_are_ended() {
        let Some(ours) = OURS else { return };
        let filter = Offline::new();
        let read = number(libc::SYS_read);
        assert_eq!(answer(&filter, ours ^ 1, read, 0), libc::SECCOMP_RET_KILL_PROCESS);
        assert_eq!(answer(&filter, ours, OTHER_TABLE | read, 0), libc::SECCOMP_RET_KILL_PROCESS);
    }
}
