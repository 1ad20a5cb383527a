//! While a connection sleeps, the camera's relay sends to its viewer.

use std::sync::Arc;

use shmring::clock;

use super::Connection;
use crate::relay::{Carriage, Carried};
use crate::scene::Wants;

impl Connection {
    /// Gives the viewer to its relay when everything is sent that was there.
    pub(super) fn board(&mut self, wants: Wants) -> Option<Carriage> {
        if !wants.live || !self.outbox.waiting().is_empty() || self.scene.viewing.is_none() {
            return None;
        }
        let relay = Arc::clone(self.scene.relay.as_ref()?);
        let line = Arc::clone(self.wire.line()?);
        let playback = self.session.lend()?;
        let viewing = self.scene.viewing.take()?;
        let carried = Carried { peer: self.peer, line, playback, viewing, rest: Vec::new() };
        match relay.carry(carried) {
            Ok(carriage) => Some(carriage),
            Err(back) => {
                // It has ended: not by what this viewer did, and for good.
                self.scene.relay = None;
                self.take_back(*back);
                None
            }
        }
    }

    /// Takes it back.
    pub(super) fn alight(&mut self, carriage: Option<Carriage>) {
        if let Some(carried) = carriage.and_then(Carriage::stop) {
            self.take_back(carried);
        }
    }

    fn take_back(&mut self, carried: Carried) {
        let Carried { playback, viewing, rest, .. } = carried;
        self.session.take_back(playback);
        self.scene.viewing = Some(viewing);
        if !rest.is_empty() {
            self.outbox.append(clock::mono()).extend(rest);
        }
    }
}

/// Returns when the relay does no more for the viewer; never without one.
pub(super) async fn stopped(carriage: Option<&Carriage>) {
    match carriage {
        Some(carriage) => carriage.stopped().await,
        None => std::future::pending().await,
    }
}
