//! Who a connection's requests come from, and whether they may be answered (RFC 2326 sections 11 and 12.5).
//! Sans-IO; time and chance are arguments.
//!
//! | request | asked for |
//! |---|---|
//! | OPTIONS, and what cannot be answered anyway | nobody |
//! | DESCRIBE, SETUP | who may play the path; SETUP with `mode=record`, or behind an ANNOUNCE, who may publish to it |
//! | ANNOUNCE | who may publish to the path |
//! | all others | nobody new: they need the session, which belongs to this connection and to whom SETUP came from; to fetch one that was made over another connection, who may play the path |
//!
//! The path of a recording is `recordings/CAMERA`, whatever times stand behind it.
//!
//! A request in another's name than that of the session finds no session.

use std::sync::Arc;
use std::time::Duration;

use access::{Action, Asked, Challenge, Gate, Identity, Verdict, header};
use protocol::time::MonoNs;
use rtsp_types::{Method, Request, Response, StatusCode, headers};

use crate::lobby::Lobby;
use crate::recorded::address;
use crate::reply::{Refusal, Reply};
use crate::session::{self, Event};
use crate::target::Target;

/// What a client has to say who it is, where that is asked: a player answers at once, from what it was given.
pub const STRANGER_TIME: Duration = Duration::from_secs(10);

/// What becomes of a request.
#[derive(Debug)]
pub enum Ruling {
    Answer,
    /// It is refused with this.
    Refuse(Response<Vec<u8>>),
    /// As `Refuse`, later: the password was wrong.
    Wrong(Response<Vec<u8>>),
}

/// One connection's part.
#[derive(Debug)]
pub struct Admission {
    lobby: Arc<Lobby>,
    gate: Gate,
    is_secure: bool,
    opened: MonoNs,
    /// Whom the last admitted request came from.
    who: Option<Identity>,
    /// Whose session it is, while there is one.
    owner: Option<Identity>,
    /// What is being published: the SETUPs that follow belong to it.
    announced: Option<String>,
}

impl Admission {
    pub fn new(lobby: Arc<Lobby>, is_secure: bool, now: MonoNs) -> Self {
        Self {
            lobby,
            gate: Gate::default(),
            is_secure,
            opened: now,
            who: None,
            owner: None,
            announced: None,
        }
    }

    /// Whether somebody was let in, who may be trusted with more memory.
    pub fn is_known(&self) -> bool {
        self.who.is_some()
    }

    /// Whom the last admitted request came from.
    pub fn who(&self) -> Option<&Identity> {
        self.who.as_ref()
    }

    /// Whose the session is, while there is one.
    pub fn owner(&self) -> Option<&Identity> {
        self.owner.as_ref()
    }

    /// A session that was made over another connection goes on here: it belongs to whom it was found for.
    pub fn goes_on(&mut self) {
        self.owner = Some(self.who.get_or_insert(Identity::Anyone).clone());
    }

    /// When it will have taken too long to say who it is.
    pub fn stranger_until(&self) -> Option<MonoNs> {
        let is_asked = !self.lobby.access().is_open();
        (is_asked && self.who.is_none()).then_some(self.opened + STRANGER_TIME)
    }

    /// In whose name the request comes, rightly or not; `None` where that does not matter.
    pub fn claimed(&self, request: &Request<Vec<u8>>) -> Option<String> {
        let header = request.header(&headers::AUTHORIZATION);
        let header = header.filter(|_| !self.lobby.access().is_open())?;
        header::parse(header.as_str()).map(|it| it.user().to_owned())
    }

    /// Whether it was `user` before: who says so again guesses nothing, and need not wait for a turn.
    pub fn is_already(&self, user: &str) -> bool {
        matches!(&self.who, Some(Identity::User(known)) if **known == *user)
    }

    /// Whether the request may be answered.
    pub fn judge(&mut self, request: &Request<Vec<u8>>, now: MonoNs, chance: u128) -> Ruling {
        // A request that is wrong in itself is told so, whoever sent it.
        let target = request.request_uri().and_then(Target::of);
        let (Some(target), true) = (target, session::check(request).is_ok()) else {
            return Ruling::Answer;
        };
        match request.method() {
            Method::Options => Ruling::Answer,
            Method::Announce => self.at(request, Action::Publish, &target.path, now, chance),
            Method::Describe => self.at(request, Action::Play, &target.path, now, chance),
            Method::Setup => {
                let path = self.announced_over(&target.path).unwrap_or(&target.path).to_owned();
                let action = self.action_of(request, &path);
                let ruling = self.at(request, action, &path, now, chance);
                ruling.unless(self.owner.is_some() && self.owner != self.who, request)
            }
            _ => {
                let path = self.announced_over(&target.path).unwrap_or(&target.path).to_owned();
                self.in_session(request, &path, now, chance)
            }
        }
    }

