//! All unsafe code of this crate: memory of rings as Python's buffers and tensors, and Python's
//! buffers as pictures.

mod canvas;
mod dlpack;
mod plane;
mod source;
mod view;

pub(crate) use canvas::{Canvas, SlotPlane};
pub(crate) use dlpack::{Wanted, capsule, device_of};
pub(crate) use plane::{ON_DEVICE, Plane};
pub(crate) use source::Samples;
pub(crate) use view::{View, dtype_name};
