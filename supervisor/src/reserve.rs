//! Descriptors kept back for when there are no more: with them the supervisor can still be asked what
//! is wrong, reap a dead worker and start the next.
//!
//! They are open on /dev/null and closed right before they are needed, so that whoever opens next gets
//! their place: with a limit that was lowered, too, because they were opened early and have low numbers.

use std::fs::{self, File};
use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

/// For connections to the control socket; each is used up until as many close.
const CONNECTIONS: usize = 4;
/// What one start needs at its peak, without listening sockets: its pipes, link, page, group, and the copies
/// of them that the child gets.
const START: usize = 28;

/// All that is kept back.
#[derive(Debug)]
pub(crate) struct Reserve {
    connections: Vec<File>,
    starts: Vec<File>,
    wanted: Wanted,
    /// Given away for a while; taken back first.
    lent: usize,
    /// It was told that it is not whole.
    is_short: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    connections: usize,
    starts: usize,
}

/// What [`Reserve::refill`] has found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It can no longer be filled, under this limit of descriptors.
    Short {
        limit: u64,
    },
    Whole,
}

impl Reserve {
    /// `listeners`: most sockets that a worker inherits.
    pub(crate) fn new(listeners: usize) -> Self {
        let wanted = Wanted::under(limit(), listeners);
        let (connections, starts) = (Vec::new(), Vec::new());
        let mut reserve = Self { connections, starts, wanted, lent: 0, is_short: false };
        // Nobody listens yet; a shortage shows again at the next look.
        let _ = reserve.refill();
        reserve
    }

    /// Makes room for a start, an answer or a death, until [`Self::refill`].
    pub(crate) fn lend(&mut self) {
        self.lent = self.lent.max(self.starts.len());
        self.starts.clear();
    }

    /// Those of this process that are not kept back; what is lent is closed, or somebody's.
    pub(crate) fn in_use(&self) -> io::Result<usize> {
        // The folder itself is open while it is read.
        let open = fs::read_dir("/proc/self/fd")?.count() - 1;
        Ok(open.saturating_sub(self.connections.len() + self.starts.len()))
    }

    /// Gives up one for a connection; false when there is none.
    pub(crate) fn give_one(&mut self) -> bool {
        self.connections.pop().is_some()
    }

    /// Takes back what was lent, before connections get theirs, so that they cannot eat up what starts
    /// need; tells when it becomes short, and when it is whole again.
    pub(crate) fn refill(&mut self) -> Option<Turn> {
        let lent = std::mem::take(&mut self.lent).min(self.wanted.starts);
        let filled = fill(&mut self.starts, lent)
            .and_then(|()| fill(&mut self.connections, self.wanted.connections))
            .and_then(|()| fill(&mut self.starts, self.wanted.starts));
        let is_short = filled.is_err();
        let turned = std::mem::replace(&mut self.is_short, is_short) != is_short;
        let turn = if is_short { Turn::Short { limit: limit() } } else { Turn::Whole };
        turned.then_some(turn)
    }
}

impl Wanted {
    /// At most half of what a process may have: under a limit as low as that, little can be kept back.
    fn under(limit: u64, listeners: usize) -> Self {
        let most = usize::try_from(limit / 2).unwrap_or(usize::MAX);
        let connections = CONNECTIONS.min(most);
        Self { connections, starts: START.saturating_add(listeners).min(most - connections) }
    }
}

/// Opened one by one, as a copy of one would have no place of its own in the machine's table of files.
fn fill(spare: &mut Vec<File>, wanted: usize) -> io::Result<()> {
    while spare.len() < wanted {
        spare.push(File::open("/dev/null")?);
    }
    Ok(())
}

fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft)
}

/// Whether it failed for want of descriptors, processes or memory: of the machine or of this process,
/// and of nobody's making who was to be served.
pub(crate) fn is_shortage(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_short_of))
}

fn is_short_of(error: &io::Error) -> bool {
    const SHORTAGES: [Errno; 5] =
        [Errno::EMFILE, Errno::ENFILE, Errno::EAGAIN, Errno::ENOMEM, Errno::ENOBUFS];
    error.raw_os_error().is_some_and(|code| SHORTAGES.contains(&Errno::from_raw(code)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::SpawnError;

    #[test]
    fn what_was_lent_comes_back_and_a_whole_reserve_says_nothing() {
        let mut reserve = Reserve::new(2);
        assert_eq!((reserve.connections.len(), reserve.starts.len()), (CONNECTIONS, START + 2));
        reserve.lend();
        reserve.lend();
        assert_eq!(reserve.starts.len(), 0);
        assert_eq!(reserve.refill(), None);
        assert_eq!(reserve.starts.len(), START + 2);
    }

    #[test]
    fn each_connection_takes_one_until_none_is_left_and_starts_keep_theirs() {
        let mut reserve = Reserve::new(0);
        let given = std::iter::repeat_with(|| reserve.give_one()).take_while(|given| *given);
        assert_eq!(given.count(), CONNECTIONS);
        assert_eq!(reserve.starts.len(), START);
        assert_eq!(reserve.refill(), None);
        assert!(reserve.give_one());
    }

    #[test]
    fn under_a_low_limit_half_is_kept_back_and_connections_come_first() {
        assert_eq!(Wanted::under(40, 3), Wanted { connections: 4, starts: 16 });
        assert_eq!(Wanted::under(4, 3), Wanted { connections: 2, starts: 0 });
        assert_eq!(Wanted::under(1024, 3), Wanted { connections: 4, starts: 31 });
    }

    #[test]
    fn a_shortage_is_known_behind_the_steps_that_met_it() {
        let failed = |errno: Errno| SpawnError::Io { step: "pidfd", source: errno.into() };
        assert!(is_shortage(&failed(Errno::EMFILE)));
        assert!(is_shortage(&failed(Errno::EAGAIN)));
        assert!(!is_shortage(&failed(Errno::ENOENT)));
        let start = spawn::StartError::Exec {
            program: "/bin/x".into(),
            cwd: "/".into(),
            source: Errno::ENOMEM.into(),
        };
        assert!(is_shortage(&SpawnError::Start(start)));
    }
}
