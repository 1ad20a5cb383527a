//! What all connections of a server share about who may come in.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use access::{Access, Guesses, Turn};
use protocol::time::MonoNs;

/// The rules, and the wrong passwords of the last minute.
#[derive(Debug)]
pub struct Lobby {
    access: Access,
    guesses: Mutex<Guesses>,
}

impl Lobby {
    pub fn new(access: Access) -> Self {
        Self { access, guesses: Mutex::default() }
    }

    pub fn access(&self) -> &Access {
        &self.access
    }

    /// When a password of `user` from `address` may be looked at.
    pub fn turn(&self, address: IpAddr, user: &str, now: MonoNs) -> Turn {
        self.lock().turn(address, user, now)
    }

    /// It was wrong. When to say so.
    pub fn wrong(&self, peer: SocketAddr, user: &str, now: MonoNs) -> MonoNs {
        let noted = self.lock().wrong(peer.ip(), user, now);
        if noted.is_news {
            // Not the name: people type passwords into that field.
            tracing::warn!(client = %peer, wrong = noted.wrong, "wrong password");
        }
        noted.answer
    }

    /// For the worker's status.
    pub fn told(&self, now: MonoNs) -> Option<String> {
        self.lock().told(now)
    }

    fn lock(&self) -> MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
