//! The Python package `shmring`: attach to a ring by name, look at its pictures without a copy.
//!
//! A skin over the Rust crate: what a ring is and how it behaves is decided there. Here is what only
//! Python needs: the interpreter is never held while waiting, a lease lives as long as any view of
//! its picture, and a forked child's handles refuse to work.

mod attach;
mod desk;
mod device;
mod emit;
mod ending;
mod error;
mod form;
mod frame;
mod happening;
mod packet;
mod packet_writer;
mod picture;
mod policy;
mod publish;
mod raw;
mod rgb;
mod ring;
mod set;
mod slot;
mod source;
mod values;
mod wait;
mod writer;

use pyo3::prelude::*;

#[pymodule]
#[pyo3(name = "_native")]
fn define(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ring::Ring>()?;
    module.add_class::<ring::FrameRing>()?;
    module.add_class::<ring::PacketRing>()?;
    module.add_class::<ring::RecordRing>()?;
    module.add_class::<frame::Frame>()?;
    module.add_class::<raw::Plane>()?;
    module.add_class::<packet::Packet>()?;
    module.add_class::<packet::Record>()?;
    module.add_class::<desk::Message>()?;
    module.add_class::<set::FrameSet>()?;
    module.add_class::<wait::Semaphore>()?;
    module.add_class::<writer::FrameWriter>()?;
    module.add_class::<slot::Slot>()?;
    module.add_class::<packet_writer::PacketWriter>()?;
    module.add("FrameId", values::frame_id_type(module.py())?)?;
    module.add_function(wrap_pyfunction!(attach::attach, module)?)?;
    module.add_function(wrap_pyfunction!(attach::rings, module)?)?;
    module.add_function(wrap_pyfunction!(wait::wait, module)?)?;
    module.add_function(wrap_pyfunction!(emit::emit, module)?)?;
    module.add_function(wrap_pyfunction!(publish::publish, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    error::add_to(module)?;
    ending::register(module)?;
    emit::register(module)
}
