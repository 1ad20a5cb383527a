//! A leased tensor and its elements.

use protocol::stream::DType;

use super::Frame;
use super::content::Tensor;

/// The elements of a leased frame, not copied.
#[derive(Debug)]
pub struct TensorView<'a> {
    pub(super) frame: &'a Frame,
    /// Proven to fit its slot.
    pub(super) tensor: &'a Tensor,
}

impl TensorView<'_> {
    pub fn dtype(&self) -> DType {
        self.tensor.dtype
    }

    /// Length of each axis.
    pub fn shape(&self) -> &[u32] {
        self.tensor.shape()
    }

    /// Bytes from one index of each axis to the next.
    pub fn strides(&self) -> &[u32] {
        self.tensor.strides()
    }

    /// Bytes of all elements without what lies between them.
    pub fn bytes(&self) -> usize {
        self.tensor.bytes()
    }

    /// Address of the first element, in this process's read-only mapping, aligned for its type. While
    /// the frame lives, an element may be read at the sum of `index * stride` from there for each
    /// index within the shape; of an empty tensor, none.
    pub fn as_ptr(&self) -> *const u8 {
        let first = if self.bytes() == 0 { 0 } else { self.tensor.dtype.bytes() as usize };
        self.frame.hand.data.range(self.start(), first).as_ptr()
    }

    /// Appends all elements in the order of their indices, tightly packed, as the machine writes them.
    pub fn copy_to(&self, into: &mut Vec<u8>) {
        let bytes = self.bytes();
        if bytes > 0 {
            into.reserve(bytes);
            self.copy_axis(0, self.start(), into);
        }
    }

    /// Copies what lies under one index of the axes before `axis`, which begins at `at`.
    fn copy_axis(&self, axis: usize, at: usize, into: &mut Vec<u8>) {
        let (dense_from, run_bytes) = self.tensor.run();
        if axis >= dense_from {
            return self.copy_run(at, run_bytes, into);
        }
        let stride = self.strides()[axis] as usize;
        for index in 0..self.shape()[axis] as usize {
            self.copy_axis(axis + 1, at + index * stride, into);
        }
    }

    fn copy_run(&self, at: usize, bytes: usize, into: &mut Vec<u8>) {
        let from = self.frame.hand.data.range(at, bytes);
        let begin = into.len();
        into.resize(begin + bytes, 0);
        let into = &mut into[begin..];
        // SAFETY: the range is inside the mapping, which is no Rust object, so it cannot overlap the
        // slice; the lease keeps a writer that keeps to the protocol from changing it, and from one
        // that does not come wrong elements, never an invalid u8.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), into.as_mut_ptr(), bytes) }
    }

    fn start(&self) -> usize {
        self.frame.hand.start + self.tensor.offset as usize
    }
}
