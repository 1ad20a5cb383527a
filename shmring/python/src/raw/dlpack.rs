//! A plane of a leased picture as a DLPack tensor: what `torch.from_dlpack`, `numpy.from_dlpack` and
//! others take. The structures are those of DLPack 1.0 (dlpack.h, "DLManagedTensorVersioned").

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use shmring_cuda::Imported;

use super::{Plane, View};
use crate::frame::Lease;

/// kDLCPU, device 0.
pub(crate) const CPU: (i32, i32) = (1, 0);
/// kDLCUDA.
const CUDA: i32 = 2;

const NAME: &CStr = c"dltensor_versioned";
/// Of before 1.0, which knows nothing of reading only.
const OLD_NAME: &CStr = c"dltensor";
const VERSION: Version = Version { major: 1, minor: 0 };
const FLAG_READ_ONLY: u64 = 1;
const FLAG_COPIED: u64 = 2;

/// The arguments of `__dlpack__`.
pub(crate) struct Wanted<'py> {
    pub(crate) stream: Option<Bound<'py, PyAny>>,
    pub(crate) max_version: Option<(u32, u32)>,
    pub(crate) dl_device: Option<(i32, i32)>,
    pub(crate) copy: Option<bool>,
}

#[repr(C)]
struct Version {
    major: u32,
    minor: u32,
}

#[repr(C)]
struct DataType {
    code: u8,
    bits: u8,
    lanes: u16,
}

#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    dimensions: i32,
    data_type: DataType,
    shape: *mut i64,
    /// In elements.
    strides: *mut i64,
    byte_offset: u64,
}

#[repr(C)]
struct Managed {
    version: Version,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Self)>,
    flags: u64,
    tensor: Tensor,
}

/// As DLPack had it before 1.0.
#[repr(C)]
struct OldManaged {
    tensor: Tensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Self)>,
}

/// What a tensor needs to live: the first field is what consumers see.
#[repr(C)]
struct Holder<M = Managed> {
    managed: M,
    shape: Vec<i64>,
    strides: Vec<i64>,
    memory: Memory,
}

/// Held for its drop only.
enum Memory {
    Leased { _lease: Arc<Lease> },
    Copied { _bytes: Vec<u8> },
    OnDevice { _held: Held },
}

/// Leases whose end the device would not wait for, as while a graph of its work is recorded: they end with the next one
/// for which it does.
static UNFINISHED: Mutex<Vec<Arc<Lease>>> = Mutex::new(Vec::new());

/// A frame on a device that somebody's work may be reading when that somebody lets go of it: such work is only
/// told to the device, and what it will read must be there until it has.
struct Held {
    lease: Arc<Lease>,
    memory: Arc<Imported>,
}

impl Drop for Held {
    fn drop(&mut self) {
        // A device is nothing for a forked child.
        if self.lease.check().is_err() {
            return;
        }
        let device = self.memory.region().device();
        // What the device waits for may itself wait for the interpreter.
        let finished = Python::try_attach(|py| py.detach(|| device.finish()));
        let finished = finished.unwrap_or_else(|| device.finish()).is_ok();
        let mut waiting = UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner);
        let done = if finished { std::mem::take(&mut *waiting) } else { Vec::new() };
        if !finished {
            waiting.push(Arc::clone(&self.lease));
        }
        drop((waiting, done));
    }
}

/// A capsule of the plane, or the reason why it cannot be had as `wanted`.
pub(crate) fn capsule<'py>(
    py: Python<'py>,
    plane: Plane,
    wanted: &Wanted<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    if plane.is_on_device() {
        return capsule_on_device(py, plane, wanted);
    }
    if wanted.max_version.is_none_or(|(major, _)| major < VERSION.major) {
        return Err(PyBufferError::new_err(
            "a picture in a ring is read-only, and this consumer's DLPack is too old to be told so; \
             give it a copy: f.copy()",
        ));
    }
    if wanted.stream.is_some() || wanted.dl_device.is_some_and(|device| device != CPU) {
        return Err(PyBufferError::new_err(
            "a picture in a ring is in the processor's memory; move the tensor after taking it",
        ));
    }
    let holder = match wanted.copy {
        Some(true) => copied(&plane)?,
        _ => leased(plane)?,
    };
    wrapped(py, holder, NAME, destroy)
}