    /// Takes note of how an admitted request was answered.
    pub fn answered(&mut self, request: &Request<Vec<u8>>, status: StatusCode, event: Event) {
        if event == Event::TornDown {
            (self.owner, self.announced) = (None, None);
        }
        if status != StatusCode::Ok {
            return;
        }
        match request.method() {
            Method::Announce => {
                self.announced = request.request_uri().and_then(Target::of).map(|it| it.path);
            }
            Method::Setup => self.owner = self.who.clone(),
            _ => {}
        }
    }

    /// A request that makes something: it needs somebody who may.
    fn at(
        &mut self,
        request: &Request<Vec<u8>>,
        action: Action,
        path: &str,
        now: MonoNs,
        chance: u128,
    ) -> Ruling {
        let path = address::without_times(path);
        let asked = asked(request, action, path, self.is_secure, now, chance);
        match self.gate.judge(self.lobby.access(), &asked) {
            Verdict::Admitted(who) => {
                self.who = Some(who);
                Ruling::Answer
            }
            Verdict::Challenged(challenge) => Ruling::Refuse(challenged(request, &challenge)),
            Verdict::Wrong(challenge) => Ruling::Wrong(challenged(request, &challenge)),
            Verdict::Forbidden => {
                Ruling::Refuse(Reply::from(Refusal::from(StatusCode::Forbidden)).response(request))
            }
        }
    }

    /// A request that needs the session: whoever sent SETUP over this connection sends it too. What it says of
    /// itself must agree.
    fn in_session(
        &mut self,
        request: &Request<Vec<u8>>,
        path: &str,
        now: MonoNs,
        chance: u128,
    ) -> Ruling {
        let Some(owner) = self.owner.clone() else {
            // Without one the session says so, unless it is to be fetched from another connection.
            let names_one = request.header(&headers::SESSION).is_some();
            return match names_one {
                true => self.at(request, Action::Play, path, now, chance),
                false => Ruling::Answer,
            };
        };
        if request.header(&headers::AUTHORIZATION).is_none() || self.lobby.access().is_open() {
            return Ruling::Answer;
        }
        let action = if self.announced.is_some() { Action::Publish } else { Action::Play };
        let before = self.who.replace(owner.clone());
        let ruling = self.at(request, action, path, now, chance);
        let is_same = self.who.as_ref() == Some(&owner) || owner == Identity::Anyone;
        self.who = before;
        ruling.unless(!is_same, request)
    }

    fn action_of(&self, request: &Request<Vec<u8>>, path: &str) -> Action {
        let records = request.header(&headers::TRANSPORT).is_some_and(|it| records(it.as_str()));
        if records || self.announced.as_deref() == Some(path) {
            Action::Publish
        } else {
            Action::Play
        }
    }

    /// What was announced, when `path` is a track of it.
    fn announced_over(&self, path: &str) -> Option<&str> {
        let announced = self.announced.as_deref()?;
        let rest = path.strip_prefix(announced)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(announced)
    }
}

impl Ruling {
    /// 454 instead, for an admitted request in another's name.
    fn unless(self, is_anothers: bool, request: &Request<Vec<u8>>) -> Self {
        match self {
            Self::Answer if is_anothers => {
                let refusal = Refusal::from(StatusCode::SessionNotFound);
                Self::Refuse(Reply::from(refusal).response(request))
            }
            other => other,
        }
    }
}

fn asked<'a>(
    request: &'a Request<Vec<u8>>,
    action: Action,
    path: &'a str,
    is_secure: bool,
    now: MonoNs,
    chance: u128,
) -> Asked<'a> {
    let method = request.method();
    Asked {
        method: <&str>::from(method),
        uri: request.request_uri().map_or("*", |url| url.as_str()),
        authorization: request.header(&headers::AUTHORIZATION).map(|header| header.as_str()),
        action,
        path,
        is_secure,
        // Players do not look at the answer to a keep-alive.
        is_lenient: matches!(
            method,
            Method::GetParameter | Method::SetParameter | Method::Teardown
        ),
        now,
        chance,
    }
}

/// Whether one of a client's offers is to send instead of to receive; seen: record, RECORD, "RECORD".
fn records(transport: &str) -> bool {
    transport.split([',', ';']).filter_map(|part| part.split_once('=')).any(|(name, value)| {
        name.trim().eq_ignore_ascii_case("mode")
            && value.trim().trim_matches('"').eq_ignore_ascii_case("record")
    })
}

fn challenged(request: &Request<Vec<u8>>, challenge: &Challenge) -> Response<Vec<u8>> {
    // One header each: ffmpeg, GStreamer and live555 read no further than the first of a list, and rtsp-types
    // writes what is added to a header as one.
    let lines = challenge.0.join("\r\nWWW-Authenticate: ");
    let refusal = Refusal::with(StatusCode::Unauthorized, headers::WWW_AUTHENTICATE, &lines);
    Reply::from(refusal).response(request)
}

#[cfg(test)]
mod tests;
