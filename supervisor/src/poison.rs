//! Items that kill: one that was in hand at two deaths in a row is passed over from then on. Pure.

use std::collections::VecDeque;

use protocol::control::ItemId;
use protocol::exit::ExitReason;
use serde::{Deserialize, Serialize};

/// Newest items passed over: a stream that is damaged all through must not fill the memory.
const PASSED_OVER_MAX: usize = 64;

/// One worker's memory of the items it died on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Poison {
    suspect: Option<ItemId>,
    passed_over: VecDeque<ItemId>,
}

impl Poison {
    /// It died with `item` in hand. The item that is passed over from now on, if this death proves it.
    pub(crate) fn on_death(&mut self, reason: &ExitReason, item: Option<ItemId>) -> Option<ItemId> {
        let item = item.filter(|_| reason.may_be_the_inputs_fault());
        let proven = item.filter(|item| self.suspect == Some(*item));
        self.suspect = item.filter(|_| proven.is_none());
        if let Some(item) = proven {
            if self.passed_over.len() == PASSED_OVER_MAX {
                self.passed_over.pop_front();
            }
            self.passed_over.push_back(item);
        }
        proven
    }

    /// Oldest first.
    pub(crate) fn passed_over(&self) -> Vec<ItemId> {
        self.passed_over.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABORT: ExitReason = ExitReason::Signal { number: 6, core: false };
    const KILL: ExitReason = ExitReason::Signal { number: 9, core: false };

    fn item(sequence: u64) -> Option<ItemId> {
        Some(ItemId { epoch: 7, sequence })
    }

    #[test]
    fn the_second_death_in_a_row_on_the_same_item_passes_it_over() {
        let mut poison = Poison::default();
        assert_eq!(poison.on_death(&ABORT, item(3)), None);
        assert_eq!(poison.on_death(&ABORT, item(3)), item(3));
        assert_eq!(poison.passed_over(), [item(3).unwrap()]);
    }

    #[test]
    fn deaths_on_other_items_or_on_none_prove_nothing() {
        let mut poison = Poison::default();
        for sequence in [Some(3), Some(4), Some(3), None, Some(3), None] {
            assert_eq!(poison.on_death(&ABORT, sequence.and_then(item)), None);
        }
    }

    #[test]
    fn who_is_killed_from_outside_has_not_died_of_its_item() {
        let mut poison = Poison::default();
        for reason in [&KILL, &KILL, &ABORT, &KILL, &ABORT, &ExitReason::Operator, &ABORT] {
            assert_eq!(poison.on_death(reason, item(3)), None);
        }
        assert_eq!(poison.on_death(&ExitReason::NoHeartbeat, item(3)), item(3));
    }

    #[test]
    fn only_the_newest_are_remembered() {
        let mut poison = Poison::default();
        for sequence in 0..200 {
            poison.on_death(&ABORT, item(sequence));
            poison.on_death(&ABORT, item(sequence));
        }
        assert_eq!(poison.passed_over().len(), PASSED_OVER_MAX);
        assert_eq!(poison.passed_over().last().copied(), item(199));
    }
}
