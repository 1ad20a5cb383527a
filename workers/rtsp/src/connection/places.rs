//! Sessions whose packets are datagrams: ports and groups are made ready, reports are heard, and the session may go on
//! by another connection or, for a while, by none.

use std::sync::Arc;

use access::Identity;
use protocol::time::MonoNs;
use rtsp_types::{Method, Request};
use shmring::clock;

use super::{Connection, End, claimed};
use crate::cast::Cast;
use crate::datagram::at_port;
use crate::datagram::ports::Pair;
use crate::envelope::Datagrams;
use crate::inbox::Inbox;
use crate::outbox::Outbox;
use crate::playback::Outlet;
use crate::rtp::sender::Beginning;
use crate::scene::{Scene, Viewing};
use crate::session::{Moving, Reserved, Wish};
use crate::sessions::Claim;
use crate::transport::{Group, Mode, Offer, Place, Reach};

/// A session with all that belongs to it.
#[derive(Debug)]
pub struct Estate {
    moving: Moving,
    scene: Scene,
}

/// What was made ready for a SETUP.
#[derive(Debug)]
pub(super) enum Ready {
    Cast(Arc<Cast>, Group),
    Nothing,
    Ports(Pair),
}

impl Ready {
    pub(super) fn reserved(&self) -> Reserved {
        match self {
            Self::Cast(_, group) => Reserved { ports: None, group: Some(*group) },
            Self::Nothing => Reserved::default(),
            Self::Ports(pair) => Reserved { ports: Some(pair.ports), group: None },
        }
    }
}

impl Connection {
    /// Binds what a SETUP needs. Without it the client's next offer is taken, or it is refused.
    pub(super) fn make_ready(&self, request: &Request<Vec<u8>>, beginning: Beginning) -> Ready {
        if *request.method() != Method::Setup {
            return Ready::Nothing;
        }
        let mut reach = Reach {
            peer: self.peer.ip(),
            interleaved: true,
            // Who asked for TLS does not want to be sent anything in the clear.
            multicast: !self.wire.is_secure() && self.house.casts.reaches(self.local.ip()),
            unicast: !self.wire.is_secure() && self.house.ports.is_open(),
        };
        let cameras = self.scene.desk.cameras(&self.house.feeds);
        while let Some(wish) = self.session.wish(request, &cameras, reach) {
            let ready = match wish.offer {
                Offer::Interleaved { .. } => return Ready::Nothing,
                Offer::Multicast => {
                    reach.multicast = false;
                    self.cast_of(&wish, beginning)
                }
                Offer::Unicast { .. } => {
                    reach.unicast = false;
                    self.house.ports.bind(self.local).map(Ready::Ports)
                }
            };
            if let Some(ready) = ready {
                return ready;
            }
            // What was recorded is sent to no group: each viewer is elsewhere in it.
            if wish.presentation.window().is_none() {
                tracing::warn!(client = %self.peer, "no free ports for datagrams: widen `udp_ports` or `multicast`");
            }
        }
        Ready::Nothing
    }

    fn cast_of(&self, wish: &Wish, beginning: Beginning) -> Option<Ready> {
        let feed = self.house.feeds.get(wish.presentation.path())?;
        let local = at_port(self.local, 0);
        let (casts, presentation) = (&self.house.casts, &wish.presentation);
        let (cast, group) = casts.of(feed, presentation, wish.track, local, beginning)?;
        Some(Ready::Cast(cast, group))
    }

    /// A track was set up, or torn down, of which `last` is said.
    pub(super) fn place(&mut self, track: u32, ready: Ready, last: Datagrams) -> Result<(), End> {
        match (self.session.place(track), ready) {
            (None, _) => {
                self.scene.post.end_track(track, last);
                if self.session.playing().is_none() {
                    self.scene.pause(self.peer, clock::mono());
                }
            }
            (Some(Place::Multicast(_)), Ready::Cast(cast, _)) => self.scene.cast = Some(cast),
            (Some(Place::Unicast { client, .. }), Ready::Ports(pair)) => {
                self.scene.post.add(track, pair, self.peer, client, None)?;
            }
            (Some(_), _) => {}
        }
        Ok(())
    }

    /// PLAY was answered: units may follow.
    pub(super) fn begin_viewing(&mut self) -> Result<(), End> {
        let mode = self.session.mode();
        if mode != Some(Mode::Interleaved) {
            // So that the answer is on its way before the packets are.
            self.write()?;
        }
        let Some(playback) = self.session.playing() else { return Ok(()) };
        let presentation = playback.presentation();
        self.outbox.widen();
        if presentation.window().is_some() {
            self.scene.desk.begin(presentation.path(), clock::mono());
            return Ok(());
        }
        let feed = self.house.feeds.get(presentation.path()).ok_or(End::Changed)?;
        let transport = mode.map_or("", Mode::as_str);
        tracing::info!(client = %self.peer, camera = feed.path(), transport, "viewer begins");
        if mode == Some(Mode::Multicast) {
            self.scene.sit();
        } else {
            let viewer = feed.join(presentation).ok_or(End::Changed)?;
            self.scene.viewing = Some(Viewing::new(Arc::clone(feed), viewer));
            let is_over_tcp = mode == Some(Mode::Interleaved);
            self.scene.relay = is_over_tcp.then(|| self.house.relays.of(feed));
        }
        Ok(())
    }