/// Gives the tensor to a capsule of that name, whose end is `destroy`.
fn wrapped<'py, M>(
    py: Python<'py>,
    holder: Box<Holder<M>>,
    name: &'static CStr,
    destroy: unsafe extern "C" fn(*mut ffi::PyObject),
) -> PyResult<Bound<'py, PyAny>> {
    let held = Box::into_raw(holder);
    // SAFETY: a whole box; its first field is the tensor, and `destroy` knows what to do with it.
    let capsule = unsafe { ffi::PyCapsule_New(held.cast(), name.as_ptr(), Some(destroy)) };
    // SAFETY: a new reference, or NULL with an exception set.
    let capsule = unsafe { Bound::from_owned_ptr_or_err(py, capsule) };
    if capsule.is_err() {
        // SAFETY: just made by `into_raw`, and given to nobody.
        drop(unsafe { Box::from_raw(held) });
    }
    capsule
}

/// Where a consumer finds the plane.
pub(crate) fn device_of(plane: &Plane) -> PyResult<(i32, i32)> {
    let on = plane.on_device()?;
    Ok(on.map_or(CPU, |(memory, _)| (CUDA, memory.region().device().ordinal())))
}

/// A picture is whole before anybody hears of it, so that no stream has to wait for another: which one the
/// consumer will use does not matter.
fn capsule_on_device<'py>(
    py: Python<'py>,
    plane: Plane,
    wanted: &Wanted<'_>,
) -> PyResult<Bound<'py, PyAny>> {
    let own = device_of(&plane)?;
    let refused = |why: &'static str| Err(PyBufferError::new_err(why));
    if wanted.dl_device == Some(CPU) {
        if wanted.copy == Some(false) || wanted.max_version.is_none_or(|(major, _)| major < 1) {
            return refused("a picture on a device comes here as a copy: copy=True, or f.copy()");
        }
        return wrapped(py, copied(&plane)?, NAME, destroy);
    }
    if wanted.dl_device.is_some_and(|device| device != own) {
        return refused("the picture lies on another device; move the tensor after taking it");
    }
    if wanted.copy == Some(true) {
        return refused(
            "a copy on the device is its consumer's to make: torch.from_dlpack(f).clone()",
        );
    }
    if wanted.stream.as_ref().is_some_and(|stream| stream.extract::<i64>().is_ok_and(|it| it == 0))
    {
        return refused("stream 0 may be either of two: give 1 or 2");
    }
    let Some((memory, address)) = plane.on_device()? else {
        return refused("the picture lies on no device");
    };
    let view = *plane.view();
    let elements = |stride: &isize| (stride / view.item_bytes()) as i64;
    let strides = view.strides().iter().map(elements).collect();
    let address = std::ptr::without_provenance_mut(usize::try_from(address).unwrap_or(0));
    let memory = Memory::OnDevice { _held: Held { lease: plane.into_lease(), memory } };
    let holder = holder_at(own, address, FLAG_READ_ONLY, &view, strides, memory);
    if wanted.max_version.is_some_and(|(major, _)| major >= VERSION.major) {
        return wrapped(py, holder, NAME, destroy);
    }
    wrapped(py, old(*holder), OLD_NAME, destroy_old)
}

/// For consumers that know no versions. That they must not write is told on paper alone.
fn old(holder: Holder) -> Box<Holder<OldManaged>> {
    let Holder { managed, shape, strides, memory } = holder;
    let context = std::ptr::null_mut();
    let managed = OldManaged { tensor: managed.tensor, context, deleter: Some(delete_old) };
    // Its tensor points to what the two vectors hold, which stays where it is when they move.
    Box::new(Holder { managed, shape, strides, memory })
}

fn leased(plane: Plane) -> PyResult<Box<Holder>> {
    let address = plane.address()?;
    let view = *plane.view();
    let elements = |stride: &isize| (stride / view.item_bytes()) as i64;
    let strides = view.strides().iter().map(elements).collect();
    let memory = Memory::Leased { _lease: plane.into_lease() };
    Ok(holder(address.cast_mut(), FLAG_READ_ONLY, &view, strides, memory))
}

