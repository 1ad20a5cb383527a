//! When descriptors, processes or memory run out: what is kept back, and workers that wait for room.

use protocol::exit::ExitReason;
use protocol::time::MonoNs;

use super::Supervisor;
use crate::lifecycle::Input;
use crate::process::SpawnError;
use crate::reserve::Turn;
use crate::workers::WorkerId;

impl Supervisor {
    /// Takes back what starts and answers did not use; to be called after each turn of the loop.
    pub(super) fn keep_reserve(&mut self) {
        // A thread that hands over opens sockets of its own.
        if !self.hand_overs.is_idle() {
            return;
        }
        match self.reserve.refill() {
            Some(Turn::Short { limit }) => tracing::warn!(
                limit,
                "descriptors run out: the control socket is still served, and workers are \
                 restarted while the reserve lasts; raise `ulimit -n`, or LimitNOFILE= of the unit"
            ),
            Some(Turn::Whole) => tracing::info!("there are descriptors again"),
            None => {}
        }
    }

    /// Told and remembered once in a row: it is tried again every few seconds.
    pub(super) fn no_room(&mut self, at: WorkerId, now: MonoNs, error: &SpawnError) -> Input {
        let reason = ExitReason::Spawn(error.to_string());
        if self.workers[at].life.last_exit() != Some(&reason) {
            tracing::warn!(worker = %self.spec(at).name, %error, "cannot be started for now");
            self.remember(at, now, &reason, None, None);
        }
        Input::NoRoom(error.to_string())
    }
}
