//! The atomics of the shared words, and the list of pairs that order them.
//!
//! Each pair has a name; the name stands in a comment at both ends.
//!
//! | pair | one end | other end | what it carries |
//! |---|---|---|---|
//! | `head` | writer: descriptor or record, then head `Release` | reader: head `Acquire`, then descriptor or record | whatever head names is complete |
//! | `floor` | writer: floor `Release`, `fence(Release)`, then bytes | reader: bytes, `fence(Acquire)`, floor `Acquire` | bytes overwritten during a copy are noticed; a head read after floor is not below it |
//! | `pin` | writer: version odd, `fence(SeqCst)`, then hazards | reader: hazard, `fence(SeqCst)`, then version | at least one of the two sees the other |
//! | `unpin` | reader: last byte read, `fence(Release)`, then hazard 0 | writer: hazards read, then `fence(Acquire)`, then bytes | no reader's load moves behind its unpin |
//! | `version` | writer: version `Release`, put back or raised | reader: version `Acquire`, then bytes | no read of a picture moves before its claim was granted; its bytes themselves came with `head` |
//! | `descriptor` | writer: sequence 0, `fence(Release)`, words, sequence `Release` | reader: sequence `Acquire`, words, `fence(Acquire)`, sequence | a descriptor rewritten during a copy is noticed |
//! | `stream` | writer: lock odd, `fence(Release)`, bytes, lock even `Release` | reader: lock `Acquire`, bytes, `fence(Acquire)`, lock | the same for the stream block |
//! | `evicted` | writer: entry of the eviction, `fence(Release)`, then floor or version | reader: floor or version `Acquire`, then the entry | who misses an item for it knows of its eviction first |
//! | `epoch` | writer: files linked, then anchor epoch `Release` | reader: anchor epoch `Acquire`, then opens them | a named epoch is whole |
//! | `bell` | writer: head, then bell `Release`, then FUTEX_WAKE | reader: bell `Acquire`, then head, then FUTEX_WAIT on that bell | no wake-up is lost |
//! | `event` | helper thread: head `Acquire`, then fills its process's eventfd | reader: empties it, then head `Acquire` | what the helper saw before a filling that the reader undoes, the reader sees too; the kernel's lock on the eventfd orders the two |
//!
//! On AArch64 `fence(SeqCst)` is `dmb ish` and `Release`/`Acquire` are `stlr`/`ldar`, which give each
//! row its order; until `pin` has run under torture on such a machine the README says so.

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
