//! At most so many things a second. Pure.

use std::time::Duration;

use protocol::time::MonoNs;

const WINDOW: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    per_second: u32,
    window: MonoNs,
    seen: u32,
}

impl Meter {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second, window: MonoNs(0), seen: 0 }
    }

    /// Counts one; false when it is one too many.
    pub(crate) fn allows(&mut self, now: MonoNs) -> bool {
        if now.saturating_since(self.window) >= WINDOW {
            self.window = now;
            self.seen = 0;
        }
        self.seen = self.seen.saturating_add(1);
        self.seen <= self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_a_second_is_refused_until_the_next() {
        let mut meter = Meter::new(3);
        let at = |ms: u64| MonoNs(5_000_000_000 + ms * 1_000_000);
        let allowed = (0..10).filter(|ms| meter.allows(at(*ms))).count();
        assert_eq!(allowed, 3);
        assert!(meter.allows(at(1000)));
    }
}
