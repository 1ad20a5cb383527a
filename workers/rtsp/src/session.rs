//! One connection's RTSP conversation (RFC 2326): requests in, responses and events out. Sans-IO;
//! time and chance are arguments.
//!
//! ```text
//!            SETUP              PLAY
//!   none ────────────> ready ────────────> playing
//!    ^                 ^   <────────────      │
//!    │     TEARDOWN    │       PAUSE          │
//!    └─────────────────┴──────────────────────┘  TEARDOWN
//! ```
//! A session over TCP lives in the connection that made it and nowhere else: its id opens nothing from
//! another connection. One whose packets are datagrams may move: see [`Session::give_up`]. One
//! connection carries one session.

mod moving;
mod wish;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::time::MonoNs;
use rtsp_types::headers::{self, CSeq};
use rtsp_types::{Method, Request, Response, StatusCode, Version};

use crate::chance::Chance;
use crate::playback::Playback;
use crate::recorded::course::Cue;
use crate::reply::{Refusal, Reply};
use crate::rtp::rtcp;
use crate::sdp::{Presentation, Served};
use crate::target::Target;
use crate::transport::{self, Mode, Place};

pub use moving::Moving;
pub use wish::{Reserved, Wish};

/// What a client that is not playing may be silent for; stated in every SETUP response. Clients
/// send their keep-alive at half to four fifths of it.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// What a client has for its first request.
pub const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// What a client is told to wait for a camera that has not been seen yet, in seconds.
const RETRY_AFTER_S: &str = "1";

const METHODS: &str =
    "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";
/// What this server knows at all. Publishers look for theirs before they try.
const PUBLIC: &str = "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";

/// What the server knows of a path.
#[derive(Clone, Debug)]
pub enum Camera {
    Ready(Arc<Presentation>),
    /// Named in the topology, but never seen yet.
    Silent,
    Unknown,
}

/// The cameras a client may ask for.
pub trait Cameras: std::fmt::Debug {
    fn camera(&self, path: &str) -> Camera;

    /// What PLAY is answered that is for a recording; the recording was looked at.
    fn cue(&self) -> Option<&Cue> {
        None
    }
}

/// What a request is answered from.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    pub now: MonoNs,
    pub chance: Chance,
    pub cameras: &'a dyn Cameras,
    /// Our end of the connection.
    pub local: IpAddr,
    /// The client's end of it.
    pub peer: IpAddr,
    /// What was made ready for this request.
    pub reserved: Reserved,
}

/// What the connection has to do besides sending the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    None,
    Paused,
    /// Units may follow the response.
    Playing,
    /// A stream has its place, or has none any more: [`Session::place`].
    Placed {
        track: u32,
    },
    TornDown,
}

/// The conversation.
#[derive(Debug)]
pub struct Session {
    set_up: Option<SetUp>,
    playing: bool,
    /// Whether interleaved frames are to be expected: they may still arrive after TEARDOWN.
    was_set_up: bool,
    opened: MonoNs,
    /// When the client was last heard of.
    heard: Option<MonoNs>,
}

#[derive(Debug)]
struct SetUp {
    id: String,
    playback: Playback,
}

impl Session {
    pub fn new(now: MonoNs) -> Self {
        Self { set_up: None, playing: false, was_set_up: false, opened: now, heard: None }
    }

    /// Answers one request.
    pub fn answer(
        &mut self,
        request: &Request<Vec<u8>>,
        around: &Circumstances<'_>,
    ) -> (Response<Vec<u8>>, Event) {
        self.heard = Some(around.now);
        let reply = self.decide(request, around).unwrap_or_else(Reply::from);
        let id = self.set_up.as_ref().map(|set_up| set_up.id.as_str());
        let names_session = request.header(&headers::SESSION).is_some();
        let reply = match id {
            // Stating the timeout is asked for in SETUP (ONVIF streaming, section 5.1.1).
            Some(id) if *request.method() == Method::Setup => {
                reply.with(headers::SESSION, format!("{id};timeout={}", TIMEOUT.as_secs()))
            }
            Some(id) if names_session => reply.with(headers::SESSION, id),
            _ => reply,
        };
        (reply.response(request), reply.event)
    }

    /// Takes note of an interleaved frame: a report on one of our channels is a sign of life.
    pub fn hear(&mut self, channel: u8, packet: &[u8], now: MonoNs) {
        let track = self.set_up.as_ref().and_then(|set_up| set_up.playback.track_on(channel));
        if let Some(track) = track {
            self.hear_of(track, packet, now);
        }
    }

