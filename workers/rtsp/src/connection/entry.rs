//! Who the client is, before it is answered: who guesses waits, and who says nothing is let go.

use access::Turn;
use protocol::time::MonoNs;
use rtsp_types::{Request, Response};
use shmring::clock;

use super::{Connection, End};
use crate::admission::Ruling;
use crate::chance::Chance;
use crate::reply;

impl Connection {
    /// What the request is refused with, unless whom it comes from may have it answered.
    pub(super) async fn refusal(
        &mut self,
        request: &Request<Vec<u8>>,
    ) -> Result<Option<Response<Vec<u8>>>, End> {
        let claimed = self.admission.claimed(request);
        if let Some(user) = claimed.as_deref().filter(|user| !self.admission.is_already(user)) {
            match self.house.lobby.turn(self.peer.ip(), user, clock::mono()) {
                Turn::Now => {}
                Turn::At(at) => self.wait_until(at).await?,
                Turn::Never => {
                    self.respond(&reply::full(request));
                    return Err(End::Guessing);
                }
            }
        }
        match self.admission.judge(request, clock::mono(), Chance::nonce()?) {
            Ruling::Answer => {
                if self.admission.is_known() {
                    self.inbox.trust();
                }
                Ok(None)
            }
            Ruling::Refuse(response) => Ok(Some(response)),
            Ruling::Wrong(response) => {
                let user = claimed.unwrap_or_default();
                let at = self.house.lobby.wrong(self.peer, &user, clock::mono());
                self.wait_until(at).await?;
                Ok(Some(response))
            }
        }
    }

    /// Nothing else happens here meanwhile; no longer than the client may be unknown.
    async fn wait_until(&self, at: MonoNs) -> Result<(), End> {
        let until = self.admission.stranger_until();
        let first = until.map_or(at, |until| until.min(at));
        tokio::time::sleep(first.saturating_since(clock::mono())).await;
        if first < at { Err(End::Stranger) } else { Ok(()) }
    }
}
