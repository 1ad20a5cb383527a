//! How many may be inside, and how many of them from one address. Each connection holds a seat.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections beyond the places for clients that are at least told 503; more are closed unheard.
const REFUSED_MAX: usize = 64;
/// Of one address, unless the topology says otherwise: a wall of screens has fewer, and four such addresses
/// are needed to take every place there is by default.
const PER_ADDRESS: usize = 64;

/// Who is inside.
#[derive(Clone, Debug)]
pub struct Crowd {
    clients: usize,
    per_address: usize,
    /// Of this machine itself.
    local: usize,
    seats: Arc<Mutex<Seats>>,
}

#[derive(Debug, Default)]
struct Seats {
    served: usize,
    /// Those that are only told so: whoever is refused takes no place of others.
    refused: usize,
    /// Those that are served, by where they come from.
    origins: HashMap<IpAddr, usize>,
}

/// A connection's place; given back when it goes.
#[derive(Debug)]
pub struct Seat {
    origin: IpAddr,
    pub why: Welcome,
    seats: Arc<Mutex<Seats>>,
}

/// Whether a connection is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// All places are taken.
    Full,
    Served,
    /// Its address has as many as it may.
    TooMany,
}

impl Crowd {
    /// `per_address`: without one, 64, and no limit for this machine itself, whose programs share one address.
    pub fn new(clients: usize, per_address: Option<usize>) -> Self {
        let local = per_address.unwrap_or(usize::MAX);
        let per_address = per_address.unwrap_or(PER_ADDRESS);
        Self { clients, per_address, local, seats: Arc::default() }
    }

    /// So many places, of which this machine itself may have all and another address its share.
    pub fn shared(places: usize, share: usize) -> Self {
        Self { clients: places, per_address: share, local: usize::MAX, seats: Arc::default() }
    }

    /// A seat for who comes from `peer`; `None` when there is not even one to be told so.
    pub fn enter(&self, peer: SocketAddr) -> Option<Seat> {
        let origin = access::origin(peer.ip());
        let mut seats = lock(&self.seats);
        let from_there = seats.origins.get(&origin).copied().unwrap_or_default();
        let why = if from_there >= self.most_from(origin) {
            Welcome::TooMany
        } else if seats.served >= self.clients {
            Welcome::Full
        } else {
            Welcome::Served
        };
        if why == Welcome::Served {
            seats.served += 1;
            *seats.origins.entry(origin).or_default() += 1;
        } else if seats.refused < REFUSED_MAX {
            seats.refused += 1;
        } else {
            return None;
        }
        drop(seats);
        Some(Seat { origin, why, seats: Arc::clone(&self.seats) })
    }

    /// A seat for who is served, and nothing for others.
    pub fn serve(&self, peer: SocketAddr) -> Option<Seat> {
        self.enter(peer).filter(|seat| seat.why == Welcome::Served)
    }

    /// Seats that are taken now.
    pub fn inside(&self) -> usize {
        let seats = lock(&self.seats);
        seats.served + seats.refused
    }

    fn most_from(&self, origin: IpAddr) -> usize {
        if origin.is_loopback() { self.local } else { self.per_address }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = lock(&self.seats);
        if self.why != Welcome::Served {
            seats.refused -= 1;
            return;
        }
        seats.served -= 1;
        if let Some(count) = seats.origins.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                seats.origins.remove(&self.origin);
            }
        }
    }
}

fn lock(seats: &Mutex<Seats>) -> MutexGuard<'_, Seats> {
    seats.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 40_000)
    }

    fn why(crowd: &Crowd, ip: &str) -> Option<(Welcome, Seat)> {
        crowd.enter(from(ip)).map(|seat| (seat.why, seat))
    }

    #[test]
    fn places_are_given_until_there_are_none_and_come_back() {
        let crowd = Crowd::new(2, None);
        let first = crowd.enter(from("127.0.0.1")).unwrap();
        let _second = crowd.enter(from("127.0.0.1")).unwrap();
        let told: Vec<Seat> =
            (0..REFUSED_MAX).map(|_| crowd.enter(from("127.0.0.1")).unwrap()).collect();
        assert!(told.iter().all(|seat| seat.why == Welcome::Full));
        assert!(crowd.enter(from("127.0.0.1")).is_none());
        assert_eq!(crowd.inside(), 2 + REFUSED_MAX);
        drop((told, first));
        assert_eq!(why(&crowd, "127.0.0.1").unwrap().0, Welcome::Served);
    }

    #[test]
    fn one_address_does_not_take_every_place() {
        let crowd = Crowd::new(100, Some(3));
        let seats: Vec<Seat> = (0..3).map(|_| crowd.enter(from("2001:db8::1")).unwrap()).collect();
        assert!(seats.iter().all(|seat| seat.why == Welcome::Served));
        // Another address of the same neighbourhood is the same.
        assert_eq!(why(&crowd, "2001:db8::ffff").unwrap().0, Welcome::TooMany);
        assert_eq!(why(&crowd, "2001:db8:0:1::1").unwrap().0, Welcome::Served);
        drop(seats);
        assert_eq!(why(&crowd, "2001:db8::1").unwrap().0, Welcome::Served);
    }

    #[test]
    fn who_is_refused_takes_no_place_of_others() {
        let crowd = Crowd::new(10, Some(3));
        let seats: Vec<Seat> = std::iter::from_fn(|| crowd.enter(from("10.0.0.7"))).collect();
        assert_eq!(seats.len(), 3 + REFUSED_MAX);
        assert_eq!(seats.iter().filter(|seat| seat.why == Welcome::TooMany).count(), REFUSED_MAX);
        for address in ["10.0.0.8", "10.0.0.9"] {
            let others: Vec<_> = (0..3).map(|_| crowd.enter(from(address)).unwrap()).collect();
            assert!(others.iter().all(|seat| seat.why == Welcome::Served), "{address}");
        }
    }

    #[test]
    fn of_few_places_an_address_has_its_share_and_this_machine_may_have_all() {
        let crowd = Crowd::shared(4, 2);
        let far: Vec<Seat> = (0..9).filter_map(|_| crowd.serve(from("10.0.0.7"))).collect();
        let near: Vec<Seat> = (0..9).filter_map(|_| crowd.serve(from("127.0.0.1"))).collect();
        assert_eq!((far.len(), near.len(), crowd.inside()), (2, 2, 4));
        drop(far);
        assert!(crowd.serve(from("10.0.0.7")).is_some());
    }

    #[test]
    fn this_machine_itself_is_limited_only_when_the_topology_says_so() {
        let crowd = Crowd::new(1000, None);
        let near: Vec<Seat> = (0..500).map(|_| crowd.enter(from("127.0.0.1")).unwrap()).collect();
        assert!(near.iter().all(|seat| seat.why == Welcome::Served));
        let far: Vec<Seat> = (0..65).map(|_| crowd.enter(from("10.0.0.7")).unwrap()).collect();
        let served = far.iter().filter(|seat| seat.why == Welcome::Served).count();
        assert_eq!(served, PER_ADDRESS);
        let strict = Crowd::new(1000, Some(1));
        let _one = strict.enter(from("127.0.0.1")).unwrap();
        assert_eq!(why(&strict, "127.0.0.1").unwrap().0, Welcome::TooMany);
    }
}
