//! The library `libshmring.so` for C and C++: `include/shmring.h` says what it does.
//!
//! A skin over the Rust crate: what a ring is and how it behaves is decided there. Here is what only C
//! needs: handles, checks of what comes in, answers as numbers with a text for the thread, a fence that
//! no panic passes, and handles that refuse to work in a forked child.

pub mod abi;
pub mod desk;
pub mod error;
pub mod item;
pub mod json;
pub mod names;
pub mod reader;
pub mod waiting;
pub mod writer;

mod draft;
mod handle;
mod input;
mod source;
mod view;
mod wish;

/// The library's version, as SHMRING_ABI_MAJOR and SHMRING_ABI_MINOR of the header it was built with.
#[unsafe(no_mangle)]
pub extern "C" fn shmring_abi_version() -> u32 {
    abi::ABI_MAJOR << 16 | abi::ABI_MINOR
}
