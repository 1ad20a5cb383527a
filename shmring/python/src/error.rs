//! The exceptions of the module, one for each thing a program may want to tell apart.

use std::str::FromStr;

use protocol::name::NameError;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;

create_exception!(shmring, Error, PyException, "What is wrong with a ring; base of all below.");
create_exception!(shmring, Ambiguous, Error, "Several projects fit; name one.");
create_exception!(shmring, BadRecord, Error, "The payload is no record.");
create_exception!(shmring, Closed, Error, "The ring or frame was closed by this program.");
create_exception!(shmring, Damaged, Error, "A file of the ring is not what its name says.");
create_exception!(shmring, Denied, Error, "This user may not open the ring.");
create_exception!(shmring, Ended, Error, "The writer has finished and everything was read.");
create_exception!(shmring, Evicted, Error, "This essential reader was too slow and was let go of.");
create_exception!(shmring, Forked, Error, "The handle belongs to the parent process.");
create_exception!(shmring, HasWriter, Error, "Another process writes this ring.");
create_exception!(shmring, LayoutMismatch, Error, "Written by another version of shmring.");
create_exception!(shmring, NoDevice, Error, "The device that frames lie on cannot be used here.");
create_exception!(shmring, NoFreeSlot, Error, "Every slot is on loan or leased.");
create_exception!(shmring, NoLease, Error, "As many frames are held as one reader may.");
create_exception!(shmring, NoPlace, Error, "As many readers are attached as the ring has places.");
create_exception!(shmring, NoSpace, Error, "No room left in /dev/shm.");
create_exception!(shmring, NoSuchRing, Error, "Nobody has made a ring of this name.");
create_exception!(shmring, OnDevice, Error, "The frame lies in a device's memory.");
create_exception!(
    shmring,
    Overrun,
    Error,
    "Items were overwritten before this reader came to them."
);
create_exception!(shmring, WriterLost, Error, "The writer is gone without saying so.");
create_exception!(shmring, WriterRestarted, Error, "What follows is of the writer's next life.");
create_exception!(shmring, WrongKind, Error, "The ring carries something else.");

/// The exception for an error of the ring.
pub(crate) fn raise(error: &shmring::Error) -> PyErr {
    use shmring::Error as E;
    let text = error.to_string();
    match error {
        E::Ambiguous { .. } => Ambiguous::new_err(text),
        E::Damaged { .. } => Damaged::new_err(text),
        E::Denied { .. } => Denied::new_err(text),
        E::Forked { .. } => Forked::new_err(text),
        E::HasWriter { .. } => HasWriter::new_err(text),
        E::Layout { .. } => LayoutMismatch::new_err(text),
        E::Name(_) => PyValueError::new_err(text),
        E::NoDevice { .. } => NoDevice::new_err(text),
        E::NoFreeSlot { .. } => NoFreeSlot::new_err(text),
        E::NoLease { .. } => NoLease::new_err(text),
        E::NoPlace { .. } => NoPlace::new_err(text),
        E::NoSpace { .. } => NoSpace::new_err(text),
        E::NoProject { .. } | E::NoSuchRing { .. } => NoSuchRing::new_err(text),
        E::OnDevice { .. } => OnDevice::new_err(text),
        E::WrongKind { .. } => WrongKind::new_err(text),
        _ => Error::new_err(text),
    }
}

/// A name of any kind, or the error that says what is wrong with it.
pub(crate) fn parse<T: FromStr<Err = NameError>>(name: &str) -> PyResult<T> {
    name.parse().map_err(|error: NameError| raise(&error.into()))
}

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    for (name, exception) in [
        ("Error", py.get_type::<Error>()),
        ("Ambiguous", py.get_type::<Ambiguous>()),
        ("BadRecord", py.get_type::<BadRecord>()),
        ("Closed", py.get_type::<Closed>()),
        ("Damaged", py.get_type::<Damaged>()),
        ("Denied", py.get_type::<Denied>()),
        ("Ended", py.get_type::<Ended>()),
        ("Evicted", py.get_type::<Evicted>()),
        ("Forked", py.get_type::<Forked>()),
        ("HasWriter", py.get_type::<HasWriter>()),
        ("LayoutMismatch", py.get_type::<LayoutMismatch>()),
        ("NoDevice", py.get_type::<NoDevice>()),
        ("NoFreeSlot", py.get_type::<NoFreeSlot>()),
        ("NoLease", py.get_type::<NoLease>()),
        ("NoPlace", py.get_type::<NoPlace>()),
        ("NoSpace", py.get_type::<NoSpace>()),
        ("NoSuchRing", py.get_type::<NoSuchRing>()),
        ("OnDevice", py.get_type::<OnDevice>()),
        ("Overrun", py.get_type::<Overrun>()),
        ("WriterLost", py.get_type::<WriterLost>()),
        ("WriterRestarted", py.get_type::<WriterRestarted>()),
        ("WrongKind", py.get_type::<WrongKind>()),
    ] {
        module.add(name, exception)?;
    }
    Ok(())
}
