//! The crate's one error.

use std::path::PathBuf;

use protocol::name::{NameError, RingName};

/// What can go wrong with a ring. What is normal (overrun, quiet, ended) is [`crate::Next`] instead.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "ring {ring}: no such ring; is its writer running? `framevisor rings` lists what there is"
    )]
    NoSuchRing { ring: RingName },
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
         lower `spare_readers` or `history` of this ring in the topology"
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
        "ring {ring}: a packet of {bytes} bytes; at most {limit} fit, raise `max_bitrate` of this ring"
    )]
    PacketTooLarge { ring: RingName, bytes: usize, limit: usize },
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
    #[error("ring {ring}: {file} is damaged: {what}")]
    Damaged { ring: RingName, file: String, what: &'static str },
    #[error(
        "{}: no room for {needed_bytes} bytes of shared memory; free some of /dev/shm \
         (`df -h /dev/shm`, containers: --shm-size) or lower the rings' sizes",
        file.display()
    )]
    NoSpace { file: PathBuf, needed_bytes: usize },
    #[error(
        "{}: permission denied; the ring belongs to {owner}: \
         run as that user or join that group",
        file.display()
    )]
    Denied { file: PathBuf, owner: String },
    #[error("{}: {source}", file.display())]
    Io { file: PathBuf, source: nix::Error },
    #[error(
        "this handle belongs to process {parent}, this is its forked child {child}; attach again here"
    )]
    Forked { parent: u32, child: u32 },
    #[error("record does not encode: {0}")]
    Record(#[from] serde_json::Error),
}

impl Error {
    /// Whether waiting for the writer may cure it.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::NoProject { .. } | Self::NoSuchRing { .. })
    }
}