    /// Takes note of what came for a track.
    pub fn hear_of(&mut self, track: u32, packet: &[u8], now: MonoNs) {
        if let Some(set_up) = self.set_up.as_mut().filter(|_| rtcp::is_report(packet)) {
            set_up.playback.hear(track, packet, now);
            // It may have come a while ago.
            self.heard = self.heard.max(Some(now));
        }
    }

    /// Where a track was set up.
    pub fn place(&self, track: u32) -> Option<Place> {
        self.set_up.as_ref()?.playback.place(track)
    }

    /// How the packets travel, once a stream was set up.
    pub fn mode(&self) -> Option<Mode> {
        self.set_up.as_ref()?.playback.mode()
    }

    /// What was set up, playing or not.
    pub fn playback(&self) -> Option<&Playback> {
        self.set_up.as_ref().map(|set_up| &set_up.playback)
    }

    /// A recording came to the end of its range: nothing plays, and from now on the client has to say something
    /// now and then.
    pub fn ended(&mut self, now: MonoNs) {
        self.playing = false;
        self.heard = Some(now);
        if let Some(set_up) = &mut self.set_up {
            set_up.playback.pause(None);
        }
    }

    /// The streams to write units to, while playing.
    pub fn playing(&mut self) -> Option<&mut Playback> {
        let set_up = self.set_up.as_mut().filter(|_| self.playing)?;
        Some(&mut set_up.playback)
    }

    /// The streams that play, for somebody else to write to. Until they are back it is as if none were set up.
    pub fn lend(&mut self) -> Option<Playback> {
        let playback = self.playing()?;
        let empty = Playback::new(Arc::clone(playback.presentation()));
        Some(std::mem::replace(playback, empty))
    }

    /// The streams that were lent.
    pub fn take_back(&mut self, playback: Playback) {
        if let Some(set_up) = &mut self.set_up {
            set_up.playback = playback;
        }
    }

    /// Whether the client has not set up anything yet.
    pub fn is_fresh(&self) -> bool {
        !self.was_set_up
    }

    pub fn expects_frames(&self) -> bool {
        self.was_set_up
    }

    /// When the client will have been silent for too long. A playing one may be silent over TCP: its
    /// connection shows that it lives, and whoever stops reading is ended by the write deadline.
    pub fn silent_until(&self) -> Option<MonoNs> {
        match self.heard {
            _ if self.playing && self.mode() == Some(Mode::Interleaved) => None,
            None => Some(self.opened + FIRST_REQUEST),
            Some(heard) => Some(heard + TIMEOUT),
        }
    }

    fn decide(
        &mut self,
        request: &Request<Vec<u8>>,
        around: &Circumstances<'_>,
    ) -> Result<Reply, Refusal> {
        check(request)?;
        let named = self.names_session(request)?;
        match request.method() {
            Method::Options => Ok(Reply::ok().with(headers::PUBLIC, PUBLIC)),
            Method::Describe => describe(request, around),
            Method::Setup => self.set_up(request, named, around),
            Method::Play => self.play(request, named, around),
            Method::Pause => self.pause(request, named),
            Method::Teardown => self.tear_down(request, named),
            Method::GetParameter | Method::SetParameter => parameters(request),
            Method::Extension(_) => Err(StatusCode::NotImplemented.into()),
            _ => Err(Refusal::with(StatusCode::MethodNotAllowed, headers::ALLOW, METHODS)),
        }
    }

    /// Whether the request names the session of this connection; 454 when it names another.
    fn names_session(&self, request: &Request<Vec<u8>>) -> Result<bool, Refusal> {
        let Some(id) = named(request) else { return Ok(false) };
        match &self.set_up {
            Some(set_up) if set_up.id == id => Ok(true),
            _ => Err(StatusCode::SessionNotFound.into()),
        }
    }

