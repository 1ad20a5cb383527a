//! What a reader's frames are made of.

use std::sync::Arc;

use super::descriptor::Described;
use super::frame::{Frame, Hand, Origin};
use crate::lease::LeasePage;
use crate::segment::Mapping;

/// What the frames of one generation are made of. Another generation, epoch or page has others: so nothing
/// is kept mapped for what it could be filled with again.
#[derive(Debug)]
pub(super) struct Hands {
    pub(super) generation: u32,
    pub(super) page: Arc<LeasePage>,
    pub(super) data: Arc<Mapping>,
    pub(super) epoch: u64,
    pub(super) origin: Arc<Origin>,
    /// By hazard.
    pub(super) made: Vec<Arc<Hand>>,
}

impl Hands {
    /// A frame of what `fill` puts in the hand of this hazard, unless it refuses to.
    #[inline]
    pub(super) fn take_up(
        &mut self,
        hazard: u32,
        fill: impl FnOnce(&mut Hand) -> bool,
    ) -> Option<Frame> {
        let place = hazard as usize;
        // One whose frame is still ending itself, in another thread, is left to that.
        if self.made.get_mut(place).and_then(Arc::get_mut).is_none() {
            self.renew(hazard);
        }
        let shared = self.made.get_mut(place)?;
        fill(Arc::get_mut(shared)?).then(|| Frame { hand: Arc::clone(shared) })
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
            start: 0,
            described: Described::blank(),
        })
    }
}
