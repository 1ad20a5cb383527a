//! Sessions that may move: whose packets are datagrams, and which therefore need not end with the connection they
//! were made on. Here it is known which task has which, so that a client which comes back can go on with its own.
//!
//! ```text
//!   connection A ── has session S ── lets it be known here under S
//!   connection B ── is asked about S ── asks here ── A hands S over, B goes on with it
//! ```
//! The id alone opens nothing: the new connection comes from the address that the session was made from, and from
//! whom it was made by. A task that
//! has lost its connection keeps its session until it times out (`connection`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use access::Identity;
use tokio::sync::{mpsc, oneshot};

use crate::connection::Estate;

/// A task answers at its next turn; one that does not is about to end.
const HAND_OVER_TIME: Duration = Duration::from_secs(2);

/// All sessions that may move, by their ids.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<BTreeMap<String, Owner>>>);

#[derive(Debug)]
struct Owner {
    peer: IpAddr,
    who: Option<Identity>,
    claims: mpsc::Sender<Claim>,
}

/// To whom a session is to be handed.
pub type Claim = oneshot::Sender<Box<Estate>>;

/// As long as it lives, the session is found.
#[derive(Debug)]
pub struct Listed {
    sessions: Sessions,
    id: String,
    pub claims: mpsc::Receiver<Claim>,
}

impl Sessions {
    /// Lets the session be found by its client's connections.
    pub fn list(&self, id: &str, peer: IpAddr, who: Option<Identity>) -> Listed {
        let (sender, claims) = mpsc::channel(1);
        self.all().insert(id.to_owned(), Owner { peer, who, claims: sender });
        Listed { sessions: self.clone(), id: id.to_owned(), claims }
    }

    /// The session of this id, from whichever task has it; `None` when there is none of `who` at `peer`.
    pub async fn claim(&self, id: &str, peer: IpAddr, who: &Identity) -> Option<Box<Estate>> {
        let is_its = |owner: &&Owner| owner.peer == peer && owner.who.as_ref() == Some(who);
        let claims = self.all().get(id).filter(is_its)?.claims.clone();
        let (sender, mut handed) = oneshot::channel();
        claims.try_send(sender).ok()?;
        match tokio::time::timeout(HAND_OVER_TIME, &mut handed).await {
            Ok(handed) => handed.ok(),
            Err(_) => {
                // What is handed over in this very moment is not lost.
                handed.close();
                handed.try_recv().ok()
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Owner>> {
        // Nothing under the lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listed {
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.claims.close();
        let mut all = self.sessions.all();
        // Who goes on with it has listed it anew.
        if all.get(&self.id).is_some_and(|owner| owner.claims.is_closed()) {
            all.remove(&self.id);
        }
    }
}