    fn set_up(
        &mut self,
        request: &Request<Vec<u8>>,
        named: bool,
        around: &Circumstances<'_>,
    ) -> Result<Reply, Refusal> {
        // A second session on this connection, or a change while packets are under way.
        if self.playing || (self.set_up.is_some() && !named) {
            return Err(Refusal::with(
                StatusCode::MethodNotValidInThisState,
                headers::ALLOW,
                METHODS,
            ));
        }
        let wish = self.wished(request, around.cameras, around.reserved.reach(around.peer))?;
        let track = wish.presentation.track(wish.track).ok_or(StatusCode::NotFound)?;
        let wanted = around.reserved.wanted(wish.offer);
        let wanted = wanted.ok_or(StatusCode::UnsupportedTransport)?;

        let is_new = self.set_up.is_none();
        let set_up = self.session_of(&wish.presentation, around.chance)?;
        let beginning = around.chance.beginning;
        let Some(place) = set_up.playback.set_up(track, wanted, beginning) else {
            if is_new {
                self.set_up = None;
            }
            return Err(StatusCode::UnsupportedTransport.into());
        };
        self.was_set_up = true;
        let answer = transport::answer(&place, beginning.ssrc);
        Ok(Reply::ok().with(headers::TRANSPORT, answer).then(Event::Placed { track: wish.track }))
    }

    /// The session in progress, or a new one.
    fn session_of(
        &mut self,
        presentation: &Arc<Presentation>,
        chance: Chance,
    ) -> Result<&mut SetUp, Refusal> {
        let other = |set_up: &SetUp| set_up.playback.presentation() != presentation;
        if self.set_up.as_ref().is_some_and(other) {
            // Another camera, or the same one with other tracks than were set up first.
            return Err(StatusCode::AggregateOperationNotAllowed.into());
        }
        Ok(self.set_up.get_or_insert_with(|| SetUp {
            id: format!("{:032x}", chance.session),
            playback: Playback::new(Arc::clone(presentation)),
        }))
    }

    fn play(
        &mut self,
        request: &Request<Vec<u8>>,
        named: bool,
        around: &Circumstances<'_>,
    ) -> Result<Reply, Refusal> {
        let was_playing = self.playing;
        let set_up = self.named_session(named)?;
        let target = target(request)?;
        let presentation = set_up.playback.presentation();
        if target.path != presentation.path() {
            return Err(StatusCode::NotFound.into());
        }
        // Whether another range begins with the answer, to which all that plays goes.
        let (reply, begins) = match presentation.window() {
            None => (Reply::ok().with(headers::RANGE, "npt=now-"), false),
            Some(_) => cued(around.cameras.cue())?,
        };
        let starts = match begins {
            true => set_up.playback.start_anew(target.track, around.now),
            false => set_up.playback.start(target.track, around.now),
        };
        let starts = starts.ok_or(StatusCode::NotFound)?;
        // What is sent to a group is shared: which of its packets comes first to a viewer, nobody can say.
        let says_starts = !starts.is_empty() && set_up.playback.mode() != Some(Mode::Multicast);
        let starts = starts.into_iter().map(|start| {
            let url = target.track_url(start.track);
            format!("url={url};seq={};rtptime={}", start.sequence, start.ticks)
        });
        let info = starts.collect::<Vec<_>>().join(",");
        self.playing = true;
        let reply = if says_starts { reply.with(headers::RTP_INFO, info) } else { reply };
        let goes_on = was_playing && !begins;
        Ok(reply.then(if goes_on { Event::None } else { Event::Playing }))
    }

    fn pause(&mut self, request: &Request<Vec<u8>>, named: bool) -> Result<Reply, Refusal> {
        let set_up = self.named_session(named)?;
        let track = set_up.named_track(request);
        set_up.playback.pause(track);
        self.playing = set_up.playback.plays();
        Ok(Reply::ok().then(if self.playing { Event::None } else { Event::Paused }))
    }

    /// Of one track while others stay, or of all.
    fn tear_down(&mut self, request: &Request<Vec<u8>>, named: bool) -> Result<Reply, Refusal> {
        let set_up = self.named_session(named)?;
        if let Some(track) = set_up.named_track(request)
            && set_up.playback.drop_track(track)
        {
            let others_play = set_up.playback.plays();
            self.playing = others_play;
            return Ok(Reply::ok().then(Event::Placed { track }));
        }
        self.set_up = None;
        self.playing = false;
        Ok(Reply::ok().then(Event::TornDown))
    }

    fn named_session(&mut self, named: bool) -> Result<&mut SetUp, Refusal> {
        let set_up = self.set_up.as_mut().filter(|_| named);
        Ok(set_up.ok_or(StatusCode::SessionNotFound)?)
    }
}

