//! What a SETUP asks for, and what has to be made ready before it can be answered: ports and groups are bound outside,
//! since the session itself touches no socket.

use std::net::IpAddr;
use std::sync::Arc;

use rtsp_types::{Method, Request, StatusCode, headers};

use super::{Cameras, Session, chosen, find, target};
use crate::playback::Wanted;
use crate::reply::Refusal;
use crate::sdp::Presentation;
use crate::transport::{self, Group, Offer, Ports, Reach};

/// What a SETUP may use beside the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reserved {
    /// Ports of ours that packets of this client can come from.
    pub ports: Option<Ports>,
    /// The group of the track that is set up.
    pub group: Option<Group>,
}

impl Reserved {
    pub(super) fn reach(&self, peer: IpAddr) -> Reach {
        let (multicast, unicast) = (self.group.is_some(), self.ports.is_some());
        Reach { peer, interleaved: true, multicast, unicast }
    }

    /// What was made ready for this offer.
    pub(super) fn wanted(self, offer: Offer) -> Option<Wanted> {
        Some(match offer {
            Offer::Interleaved { wanted } => Wanted::Interleaved(wanted),
            Offer::Multicast => Wanted::Multicast(self.group?),
            Offer::Unicast { client } => Wanted::Unicast { client, server: self.ports? },
        })
    }
}

/// What a SETUP comes to, as far as nothing is to be made ready for it.
#[derive(Debug)]
pub struct Wish {
    pub presentation: Arc<Presentation>,
    /// Index of the track.
    pub track: u32,
    pub offer: Offer,
}

impl Session {
    /// What a SETUP asks for, when no more than `reach` is in the way; `None` for one that is refused in any case.
    pub fn wish(
        &self,
        request: &Request<Vec<u8>>,
        cameras: &dyn Cameras,
        reach: Reach,
    ) -> Option<Wish> {
        if *request.method() != Method::Setup || self.playing {
            return None;
        }
        self.wished(request, cameras, reach).ok()
    }

    pub(super) fn wished(
        &self,
        request: &Request<Vec<u8>>,
        cameras: &dyn Cameras,
        reach: Reach,
    ) -> Result<Wish, Refusal> {
        let target = target(request)?;
        let presentation = find(&target, cameras)?;
        let track = chosen(&target, &presentation)?.index;
        let header = request.header(&headers::TRANSPORT).ok_or(StatusCode::BadRequest)?;
        let offer = transport::accept(header.as_str(), &reach.within(self.mode()));
        Ok(Wish { presentation, track, offer: offer.ok_or(StatusCode::UnsupportedTransport)? })
    }
}
