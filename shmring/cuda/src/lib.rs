//! The memory of CUDA devices, as far as rings of pictures need it: allocate and export it, import it in
//! another process, copy pictures in and out. The driver's own interface alone, loaded at run time: nothing is
//! linked, and where there is no driver [`Driver::here`] says so.
//!
//! ```text
//!   writer                                     reader
//!   Device::first ─ allocate ─ Allocation      Device::with_id ─ import ─ Imported
//!                     │ export ── 64 bytes, in the ring ──────────^
//! ```
//!
//! Every call of the driver is in `raw.rs`; that copies keep to their memory is proven in `memory.rs`. What lies
//! at an [`Outside`] its maker answers for.
//!
//! A device does its work later than it is told. [`Region::upload`], [`Region::copy_from`] and
//! [`Region::copy_to`] therefore wait for what they told it: what they wrote is there for every process.

mod device;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod memory;
mod raw;
#[cfg(feature = "ring")]
mod slots;

pub use device::{Device, DeviceId, Driver};
pub use error::Error;
pub use memory::{Allocation, Handle, Imported, Outside, Region, Rows};
#[cfg(feature = "ring")]
pub use slots::Slots;