impl SetUp {
    /// The one track of this session that a request is about.
    fn named_track(&self, request: &Request<Vec<u8>>) -> Option<u32> {
        let target = request.request_uri().and_then(Target::of)?;
        let track = target.track.filter(|_| target.path == self.playback.presentation().path())?;
        self.playback.place(track).map(|_| track)
    }
}

/// The session that a request names.
fn named(request: &Request<Vec<u8>>) -> Option<&str> {
    let header = request.header(&headers::SESSION)?;
    Some(header.as_str().split(';').next().unwrap_or_default().trim())
}

/// The answer to a PLAY of a recording, and whether a range begins with it; else what plays just goes on.
fn cued(cue: Option<&Cue>) -> Result<(Reply, bool), Refusal> {
    let (range, scale, begins) = match cue {
        Some(Cue::Begins { range, scale }) => (range, scale, true),
        Some(Cue::Stays { range, scale }) => (range, scale, false),
        Some(Cue::Invalid) => return Err(StatusCode::InvalidRange.into()),
        Some(Cue::Busy) => return Err(StatusCode::NotEnoughBandwidth.into()),
        // Another path, or DESCRIBE of the same one, tells the tracks of that time.
        Some(Cue::OtherTracks) => return Err(StatusCode::MethodNotValidInThisState.into()),
        Some(Cue::Gone) | None => return Err(StatusCode::NotFound.into()),
    };
    let reply = Reply::ok().with(headers::RANGE, range).with(headers::SCALE, scale.told());
    Ok((reply, begins))
}

/// What every request has to get right.
pub(crate) fn check(request: &Request<Vec<u8>>) -> Result<(), Refusal> {
    if !matches!(request.typed_header::<CSeq>(), Ok(Some(_))) {
        return Err(StatusCode::BadRequest.into());
    }
    if request.version() != Version::V1_0 {
        return Err(StatusCode::RTSPVersionNotSupported.into());
    }
    let required =
        request.header(&headers::REQUIRE).or_else(|| request.header(&headers::PROXY_REQUIRE));
    match required {
        Some(features) => Err(Refusal::with(
            StatusCode::OptionNotSupported,
            headers::UNSUPPORTED,
            features.as_str(),
        )),
        None => Ok(()),
    }
}

fn target(request: &Request<Vec<u8>>) -> Result<Target, Refusal> {
    let target = request.request_uri().and_then(Target::of);
    Ok(target.ok_or(StatusCode::BadRequest)?)
}

fn find(target: &Target, cameras: &dyn Cameras) -> Result<Arc<Presentation>, Refusal> {
    match cameras.camera(&target.path) {
        Camera::Ready(presentation) => Ok(presentation),
        Camera::Silent => {
            Err(Refusal::with(StatusCode::ServiceUnavailable, headers::RETRY_AFTER, RETRY_AFTER_S))
        }
        Camera::Unknown => Err(StatusCode::NotFound.into()),
    }
}

/// The track a SETUP is for; a camera's only one needs no naming.
fn chosen<'a>(target: &Target, presentation: &'a Presentation) -> Result<&'a Served, Refusal> {
    match (target.track, presentation.tracks()) {
        (Some(index), _) => Ok(presentation.track(index).ok_or(StatusCode::NotFound)?),
        (None, [only]) => Ok(only),
        (None, _) => Err(StatusCode::AggregateOperationNotAllowed.into()),
    }
}

fn describe(request: &Request<Vec<u8>>, around: &Circumstances<'_>) -> Result<Reply, Refusal> {
    let target = target(request)?;
    let presentation = find(&target, around.cameras)?;
    let accepted = request.header(&headers::ACCEPT).map_or("*/*", |header| header.as_str());
    if !["application/sdp", "application/*", "*/*"].iter().any(|kind| accepted.contains(kind)) {
        return Err(StatusCode::NotAcceptable.into());
    }
    if presentation.tracks().is_empty() {
        return Err(StatusCode::UnsupportedMediaType.into());
    }
    Ok(Reply::ok()
        .with(headers::CONTENT_BASE, target.base().as_str())
        .with(headers::CONTENT_TYPE, "application/sdp")
        .body(presentation.sdp(around.local)))
}

/// Both are sent empty, to keep a session alive; no parameter is known.
fn parameters(request: &Request<Vec<u8>>) -> Result<Reply, Refusal> {
    if request.body().is_empty() {
        return Ok(Reply::ok());
    }
    Err(StatusCode::ParameterNotUnderstood.into())
}
