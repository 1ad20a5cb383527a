//! A client that publishes is handed on to the worker of its camera.

use std::os::fd::AsFd;

use rtsp_types::Request;

use super::{Connection, End, GOODBYE_TIME};
use crate::publishers::{self, Ends};
use crate::reply::Reply;

impl Connection {
    /// Whether a publisher was answered; one that was handed on is gone from here.
    pub(super) async fn hand_on(&mut self, request: &Request<Vec<u8>>) -> Result<bool, End> {
        let doors = self.house.feeds.doors().filter(|_| self.session.is_fresh());
        // What goes through TLS or a tunnel is nothing that another process could read on.
        let (Some(doors), true) = (doors.map(ToOwned::to_owned), self.wire.is_plain()) else {
            return Ok(false);
        };
        let ends = Ends { peer: self.peer, local: self.local };
        let handed = match publishers::camera_of(request, self.peer, &self.house.feeds) {
            Ok(path) => {
                // What was answered before comes first.
                self.flush_within(GOODBYE_TIME).await?;
                let behind = self.inbox.unread();
                publishers::hand_on(&doors, &path, self.wire.as_fd(), ends, request, behind)
            }
            Err(refusal) => Some(Err(refusal)),
        };
        match handed {
            Some(Ok(())) => Err(End::HandedOn),
            Some(Err(refusal)) => {
                self.respond(&Reply::from(refusal).response(request));
                Ok(true)
            }
            None => Ok(false),
        }
    }
}
