//! The ring's slots as the memory a decoder draws in.

use media::{PictureAllocator, PictureMemory, PictureNeed};
use shmring::{FrameWriter, Loan};

/// Lends slots of one frame ring.
pub(crate) struct Slots {
    ring: FrameWriter,
}

impl Slots {
    pub(crate) fn new(ring: &FrameWriter) -> Self {
        Self { ring: ring.clone() }
    }
}

impl PictureAllocator for Slots {
    fn allocate(&self, need: &PictureNeed) -> Option<Box<dyn PictureMemory>> {
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
