//! What a process takes of the machine, from /proc: the command runs where the workers do.

use std::fs;

use nix::unistd::{SysconfVar, sysconf};

/// One process at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Of all its threads, since it began, in ms.
    pub(super) cpu_ms: u64,
    /// Resident, without what it shares with others: rings and libraries.
    pub(super) private_bytes: u64,
}

/// `None` when it is gone.
pub(super) fn of(pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let number = |of: SysconfVar| u64::try_from(sysconf(of).ok()??).ok();
    let ticks_per_second = number(SysconfVar::CLK_TCK)?;
    let cpu_ms = cpu_ticks(&stat)?.saturating_mul(1000) / ticks_per_second.max(1);
    let private_bytes = private_pages(&statm)?.saturating_mul(number(SysconfVar::PAGE_SIZE)?);
    Some(Usage { cpu_ms, private_bytes })
}

/// utime and stime (proc_pid_stat(5)), fields 14 and 15; the command before may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(") ")?;
    let mut fields = behind.split(' ').skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()?.saturating_add(next()?))
}

fn private_pages(statm: &str) -> Option<u64> {
    let mut fields = statm.split_whitespace().skip(1).map(str::parse::<u64>);
    let (resident, shared) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some(resident.saturating_sub(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_process_are_found_behind_any_name() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 1 0 5 1 1 1";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (x"), None);
    }

    #[test]
    fn what_is_shared_is_not_its_own() {
        assert_eq!(private_pages("900 300 120 1 0 90 0"), Some(180));
        assert!(of(std::process::id()).unwrap().private_bytes > 0);
    }
}