    /// The reports that came by datagrams.
    pub(super) fn hear_reports(&mut self) {
        let now = clock::mono();
        for report in self.scene.post.reports() {
            // From whichever port: routers change it.
            if report.from == self.peer.ip() {
                self.session.hear_of(report.track, &report.bytes, now);
                self.noted = MonoNs(0);
            }
        }
    }

    /// What the client reported to its group.
    pub(super) fn hear_of_group(&mut self) {
        let Some(cast) = &self.scene.cast else { return };
        // Viewers of a group are told apart by their addresses alone: without its connection this one may be long gone, and
        // what comes be of another one at the same address.
        if self.is_alone {
            return;
        }
        for (track, packet, at) in cast.heard(self.peer.ip()) {
            self.session.hear_of(track, &packet, at);
        }
    }

    /// Lets the session be found while it may move.
    pub(super) fn list(&mut self) {
        match self.session.movable() {
            None => self.listed = None,
            Some(id) if self.listed.as_ref().is_some_and(|listed| listed.id() == id) => {}
            Some(id) => {
                let who = self.admission.owner().cloned();
                self.listed = Some(self.house.sessions.list(id, self.peer.ip(), who));
            }
        }
    }

    /// Gives the session to another connection of the client.
    pub(super) fn hand_over(&mut self, claim: Claim) {
        self.listed = None;
        if claim.is_closed() {
            return self.list();
        }
        let Some(moving) = self.session.give_up() else { return };
        let empty = self.empty_scene();
        let scene = std::mem::replace(&mut self.scene, empty);
        self.noted = MonoNs(0);
        if let Err(estate) = claim.send(Box::new(Estate { moving, scene })) {
            // It left in this very moment: the session stays here.
            self.take_over(*estate);
        }
    }

    /// Fetches the session that a request names, when another connection of the client had it.
    pub(super) async fn claim_named(&mut self, request: &Request<Vec<u8>>) {
        let Some(id) = self.session.names_another(request) else { return };
        // Who was not asked has no name: OPTIONS is everybody's, and keeps alive as well.
        let nobody = Identity::Anyone;
        let who = self.admission.who().unwrap_or(&nobody);
        if let Some(estate) = self.house.sessions.claim(id, self.peer.ip(), who).await {
            tracing::info!(client = %self.peer, "a session goes on by this connection");
            self.admission.goes_on();
            self.take_over(*estate);
        }
    }

    fn take_over(&mut self, estate: Estate) {
        self.session.take_over(estate.moving, clock::mono());
        self.scene = estate.scene;
        self.list();
    }

    /// Goes on with the session when the connection is over, until its client comes back for it by another one, is
    /// silent for too long, or has closed its ports.
    pub(super) async fn go_on_alone(&mut self, end: End) -> End {
        if self.session.movable().is_none() {
            return end;
        }
        tracing::info!(client = %self.peer, %end, "the session goes on without its connection");
        self.is_alone = true;
        // Who closed one half of it sees the end of the other.
        self.wire.shut();
        self.scene.post.expect_listener();
        let spares = self.house.spares.clone();
        (self.inbox, self.outbox) = (Inbox::default(), Outbox::new(clock::mono(), spares));
        loop {
            if let Err(end) = self.turn_alone().await {
                return end;
            }
        }
    }

    async fn turn_alone(&mut self) -> Result<(), End> {
        self.list();
        let (wants, due) = self.add_units()?;
        if self.scene.post.is_refused() {
            return Err(End::Gone);
        }
        let deadline = self.deadline();
        let at = deadline.map(|(at, _)| at).into_iter().chain(due).min();
        tokio::select! {
            claim = claimed(self.listed.as_mut()) => {
                self.hand_over(claim);
                if self.session.playback().is_none() { Err(End::Moved) } else { Ok(()) }
            }
            happening = self.scene.happening(wants, at) => self.react(happening, deadline),
        }
    }
}

impl Drop for Connection {
    /// However it ends, the client is told that nothing more comes: it may not be connected any more.
    fn drop(&mut self) {
        if self.session.mode() == Some(Mode::Unicast)
            && let Some(playback) = self.session.playback()
        {
            playback.bye(Outlet::Datagrams(self.scene.post.queue()));
            self.scene.post.flush();
        }
    }
}
