//! How a piece of memory is to be seen: type, shape and strides, as the buffer protocol and DLPack tell
//! them.

use std::ffi::{CStr, c_int};

use protocol::stream::DType;
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shmring::Tensor;

/// Most axes of a tensor in a ring.
const AXES_MAX: usize = 6;

/// Type, shape and strides of elements, outermost axis first. Strides are bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    dtype: DType,
    axes: usize,
    shape: [ffi::Py_ssize_t; AXES_MAX],
    strides: [ffi::Py_ssize_t; AXES_MAX],
}

/// Why a consumer cannot be shown the memory as it lies.
const READ_ONLY: &str = "a picture in a ring is read-only, others look at it too; change a copy";
const BY_COLUMN: &str = "a picture lies row by row, not column by column";
const PADDED: &str = "rows of this plane are padded, which needs a strided buffer; or a copy";
const NO_FORMAT: &str = "Python's buffers know no bfloat16; torch.from_dlpack(f) takes it";

impl View {
    /// Rows of bytes that lie `linesize` apart; with `channels`, rows of pixels of so many bytes.
    pub(crate) fn rows(
        rows: usize,
        row_bytes: usize,
        linesize: usize,
        channels: Option<usize>,
    ) -> Self {
        let view = |shape: &[usize], strides: &[usize]| Self::new(DType::U8, shape, strides);
        match channels {
            None => view(&[rows, row_bytes], &[linesize, 1]),
            // Of the row's bytes, never of the width: so no shape can leave the plane.
            Some(channels) => {
                view(&[rows, row_bytes / channels, channels], &[linesize, channels, 1])
            }
        }
    }

    pub(crate) fn of_tensor(tensor: &Tensor) -> Self {
        let wide = |all: &[u32]| all.iter().map(|value| *value as usize).collect::<Vec<_>>();
        Self::new(tensor.dtype, &wide(tensor.shape()), &wide(tensor.strides()))
    }

