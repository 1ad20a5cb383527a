//! What a reader's frames are made of.

use std::sync::Arc;

use super::DeviceBlock;
use super::descriptor::Described;
use super::frame::{Frame, Hand, Origin};
use crate::lease::LeasePage;
use crate::segment::Mapping;
use crate::sync::{Ordering, fence};

/// What the frames of one generation are made of. Another generation, epoch or page has others: so nothing
/// is kept mapped for what it could be filled with again.
#[derive(Debug)]
pub(super) struct Hands {
    pub(super) generation: u32,
    pub(super) page: Arc<LeasePage>,
    pub(super) data: Arc<Mapping>,
    pub(super) device: Option<Arc<DeviceBlock>>,
    /// Bytes that the slots lie in, here or there.
    pub(super) reach: usize,
    pub(super) epoch: u64,
    pub(super) origin: Arc<Origin>,
    /// By hazard.
    pub(super) made: Vec<Arc<Hand>>,
}

impl Hands {
    /// A frame, and its hand to be filled.
    ///
    /// # Safety
    /// The frame is given to nobody, and asked nothing, before the hand is done with.
    #[inline(always)]
    pub(super) unsafe fn take_up(&mut self, hazard: u32) -> Option<(Frame, &mut Hand)> {
        let place = hazard as usize;
        // One whose frame is still ending itself, in another thread, is left to that.
        if self.made.get(place).is_none_or(|shared| Arc::strong_count(shared) != 1) {
            self.renew(hazard);
        }
        // Behind what its last frame did, in whichever thread: that let go of its count with a release.
        fence(Ordering::Acquire);
        let shared = self.made.get(place)?;
        let hand = Arc::as_ptr(shared).cast_mut();
        // Counted before it is filled, and not by `Arc::get_mut`: a locked instruction waits for all that was
        // stored before it, and what is filled lies in lines that have gone cold.
        let frame = Frame { hand: Arc::clone(shared) };
        // SAFETY: nobody else has this hand: its count was 1, no `Weak` of it is ever made, and by the caller's
        // word the frame made just now is not used. All before has happened before, by the fence.
        Some((frame, unsafe { &mut *hand }))
    }

    #[cold]
    fn renew(&mut self, hazard: u32) {
        self.made.truncate(hazard as usize);
        for hazard in (0..=hazard).skip(self.made.len()) {
            let hand = self.make(hazard);
            self.made.push(hand);
        }
    }

    #[cold]
    fn make(&self, hazard: u32) -> Arc<Hand> {
        Arc::new(Hand {
            page: Arc::clone(&self.page),
            hazard,
            data: Arc::clone(&self.data),
            epoch: self.epoch,
            origin: Arc::clone(&self.origin),
            device: self.device.clone(),
            start: 0,
            described: Described::blank(),
        })
    }
}
