//! The crate's one error.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, geteuid};
use protocol::name::{NameError, ProjectName, RingKind, RingName};

use crate::project;

/// What can go wrong with a ring. What is normal (overrun, quiet, ended) is [`crate::Next`] instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "ring {ring}: project {project} has no such ring; is its writer running? there are: {}",
        project::present(project)
    )]
    NoSuchRing { ring: RingName, project: ProjectName },
    #[error(
        "ring {ring}: no project on this machine has it; is its writer running? there are: {present}"
    )]
    NoProject { ring: RingName, present: String },
    #[error(
        "ring {ring}: several projects fit: {projects}; name one, or set {}",
        protocol::control::env::PROJECT
    )]
    Ambiguous { ring: RingName, projects: String },
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("ring {ring}: another writer holds it; stop that one first, a ring has one writer")]
    HasWriter { ring: RingName },
    #[error(
        "ring {ring}: all {places} places for readers are taken by {holders}; \
         raise `spare_readers` of this ring in the topology, or end one of them"
    )]
    NoPlace { ring: RingName, places: u32, holders: String },
    #[error(
        "ring {ring}: {places} places for readers, at most {limit} are possible; \
         lower `spare_readers` of this ring in the topology"
    )]
    TooManyReaders { ring: RingName, places: u32, limit: u32 },
    #[error(
        "ring {ring}: {slots} slots are needed, at most {limit} are possible; \
         lower `spare_readers` or `history` of this ring in the topology, or the deadline of an \
         essential reader"
    )]
    TooManySlots { ring: RingName, slots: u32, limit: u32 },
    #[error(
        "ring {ring}: all {quota} leases of this reader are held; let go of a frame before taking the next"
    )]
    NoLease { ring: RingName, quota: u32 },
    #[error("ring {ring}: all {slots} slots are held")]
    NoFreeSlot { ring: RingName, slots: u32 },
    #[error("ring {ring}: slot {slot} is not on loan")]
    NotOnLoan { ring: RingName, slot: u32 },
    #[error("ring {ring}: picture does not fit its slot: {what}")]
    BadPicture { ring: RingName, what: &'static str },
    #[error(
        "ring {ring}: {} of {bytes} bytes; at most {limit} fit, {}",
        item_of(ring),
        room_for_more(ring)
    )]
    PacketTooLarge { ring: RingName, bytes: usize, limit: usize },
    #[error(
        "ring {ring}: its pictures lie in a CUDA device's memory, and this program reads those of the machine's; \
         give the ring `memory: host`, or a second output for such readers (docs/device-frames.md)"
    )]
    OnDevice { ring: RingName },
    #[error("ring {ring}: no memory of a device for its pictures: {what}")]
    NoDevice { ring: RingName, what: String },
    #[error("ring {ring}: the stream description does not fit: {what}")]
    StreamTooLarge { ring: RingName, what: &'static str },
    #[error("ring {ring}: is a ring of {seen}, expected {expected}")]
    WrongKind { ring: RingName, seen: &'static str, expected: &'static str },
    #[error(
        "ring {ring}: written by layout {seen_major}.{seen_minor}, this program reads layout {}.x",
        crate::layout::MAJOR
    )]
    Layout { ring: RingName, seen_major: u32, seen_minor: u32 },
    #[error(
        "ring {ring}: no descriptor or thread to wait with: {source}; raise `ulimit -n` or `-u`"
    )]
    NoSignal { ring: RingName, source: nix::Error },
    #[error("ring {ring}: {} is damaged: {what}", file.display())]
    Damaged { ring: RingName, file: PathBuf, what: &'static str },
    #[error(
        "{}: no room for {needed_bytes} bytes of shared memory; free some of /dev/shm \
         (`df -h /dev/shm`, containers: --shm-size) or lower the rings' sizes",
        file.display()
    )]
    NoSpace { file: PathBuf, needed_bytes: usize },
    #[error(
        "{}: permission denied to user {user}: the ring belongs to {owner}; {cure}",
        file.display()
    )]
    Denied { file: PathBuf, user: String, owner: String, cure: String },
    #[error(
        "{}: user {user} cannot give it to group {group}: only a member of the group, or root, can; \
         `usermod -aG {group} {user}` and log in again, or name another `group:` in the topology",
        file.display()
    )]
    GroupRefused { file: PathBuf, user: String, group: String },
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: nix::Error },
    #[error(
        "this handle belongs to process {parent}, this is its forked child {child}; attach again here"
    )]
    Forked { parent: u32, child: u32 },
    #[error("ring {ring}: the broker at {}: {what}", socket.display())]
    Broker { ring: RingName, socket: PathBuf, what: String },
    #[error(
        "ring {ring}: its access is `brokered`, and no broker of the project listens; \
         start it with `framevisor up`, or name the broker's socket in FRAMEVISOR_BROKER"
    )]
    NoBroker { ring: RingName },
    #[error("record does not encode: {0}")]
    Record(#[from] serde_json::Error),
    /// Of a program that a topology runs: what it was told, or cannot tell.
    #[error("{what}")]
    Supervisor { what: String },
}

impl Error {
    /// Whether waiting for the writer may cure it.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NoProject { .. } | Self::NoSuchRing { .. })
    }
}

fn item_of(ring: &RingName) -> &'static str {
    if ring.kind() == RingKind::Events { "a record" } else { "a packet" }
}

/// How a ring comes to take larger items. The log of records has one size for all.
fn room_for_more(ring: &RingName) -> &'static str {
    match ring.kind() {
        RingKind::Events => "put what is large into a file or a ring of its own, and its name here",
        RingKind::Packets | RingKind::Frames => "raise `max_bitrate` of this ring",
    }
}

/// What the system says of a file.
pub(crate) fn io(path: &Path, source: Errno) -> Error {
    match source {
        Errno::EACCES | Errno::EPERM => denied(path),
        source => Error::Io { file: path.to_owned(), source },
    }
}

impl Error {
    pub(crate) fn group_refused(path: &Path, group: u32, source: Errno) -> Self {
        if source != Errno::EPERM {
            return io(path, source);
        }
        let (file, user) = (path.to_owned(), user_name(geteuid().as_raw()));
        Self::GroupRefused { file, user, group: group_name(group) }
    }
}

fn denied(path: &Path) -> Error {
    let (file, user) = (path.to_owned(), user_name(geteuid().as_raw()));
    let Ok(meta) = fs::metadata(path) else {
        let (owner, cure) = ("another user", "run as that user");
        return Error::Denied { file, user, owner: owner.to_owned(), cure: cure.to_owned() };
    };
    let owner = user_name(meta.uid());
    if meta.mode() & 0o040 == 0 {
        let cure = format!("give it a group with `group:` in the topology, or run as {owner}");
        return Error::Denied { file, user, owner: format!("user {owner} alone"), cure };
    }
    let group = group_name(meta.gid());
    let cure = format!("`usermod -aG {group} {user}` and log in again");
    Error::Denied { file, user, owner: format!("user {owner} and group {group}"), cure }
}

/// Its name, or its number when it has none.
fn user_name(id: u32) -> String {
    let known = User::from_uid(Uid::from_raw(id)).ok().flatten();
    known.map_or_else(|| id.to_string(), |user| user.name)
}

fn group_name(id: u32) -> String {
    let known = Group::from_gid(Gid::from_raw(id)).ok().flatten();
    known.map_or_else(|| id.to_string(), |group| group.name)
}
