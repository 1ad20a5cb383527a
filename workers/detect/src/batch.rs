//! When the pictures that have come go through the model: as soon as no more can come, else after a short wait.
//! Pure; time is an argument.

use std::time::Duration;

use protocol::time::MonoNs;

/// The pictures of one run, as they come together.
#[derive(Clone, Debug)]
pub struct Batch<T> {
    most: usize,
    wait: Duration,
    begun: MonoNs,
    pictures: Vec<T>,
}

impl<T> Batch<T> {
    /// `most` is at least 1; `wait`: how long the first picture waits for others.
    pub fn new(most: usize, wait: Duration) -> Self {
        Self { most: most.max(1), wait, begun: MonoNs(0), pictures: Vec::new() }
    }

    pub fn put(&mut self, picture: T, now: MonoNs) {
        if self.pictures.is_empty() {
            self.begun = now;
        }
        self.pictures.push(picture);
    }

    pub fn is_full(&self) -> bool {
        self.pictures.len() >= self.most
    }

    /// How many more fit in.
    pub fn room(&self) -> usize {
        self.most.saturating_sub(self.pictures.len())
    }

    /// Whether they go now. `others`: cameras that have given nothing to this batch and could.
    pub fn is_due(&self, now: MonoNs, others: usize) -> bool {
        let is_patient = others > 0 && now.saturating_since(self.begun) < self.wait;
        !self.pictures.is_empty() && (self.is_full() || !is_patient)
    }

    pub fn pictures(&self) -> &[T] {
        &self.pictures
    }

    pub fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.pictures)
    }
}

/// Whose turn it is: who gave a picture last is asked last. So all cameras have their turn when more pictures come
/// than the model can see.
#[derive(Clone, Copy, Debug)]
pub struct Turns {
    cameras: usize,
    first: usize,
}

impl Turns {
    pub fn of(cameras: usize) -> Self {
        Self { cameras, first: 0 }
    }

    /// All of them, each once, in the order in which they are asked now.
    pub fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let Self { cameras, first } = *self;
        (0..cameras).map(move |turn| (first + turn) % cameras)
    }

    /// This one has given a picture.
    pub fn gave(&mut self, camera: usize) {
        self.first = (camera + 1) % self.cameras.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(20);

    fn at(ms: u64) -> MonoNs {
        MonoNs(1_000_000_000 + ms * 1_000_000)
    }

    #[test]
    fn a_single_camera_waits_for_nobody() {
        let mut batch = Batch::new(8, WAIT);
        assert!(!batch.is_due(at(0), 0));
        batch.put('a', at(0));
        assert!(batch.is_due(at(0), 0));
        assert_eq!((batch.take(), batch.is_due(at(0), 0)), (vec!['a'], false));
    }

    #[test]
    fn a_picture_waits_for_those_of_others_but_not_for_long() {
        let mut batch = Batch::new(8, WAIT);
        batch.put('a', at(0));
        assert!(!batch.is_due(at(0), 2) && !batch.is_due(at(19), 2) && batch.is_due(at(20), 2));
        batch.put('b', at(10));
        // The wait is that of the first.
        assert!(batch.is_due(at(20), 1) && batch.is_due(at(11), 0));
    }

    #[test]
    fn a_full_batch_goes_at_once() {
        let mut batch = Batch::new(2, WAIT);
        batch.put('a', at(0));
        assert_eq!((batch.room(), batch.is_full()), (1, false));
        batch.put('b', at(0));
        assert!(batch.is_full() && batch.is_due(at(0), 5));
        assert_eq!(batch.take(), ['a', 'b']);
        // The next one begins its own wait.
        batch.put('c', at(50));
        assert!(!batch.is_due(at(51), 1));
    }

    #[test]
    fn all_cameras_have_their_turn_when_the_model_is_slower_than_they_are() {
        let mut turns = Turns::of(5);
        let mut seen = [0; 5];
        // Two fit in, and all five have a new picture each time.
        for _ in 0..10 {
            let order: Vec<usize> = turns.order().collect();
            for camera in order.into_iter().take(2) {
                seen[camera] += 1;
                turns.gave(camera);
            }
        }
        assert_eq!(seen, [4; 5]);
        assert_eq!(Turns::of(0).order().count(), 0);
    }
}