    fn new(dtype: DType, shape: &[usize], strides: &[usize]) -> Self {
        let whole = |all: &[usize]| std::array::from_fn(|axis| all.get(axis).map_or(0, size));
        Self { dtype, axes: shape.len(), shape: whole(shape), strides: whole(strides) }
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn shape(&self) -> &[ffi::Py_ssize_t] {
        &self.shape[..self.axes]
    }

    pub(crate) fn strides(&self) -> &[ffi::Py_ssize_t] {
        &self.strides[..self.axes]
    }

    pub(crate) fn shape_tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.shape())
    }

    pub(crate) fn strides_tuple<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.strides())
    }

    /// Of one element.
    pub(crate) fn item_bytes(&self) -> ffi::Py_ssize_t {
        size(&(self.dtype.bytes() as usize))
    }

    fn bytes(&self) -> ffi::Py_ssize_t {
        // An empty tensor's other axes may be of any length, and are no product of bytes there are.
        if self.shape().contains(&0) {
            return 0;
        }
        self.item_bytes() * self.shape().iter().product::<ffi::Py_ssize_t>()
    }

    /// Bytes from the first element's begin to the last one's end.
    pub(super) fn extent(&self) -> usize {
        if self.bytes() == 0 {
            return 0;
        }
        let steps = self.shape().iter().zip(self.strides());
        let last: ffi::Py_ssize_t = steps.map(|(length, stride)| (length - 1) * stride).sum();
        (last + self.item_bytes()).cast_unsigned()
    }

    fn is_contiguous(&self) -> bool {
        let mut inner = self.item_bytes();
        self.bytes() == 0
            || self.shape().iter().zip(self.strides()).rev().all(|(length, stride)| {
                let fits = *length == 1 || *stride == inner;
                inner *= length;
                fits
            })
    }

    /// As the struct module writes it.
    fn format(&self) -> Option<&'static CStr> {
        Some(match self.dtype {
            DType::I8 => c"b",
            DType::I16 => c"h",
            DType::I32 => c"i",
            DType::I64 => c"q",
            DType::U8 => c"B",
            DType::U16 => c"H",
            DType::U32 => c"I",
            DType::F16 => c"e",
            DType::F32 => c"f",
            DType::F64 => c"d",
            DType::Bool => c"?",
            DType::Bf16 => return None,
        })
    }

    /// Whether a consumer asking with `flags` can be shown the memory as it lies.
    fn check(&self, flags: c_int, writable: bool) -> PyResult<()> {
        let asks = |wanted: c_int| flags & wanted == wanted;
        let any_layout = asks(ffi::PyBUF_STRIDES)
            && !asks(ffi::PyBUF_C_CONTIGUOUS)
            && !asks(ffi::PyBUF_ANY_CONTIGUOUS);
        if asks(ffi::PyBUF_WRITABLE) && !writable {
            return Err(PyBufferError::new_err(READ_ONLY));
        }
        if self.format().is_none() {
            return Err(PyBufferError::new_err(NO_FORMAT));
        }
        if asks(ffi::PyBUF_F_CONTIGUOUS) {
            return Err(PyBufferError::new_err(BY_COLUMN));
        }
        if !any_layout && !self.is_contiguous() {
            return Err(PyBufferError::new_err(PADDED));
        }
        Ok(())
    }

    /// The buffer that `flags` ask for, without its owner. It names shape and strides where they are:
    /// `self` must live, unmoved, as long as the buffer.
    fn describe(&self, address: *const u8, flags: c_int, writable: bool) -> ffi::Py_buffer {
        let asks = |wanted: c_int| flags & wanted == wanted;
        let mut view = ffi::Py_buffer::new();
        view.buf = address.cast_mut().cast();
        view.len = self.bytes();
        view.itemsize = self.item_bytes();
        view.readonly = c_int::from(!writable);
        view.ndim = 1;
        if asks(ffi::PyBUF_FORMAT) {
            let format = self.format().unwrap_or(c"B");
            view.format = format.as_ptr().cast_mut();
        }
        if asks(ffi::PyBUF_ND) {
            view.ndim = c_int::try_from(self.axes).unwrap_or(0);
            // The consumer must not write these; their object is frozen, so nobody does.
            view.shape = self.shape.as_ptr().cast_mut();
        }
        if asks(ffi::PyBUF_STRIDES) {
            view.strides = self.strides.as_ptr().cast_mut();
        }
        view
    }

    /// Fills `target` with the buffer that `flags` ask for, or refuses.
    ///
    /// # Safety
    ///
    /// `target` is a view to fill (PyObject_GetBuffer). The memory at `address`, when there is one, has
    /// the type, shape and strides of `self`, and stays so while `owner` lives; `self` is part of `owner`.
    pub(super) unsafe fn fill(
        &self,
        target: *mut ffi::Py_buffer,
        owner: Bound<'_, PyAny>,
        address: PyResult<*const u8>,
        flags: c_int,
        writable: bool,
    ) -> PyResult<()> {
        let mut filled = ffi::Py_buffer::new();
        let answer = self.check(flags, writable).and(address).map(|address| {
            filled = self.describe(address, flags, writable);
            filled.obj = owner.into_ptr();
        });
        // SAFETY: the caller's view is ours to fill. What is written names memory that the caller
        // answers for; `obj` is a reference to its owner, which the interpreter keeps until the view is
        // released. A refused view has obj NULL.
        unsafe { target.write(filled) };
        answer
    }
}

/// What numpy calls it.
pub(crate) fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::I8 => "int8",
        DType::I16 => "int16",
        DType::I32 => "int32",
        DType::I64 => "int64",
        DType::U8 => "uint8",
        DType::U16 => "uint16",
        DType::U32 => "uint32",
        DType::F16 => "float16",
        DType::F32 => "float32",
        DType::F64 => "float64",
        DType::Bf16 => "bfloat16",
        DType::Bool => "bool",
    }
}

/// Sizes come from a mapping, which is never larger than isize::MAX.
fn size(bytes: &usize) -> ffi::Py_ssize_t {
    ffi::Py_ssize_t::try_from(*bytes).unwrap_or(ffi::Py_ssize_t::MAX)
}
