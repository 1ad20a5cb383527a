//! What a client is sent while it plays: units as they come, reports where none come, and a note of how it fares.

use std::time::Duration;

use protocol::time::MonoNs;
use shmring::clock;

use super::{Connection, End};
use crate::playback::Outlet;
use crate::recorded::showing::Due;
use crate::scene::Wants;
use crate::transport::Mode;
use crate::unit::Unit;

/// How often the list of clients is told of one to whom nothing but packets happens.
pub(super) const NOTE_EVERY: Duration = Duration::from_secs(1);

impl Connection {
    pub(super) fn wants_units(&self) -> bool {
        match self.session.mode() {
            Some(Mode::Interleaved) => self.outbox.has_room(),
            Some(Mode::Unicast) => self.scene.post.has_room(),
            Some(Mode::Multicast) | None => false,
        }
    }

    /// For whoever looks at the list of clients.
    fn note(&mut self, now: MonoNs) {
        if now >= self.noted + NOTE_EVERY {
            self.noted = now;
            self.hear_of_group();
            self.card.note(&self.session, &self.scene);
        }
    }

    /// Appends units while the client takes them. Which others are waited for, and when one of a recording is due.
    pub(super) fn add_units(&mut self) -> Result<(Wants, Option<MonoNs>), End> {
        let now = clock::mono();
        self.note(now);
        self.scene.post.send(now);
        if let Some(viewing) = &mut self.scene.viewing {
            viewing.look();
        }
        while self.wants_units() && self.add_unit(now)? {}
        let recorded = self.add_recorded()?;
        if self.wants_units() {
            self.add_reports(now);
        }
        let due = if let Due::At(at) = recorded { Some(at) } else { None };
        let wants = Wants { live: self.wants_units(), recorded: matches!(recorded, Due::NotYet) };
        Ok((wants, due))
    }

    /// `false` when there is none.
    fn add_unit(&mut self, now: MonoNs) -> Result<bool, End> {
        let Some(viewing) = &mut self.scene.viewing else { return Ok(false) };
        let Some(unit) = viewing.next(self.peer)? else { return Ok(false) };
        self.write_unit(&unit, now);
        Ok(true)
    }

    /// Appends what is due of a recording, and says what is next.
    fn add_recorded(&mut self) -> Result<Due, End> {
        while self.wants_units() && self.session.playing().is_some() {
            let now = clock::mono();
            match self.scene.desk.take(now) {
                Due::Unit(unit) => self.write_unit(&unit, now),
                Due::Over => {
                    self.say_bye(now);
                    self.session.ended(now);
                }
                Due::Changed => return Err(End::Changed),
                due => return Ok(due),
            }
        }
        Ok(Due::Nothing)
    }

    fn write_unit(&mut self, unit: &Unit, now: MonoNs) {
        let mode = self.session.mode();
        let Some(playback) = self.session.playing() else { return };
        if mode == Some(Mode::Interleaved) {
            playback.write(unit, now, Outlet::Interleaved(self.outbox.append(now)));
        } else {
            playback.write(unit, now, Outlet::Datagrams(self.scene.post.queue()));
            self.scene.post.send(now);
        }
    }

    /// Of what was played, nothing more comes.
    fn say_bye(&mut self, now: MonoNs) {
        let mode = self.session.mode();
        let Some(playback) = self.session.playback() else { return };
        if mode == Some(Mode::Interleaved) {
            playback.bye(Outlet::Interleaved(self.outbox.append(now)));
        } else {
            playback.bye(Outlet::Datagrams(self.scene.post.queue()));
            self.scene.post.send(now);
        }
    }

    /// Of streams for which no unit comes.
    fn add_reports(&mut self, now: MonoNs) {
        let mode = self.session.mode();
        let Some(playback) = self.session.playing() else { return };
        if playback.next_report().is_none_or(|at| at > now) {
            return;
        }
        if mode == Some(Mode::Interleaved) {
            playback.report(now, Outlet::Interleaved(self.outbox.append(now)));
        } else {
            playback.report(now, Outlet::Datagrams(self.scene.post.queue()));
            self.scene.post.send(now);
        }
    }
}
