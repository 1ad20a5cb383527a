//! The recorder's promises, over real rings: every published packet is in the files once, and the
//! files play, whatever happens to the recorder, the ring's writer or the disk.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures a test saw are worth reading")]

#[path = "../../../fmp4/tests/media/mod.rs"]
mod media;

#[allow(dead_code, unreachable_pub, reason = "another crate uses it too")]
#[path = "../../../../tests/src/disks.rs"]
mod disks;

mod disk;
mod dump;
mod failing;
mod feed;
mod index;
mod kills;
mod power_cuts;
mod recordings;
mod retention;
mod rig;
mod segments;
mod steady;
mod when;
