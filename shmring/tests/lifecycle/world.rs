//! The files of one ring and who holds which lock, as the kernel would keep them. A name leads to a file;
//! a file lives on without one while somebody has it open.

/// A process of the model; a restarted one is another.
pub(crate) type Pid = u8;
/// Place of a file in its list.
pub(crate) type File = usize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct World {
    /// `.lock` files ever made, each with its holder.
    pub(crate) locks: Vec<Option<Pid>>,
    /// Where the name `.lock` leads.
    pub(crate) lock_name: Option<File>,
    pub(crate) anchors: Vec<Anchor>,
    pub(crate) anchor_name: Option<File>,
    /// Index files ever made, in the order of their epochs.
    pub(crate) indexes: Vec<Index>,
    /// Files being built under a temporary name.
    pub(crate) drafts: u8,
}

/// Epochs are numbers into [`World::indexes`] plus one; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Anchor {
    pub(crate) epoch: u8,
    pub(crate) previous: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Index {
    pub(crate) epoch: u8,
    /// Whether its public name leads to it.
    pub(crate) linked: bool,
    pub(crate) holder: Option<Pid>,
}

impl World {
    pub(crate) fn open_lock(&mut self) -> File {
        *self.lock_name.get_or_insert_with(|| {
            self.locks.push(None);
            self.locks.len() - 1
        })
    }

    pub(crate) fn try_lock(&mut self, file: File, pid: Pid) -> bool {
        let holder = &mut self.locks[file];
        if holder.is_none() {
            *holder = Some(pid);
        }
        *holder == Some(pid)
    }

    /// What the kernel does at a process's end, however it came.
    pub(crate) fn release(&mut self, pid: Pid) {
        let locks = self.locks.iter_mut();
        let holders = locks.chain(self.indexes.iter_mut().map(|index| &mut index.holder));
        holders.filter(|holder| **holder == Some(pid)).for_each(|holder| *holder = None);
    }

    pub(crate) fn linked_epochs(&self) -> impl Iterator<Item = u8> {
        self.indexes.iter().filter(|index| index.linked).map(|index| index.epoch)
    }

    pub(crate) fn index(&self, epoch: u8) -> Option<&Index> {
        self.indexes.iter().find(|index| index.epoch == epoch && index.linked)
    }

    pub(crate) fn unlink_epochs(&mut self, is_gone: impl Fn(u8) -> bool) {
        self.indexes.iter_mut().filter(|index| is_gone(index.epoch)).for_each(|index| {
            index.linked = false;
        });
    }

    /// Whether any name of the ring is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock_name.is_none()
            && self.anchor_name.is_none()
            && self.linked_epochs().next().is_none()
            && self.drafts == 0
    }
}
