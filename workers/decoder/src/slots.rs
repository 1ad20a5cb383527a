//! The ring's slots as the memory a decoder draws in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use media::{PictureAllocator, PictureMemory, PictureNeed};
use shmring::{FrameWriter, Loan};

/// Lends slots of one frame ring, while somebody reads it.
pub(crate) struct Slots {
    ring: FrameWriter,
    is_read: Arc<AtomicBool>,
}

impl Slots {
    pub(crate) fn new(ring: &FrameWriter, is_read: &Arc<AtomicBool>) -> Self {
        Self { ring: ring.clone(), is_read: Arc::clone(is_read) }
    }
}

impl PictureAllocator for Slots {
    fn allocate(&self, need: &PictureNeed) -> Option<Box<dyn PictureMemory>> {
        if !self.is_read.load(Ordering::Relaxed) {
            return None;
        }
        match self.ring.loan(need.bytes, need.decoder_slots) {
            Ok(loan) => Some(Box::new(Slot(loan))),
            // The picture is drawn on the heap and copied; why there is no slot shows up there.
            Err(error) => {
                tracing::debug!("no slot to draw in: {error}");
                None
            }
        }
    }
}

/// On loan until the decoder needs it no more, published or not.
struct Slot(Loan);

impl PictureMemory for Slot {
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.bytes_mut()
    }

    fn tag(&self) -> u64 {
        self.0.slot().to_bits()
    }
}