fn copied(plane: &Plane) -> PyResult<Box<Holder>> {
    let mut bytes = plane.copy()?;
    let shape = plane.view().shape();
    let of_all = |all: isize, side: &isize| all.saturating_mul(*side);
    let inner = |axis: usize| shape[axis + 1..].iter().fold(1, of_all) as i64;
    let strides = (0..shape.len()).map(inner).collect();
    // Of the heap block, which stays where it is when the vector moves.
    let address = bytes.as_mut_ptr();
    Ok(holder(address, FLAG_COPIED, plane.view(), strides, Memory::Copied { _bytes: bytes }))
}

fn holder(
    address: *mut u8,
    flags: u64,
    view: &View,
    strides: Vec<i64>,
    memory: Memory,
) -> Box<Holder> {
    holder_at(CPU, address, flags, view, strides, memory)
}

fn holder_at(
    (device_type, device_id): (i32, i32),
    address: *mut u8,
    flags: u64,
    view: &View,
    strides: Vec<i64>,
    memory: Memory,
) -> Box<Holder> {
    let shape: Vec<i64> = view.shape().iter().map(|side| *side as i64).collect();
    let dtype = view.dtype();
    let tensor = Tensor {
        data: address.cast(),
        device_type,
        device_id,
        dimensions: i32::try_from(shape.len()).unwrap_or(0),
        data_type: DataType { code: dtype.dlpack_code(), bits: dtype.bits(), lanes: 1 },
        shape: std::ptr::null_mut(),
        strides: std::ptr::null_mut(),
        byte_offset: 0,
    };
    let context = std::ptr::null_mut();
    let managed = Managed { version: VERSION, context, deleter: Some(delete), flags, tensor };
    let mut holder = Box::new(Holder { managed, shape, strides, memory });
    holder.managed.tensor.shape = holder.shape.as_mut_ptr();
    holder.managed.tensor.strides = holder.strides.as_mut_ptr();
    holder
}

/// Called by the consumer when it is done, in any thread, with or without the interpreter. Ending a
/// lease needs none.
///
/// # Safety
///
/// `managed` is the first field of a `Holder` that `capsule` has leaked, and is given once.
unsafe extern "C" fn delete(managed: *mut Managed) {
    if let Some(managed) = NonNull::new(managed) {
        // SAFETY: by the contract of this function.
        drop(unsafe { Box::from_raw(managed.as_ptr().cast::<Holder>()) });
    }
}

/// Called by the interpreter when the capsule goes. A consumer that took the tensor has renamed it.
///
/// # Safety
///
/// `capsule` is one of `capsule`'s making.
unsafe extern "C" fn destroy(capsule: *mut ffi::PyObject) {
    // SAFETY: the capsule lives while it is being destroyed.
    if unsafe { ffi::PyCapsule_IsValid(capsule, NAME.as_ptr()) } == 0 {
        return;
    }
    // SAFETY: it is valid under this name.
    let held = unsafe { ffi::PyCapsule_GetPointer(capsule, NAME.as_ptr()) };
    // SAFETY: nobody has taken it, so it is ours to end.
    unsafe { delete(held.cast()) }
}

/// As [`delete`].
///
/// # Safety
///
/// `managed` is the first field of a `Holder` of [`old`]'s making that was leaked, and is given once.
unsafe extern "C" fn delete_old(managed: *mut OldManaged) {
    if let Some(managed) = NonNull::new(managed) {
        // SAFETY: by the contract of this function.
        drop(unsafe { Box::from_raw(managed.as_ptr().cast::<Holder<OldManaged>>()) });
    }
}

/// As [`destroy`].
///
/// # Safety
///
/// `capsule` is one of [`old`]'s tensors.
unsafe extern "C" fn destroy_old(capsule: *mut ffi::PyObject) {
    // SAFETY: the capsule lives while it is being destroyed.
    if unsafe { ffi::PyCapsule_IsValid(capsule, OLD_NAME.as_ptr()) } == 0 {
        return;
    }
    // SAFETY: it is valid under this name.
    let held = unsafe { ffi::PyCapsule_GetPointer(capsule, OLD_NAME.as_ptr()) };
    // SAFETY: nobody has taken it, so it is ours to end.
    unsafe { delete_old(held.cast()) }
}
