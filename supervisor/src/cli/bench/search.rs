//! Which number is tried next. Pure.

/// Twice as many until it is too many, then between, until the rest does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Search {
    max: u32,
    good: u32,
    bad: Option<u32>,
}

impl Search {
    pub(super) fn up_to(max: u32) -> Self {
        Self { max, good: 0, bad: None }
    }

    /// `None` when it is known well enough: to an eighth.
    pub(super) fn next(self) -> Option<u32> {
        match self.bad {
            None if self.good == self.max => None,
            None => Some((self.good * 2).clamp(1, self.max)),
            Some(bad) => {
                let open = bad - self.good;
                (open > (self.good / 8).max(1)).then_some(self.good + open / 2)
            }
        }
    }

    pub(super) fn note(&mut self, cameras: u32, is_good: bool) {
        if is_good {
            self.good = self.good.max(cameras);
        } else {
            self.bad = Some(self.bad.map_or(cameras, |bad| bad.min(cameras)));
        }
    }

    pub(super) fn good(self) -> u32 {
        self.good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(max: u32, limit: u32) -> (Vec<u32>, u32) {
        let (mut search, mut tried) = (Search::up_to(max), Vec::new());
        while let Some(cameras) = search.next() {
            tried.push(cameras);
            search.note(cameras, cameras <= limit);
        }
        (tried, search.good())
    }

    #[test]
    fn numbers_double_until_one_is_too_many_and_then_close_in() {
        assert_eq!(tried(256, 21), (vec![1, 2, 4, 8, 16, 32, 24, 20, 22], 20));
        assert_eq!(tried(6, 100), (vec![1, 2, 4, 6], 6));
        assert_eq!(tried(6, 0), (vec![1], 0));
    }
}
