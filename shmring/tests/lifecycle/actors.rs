//! Writers, sweepers and readers, one step a system call or shared store: the order is that of
//! `owner.rs`, `census.rs` and `anchor.rs`.

use crate::Mutant;
use crate::world::{Anchor, File, Index, Pid, World};

/// Where a process stands: what it will do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum At {
    Dead,
    Writer(Writer),
    Sweeper(Sweeper),
    Reader(Reader),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Writer {
    OpenLock,
    TakeLock(File),
    LookWhetherLinked(File),
    ClearDrafts,
    OpenAnchor,
    LinkAnchor,
    ClearEpochs(File),
    BuildIndex(File),
    LockIndex(File, Index),
    LinkIndex(File, Index),
    StorePrevious(File, Index),
    StoreEpoch(File, Index),
    ClearOlder(File, Index),
    Publish(File, Index),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sweeper {
    LookForNames,
    OpenLock,
    TakeLock(File),
    LookWhetherLinked(File),
    UnlinkAnchor,
    UnlinkEpochs,
    UnlinkDrafts,
    UnlinkLock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reader {
    OpenAnchor,
    ReadEpoch(File),
    OpenIndex(File, u8),
    Attached(Index),
}

impl At {
    /// Whether it acts as the ring's owner: everything it does from here on needs the lock.
    pub(crate) fn owns(self) -> bool {
        match self {
            Self::Writer(at) => {
                !matches!(at, Writer::OpenLock | Writer::TakeLock(_) | Writer::LookWhetherLinked(_))
            }
            Self::Sweeper(at) => matches!(
                at,
                Sweeper::UnlinkAnchor
                    | Sweeper::UnlinkEpochs
                    | Sweeper::UnlinkDrafts
                    | Sweeper::UnlinkLock
            ),
            Self::Dead | Self::Reader(_) => false,
        }
    }

    /// Takes the next step; the place behind it.
    pub(crate) fn step(self, pid: Pid, world: &mut World, mutant: Option<Mutant>) -> Self {
        match self {
            Self::Dead => Self::Dead,
            Self::Writer(at) => write(at, pid, world, mutant),
            Self::Sweeper(at) => sweep(at, pid, world, mutant),
            Self::Reader(at) => Self::Reader(read(at, world)),
        }
    }
}

fn write(at: Writer, pid: Pid, world: &mut World, mutant: Option<Mutant>) -> At {
    use Writer as W;
    At::Writer(match at {
        W::OpenLock => W::TakeLock(world.open_lock()),
        W::TakeLock(file) if world.try_lock(file, pid) => W::LookWhetherLinked(file),
        // Its patience ends some time; it tries again here.
        W::TakeLock(_) => W::OpenLock,
        W::LookWhetherLinked(file) => {
            if world.lock_name == Some(file) || mutant == Some(Mutant::LockNotLookedAtAgain) {
                W::ClearDrafts
            } else {
                world.release(pid);
                W::OpenLock
            }
        }
        W::ClearDrafts => {
            world.drafts = 0;
            W::OpenAnchor
        }
        W::OpenAnchor => match world.anchor_name {
            Some(anchor) => W::ClearEpochs(anchor),
            None => {
                world.drafts += 1;
                W::LinkAnchor
            }
        },
        W::LinkAnchor => {
            world.drafts = world.drafts.saturating_sub(1);
            world.anchors.push(Anchor::default());
            world.anchor_name = Some(world.anchors.len() - 1);
            W::ClearEpochs(world.anchors.len() - 1)
        }
        W::ClearEpochs(anchor) => {
            let Anchor { epoch, previous } = world.anchors[anchor];
            world.unlink_epochs(|other| other != epoch && other != previous);
            W::BuildIndex(anchor)
        }
        W::BuildIndex(anchor) => {
            world.drafts += 1;
            // Above every one there ever was: the clock, or the supervisor's floor.
            let epoch = u8::try_from(world.indexes.len() + 1).unwrap();
            let index = Index { epoch, linked: false, holder: None };
            world.indexes.push(index);
            if mutant == Some(Mutant::EpochAnnouncedBeforeItsLink) {
                world.anchors[anchor].epoch = epoch;
            }
            match mutant {
                Some(Mutant::IndexLinkedUnlocked) => W::LinkIndex(anchor, index),
                _ => W::LockIndex(anchor, index),
            }
        }
        W::LockIndex(anchor, index) => {
            let own = &mut world.indexes[usize::from(index.epoch) - 1];
            own.holder = Some(pid);
            let is_linked = own.linked;
            let locked = Index { holder: Some(pid), ..index };
            if is_linked { W::StorePrevious(anchor, locked) } else { W::LinkIndex(anchor, locked) }
        }
        W::LinkIndex(anchor, index) => {
            world.drafts = world.drafts.saturating_sub(1);
            world.indexes[usize::from(index.epoch) - 1].linked = true;
            match index.holder {
                None => W::LockIndex(anchor, index),
                Some(_) => W::StorePrevious(anchor, index),
            }
        }
        W::StorePrevious(anchor, index) => {
            world.anchors[anchor].previous = world.anchors[anchor].epoch;
            W::StoreEpoch(anchor, index)
        }
        W::StoreEpoch(anchor, index) => {
            world.anchors[anchor].epoch = index.epoch;
            W::ClearOlder(anchor, index)
        }
        W::ClearOlder(anchor, index) => {
            let previous = world.anchors[anchor].previous;
            world.unlink_epochs(|other| other != index.epoch && other != previous);
            W::Publish(anchor, index)
        }
        W::Publish(..) => at,
    })
}

fn sweep(at: Sweeper, pid: Pid, world: &mut World, mutant: Option<Mutant>) -> At {
    use Sweeper as S;
    At::Sweeper(match at {
        S::LookForNames if world.is_empty() => return At::Dead,
        S::LookForNames => S::OpenLock,
        S::OpenLock => S::TakeLock(world.open_lock()),
        S::TakeLock(file) if world.try_lock(file, pid) => S::LookWhetherLinked(file),
        S::TakeLock(_) if mutant == Some(Mutant::SweptWithoutLock) => S::UnlinkAnchor,
        S::TakeLock(_) => return At::Dead,
        S::LookWhetherLinked(file) => {
            let is_mine = world.lock_name == Some(file);
            if !is_mine && mutant != Some(Mutant::LockNotLookedAtAgain) {
                world.release(pid);
                return At::Dead;
            }
            S::UnlinkAnchor
        }
        S::UnlinkAnchor => {
            world.anchor_name = None;
            S::UnlinkEpochs
        }
        S::UnlinkEpochs => {
            world.unlink_epochs(|_| true);
            S::UnlinkDrafts
        }
        S::UnlinkDrafts => {
            world.drafts = 0;
            S::UnlinkLock
        }
        S::UnlinkLock => {
            world.lock_name = None;
            world.release(pid);
            return At::Dead;
        }
    })
}

fn read(at: Reader, world: &World) -> Reader {
    match at {
        Reader::OpenAnchor => world.anchor_name.map_or(at, Reader::ReadEpoch),
        Reader::ReadEpoch(anchor) => match world.anchors[anchor].epoch {
            0 => Reader::OpenAnchor,
            epoch => Reader::OpenIndex(anchor, epoch),
        },
        Reader::OpenIndex(_, epoch) => match world.index(epoch) {
            Some(index) => Reader::Attached(*index),
            None => Reader::OpenAnchor,
        },
        Reader::Attached(_) => at,
    }
}
