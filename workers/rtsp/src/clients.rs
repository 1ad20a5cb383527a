//! Who is connected, and how each fares: for `ps -o json`, which reads what the worker writes of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::admin::{ClientReception, ClientStatus};
use protocol::time::MonoNs;

use crate::playback::Playback;
use crate::rtp::reception::Reception;
use crate::scene::{Scene, Tally};
use crate::session::Session;
use crate::transport::Mode;

/// All clients.
#[derive(Clone, Debug, Default)]
pub struct Clients(Arc<Mutex<Guests>>);

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    guests: BTreeMap<u64, Guest>,
}

/// What is known of a client.
#[derive(Clone, Debug)]
struct Guest {
    address: SocketAddr,
    since: MonoNs,
    camera: String,
    transport: &'static str,
    playing: bool,
    /// Of a camera.
    watched: Option<Arc<Tally>>,
    /// Units of a recording.
    recorded: u64,
    reception: Option<Reception>,
}

/// A client's line in the list. It is listed while this lives.
#[derive(Debug)]
pub struct Card {
    clients: Clients,
    number: u64,
}

impl Clients {
    /// Lists a client that came at `now`.
    pub fn welcome(&self, address: SocketAddr, now: MonoNs) -> Card {
        let mut all = self.all();
        let number = all.next;
        all.next += 1;
        let guest = Guest {
            address,
            since: now,
            camera: String::new(),
            transport: "",
            playing: false,
            watched: None,
            recorded: 0,
            reception: None,
        };
        all.guests.insert(number, guest);
        Card { clients: self.clone(), number }
    }

    /// As `ps` shows them.
    pub fn told(&self, now: MonoNs) -> Vec<ClientStatus> {
        self.all().guests.values().map(|guest| guest.told(now)).collect()
    }

    fn all(&self) -> MutexGuard<'_, Guests> {
        // Nothing under the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Card {
    /// How the client fares now.
    pub fn note(&self, session: &Session, scene: &Scene) {
        let mut all = self.clients.all();
        let Some(guest) = all.guests.get_mut(&self.number) else { return };
        let playback = session.playback();
        let camera = playback.map_or("", |playback| playback.presentation().path());
        if guest.camera != camera {
            camera.clone_into(&mut guest.camera);
        }
        guest.transport = session.mode().map_or("", Mode::as_str);
        guest.playing = playback.is_some_and(Playback::plays);
        guest.watched = scene.viewing.as_ref().map(|viewing| Arc::clone(viewing.tally()));
        guest.recorded = scene.desk.units();
        guest.reception = playback.and_then(worst);
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        self.clients.all().guests.remove(&self.number);
    }
}

/// Of the track that loses most.
fn worst(playback: &Playback) -> Option<Reception> {
    let said = playback.fares().filter_map(|fare| fare.reception);
    said.max_by(|a, b| a.loss.total_cmp(&b.loss)).copied()
}

impl Guest {
    fn told(&self, now: MonoNs) -> ClientStatus {
        let since = |then: MonoNs| now.saturating_since(then).as_secs_f64();
        let (units, skipped) =
            self.watched.as_ref().map_or((self.recorded, 0), |tally| tally.counts());
        let reception = self.reception.map(|seen| ClientReception {
            age_s: since(seen.at),
            loss: seen.loss,
            lost: seen.lost.into(),
            jitter_ms: seen.jitter.as_secs_f64() * 1e3,
            round_trip_ms: seen.round_trip.map(|time| time.as_secs_f64() * 1e3),
        });
        ClientStatus {
            address: self.address.to_string(),
            camera: self.camera.clone(),
            transport: self.transport.to_owned(),
            playing: self.playing,
            connected_s: since(self.since),
            units,
            skipped,
            reception,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::desk::Desk;
    use crate::recorded::shelf::Shelf;

    #[test]
    fn a_client_is_listed_while_it_is_there() {
        let (clients, now) = (Clients::default(), MonoNs(5_000_000_000));
        let first = clients.welcome("10.0.0.7:5000".parse().unwrap(), MonoNs(3_000_000_000));
        let second = clients.welcome("10.0.0.8:5000".parse().unwrap(), now);
        let shelf = Arc::new(Shelf::new(protocol::config::Shelf::None));
        let scene = Scene::new(Desk::new(shelf, "127.0.0.1:5".parse().unwrap()), now);
        first.note(&Session::new(now), &scene);
        let told = clients.told(now);
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].address.as_str(), told[0].connected_s), ("10.0.0.7:5000", 2.0));
        assert_eq!((told[0].camera.as_str(), told[0].transport.as_str()), ("", ""));
        drop(first);
        assert_eq!(clients.told(now)[0].address, "10.0.0.8:5000");
        drop(second);
        assert!(clients.told(now).is_empty());
    }
}
