//! Connections of ONVIF clients: a POST each, within bounds; who asks for streams has to be somebody.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use access::{Action, Asked, Gate, Identity, Turn, Verdict, header as credentials};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::config::{Basic, Users};
use shmring::clock;
use tokio::net::{TcpListener, TcpStream};

use super::device::{self, Camera, Facts, Need, Service};
use super::soap::{self, Fault, Kind};
use super::token::{Tokens, UsernameToken};
use crate::chance::Chance;
use crate::crowd::{Crowd, Seat};
use crate::house::House;

/// Managers keep one each, and ask once a minute.
const CONNECTIONS_MAX: usize = 32;
/// Of one address: it takes four to keep managers out.
const PER_ADDRESS: usize = 8;
/// After a failed accept (no descriptors, say): long enough not to spin, short for who waits.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
const HEADER_TIME: Duration = Duration::from_secs(10);
const BODY_TIME: Duration = Duration::from_secs(10);
/// Of a connection in all.
const CONNECTION_TIME: Duration = Duration::from_secs(60);
const HEADER_MAX_BYTES: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
/// The questions there are have some hundred bytes, with a token two thousand.
const BODY_MAX_BYTES: usize = 64 << 10;

type Answer = Response<Full<Bytes>>;

/// What this device is called.
#[derive(Clone, Debug)]
pub struct Sign {
    pub name: String,
    /// 32 hexadecimal digits, the same after every restart.
    pub serial: String,
}

/// What all connections share.
#[derive(Debug)]
pub struct Office {
    house: Arc<House>,
    pub sign: Sign,
    tokens: Mutex<Tokens>,
    /// Whether anybody has a password at all.
    has_users: bool,
    takes_plain: bool,
    /// Where the streams are.
    rtsp_port: u16,
}

impl Office {
    pub fn new(
        house: Arc<House>,
        sign: Sign,
        (users, basic): (&Users, Basic),
        rtsp_port: u16,
    ) -> Self {
        Self {
            house,
            sign,
            tokens: Mutex::new(Tokens::of(users)),
            has_users: users.values().any(|user| user.password.is_some()),
            // There is no TLS here.
            takes_plain: basic == Basic::Always,
            rtsp_port,
        }
    }

    fn is_right(&self, token: &UsernameToken) -> bool {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.is_right(token, now())
    }
}

/// Serves whoever comes, for ever.
pub async fn serve(listener: TcpListener, office: Arc<Office>) {
    let crowd = Crowd::new(CONNECTIONS_MAX, Some(PER_ADDRESS));
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => match crowd.serve(peer) {
                Some(seat) => {
                    tokio::spawn(connection(stream, peer, Arc::clone(&office), seat));
                }
                None => tracing::debug!(client = %peer, "closed: too many ONVIF connections"),
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept an ONVIF client");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, office: Arc<Office>, _seat: Seat) {
    let Ok(local) = stream.local_addr() else { return };
    let conversation = Arc::new(Conversation { office, peer, local, gate: Mutex::default() });
    let service = service_fn(move |request| {
        let conversation = Arc::clone(&conversation);
        async move { Ok::<_, Infallible>(conversation.answer(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(HEADER_MAX_BYTES)
        .max_headers(HEADERS_MAX);
    let serving = http.serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIME, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(client = %peer, %error, "ONVIF connection ended"),
        Err(_) => tracing::debug!(client = %peer, "ONVIF connection ended: its time is over"),
    }
}

/// One connection.
#[derive(Debug)]
struct Conversation {
    office: Arc<Office>,
    peer: SocketAddr,
    local: SocketAddr,
    gate: Mutex<Gate>,
}

impl Conversation {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let Some(service) = Service::at(head.uri.path()) else {
            return plain(StatusCode::NOT_FOUND);
        };
        if head.method != Method::POST {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return answer;
        }
        let body = match tokio::time::timeout(BODY_TIME, whole(body)).await {
            Ok(Some(body)) => body,
            Ok(None) => return plain(StatusCode::PAYLOAD_TOO_LARGE),
            Err(_slow) => return plain(StatusCode::REQUEST_TIMEOUT),
        };
        match self.decide(service, &head, &body).await {
            Ok(body) => told(StatusCode::OK, soap::envelope(&body)),
            Err(Refused::Fault(fault)) => faulty(&fault),
            Err(Refused::Login(challenges)) => asked_who(&challenges),
        }
    }

    async fn decide(&self, service: Service, head: &Parts, body: &[u8]) -> Result<String, Refused> {
        let request =
            soap::read(body).map_err(|unread| Fault::new(Kind::WellFormed, unread.to_string()))?;
        let who = match device::needs(&request.operation.name) {
            Need::Nothing => None,
            Need::Login => Some(self.who(head, request.token.as_ref()).await?),
        };
        Ok(device::answer(service, &request.operation, &self.facts(head, who.as_ref()))?)
    }

    fn facts(&self, head: &Parts, who: Option<&Identity>) -> Facts {
        let access = self.office.house.lobby.access();
        let may_see = |path: &str| who.is_some_and(|who| access.allows(who, Action::Play, path));
        let cameras = self.office.house.feeds.iter().filter(|feed| may_see(feed.path()));
        let cameras = cameras
            .map(|feed| Camera { path: feed.path().to_owned(), picture: feed.picture() })
            .collect();
        let (authority, host) = self.reached(head);
        Facts {
            service: format!("http://{authority}"),
            streams: format!("rtsp://{host}:{}", self.office.rtsp_port),
            name: self.office.sign.name.clone(),
            serial: self.office.sign.serial.clone(),
            now: now(),
            cameras,
        }
    }

    /// Authority and host as this client knows them: behind a translation of addresses it alone does.
    fn reached(&self, head: &Parts) -> (String, String) {
        let said = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let said = said.and_then(|host| host.parse::<Authority>().ok());
        match said.filter(|said| !said.as_str().contains('@') && !said.host().is_empty()) {
            Some(said) => (said.to_string(), said.host().to_owned()),
            None => {
                let ip = self.local.ip().to_canonical();
                let host = SocketAddr::new(ip, 0).to_string();
                let host = host.trim_end_matches(":0").to_owned();
                (format!("{host}:{}", self.local.port()), host)
            }
        }
    }

    async fn who(&self, head: &Parts, token: Option<&UsernameToken>) -> Result<Identity, Refused> {
        if !self.office.has_users {
            return Ok(Identity::Anyone);
        }
        match token {
            Some(token) => self.by_token(token).await,
            None => self.by_header(head).await,
        }
    }

    async fn by_token(&self, token: &UsernameToken) -> Result<Identity, Refused> {
        if token.is_plain() && !self.office.takes_plain {
            return Err(not_authorized("expected a password digest: whoever listens reads a text"));
        }
        self.wait_for_turn(&token.user).await?;
        if self.office.is_right(token) {
            return Ok(Identity::User(token.user.as_str().into()));
        }
        self.guessed_wrong(&token.user).await;
        Err(not_authorized(
            "user and password are wrong, or the clock is more than five minutes off",
        ))
    }

    async fn by_header(&self, head: &Parts) -> Result<Identity, Refused> {
        let said = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let user = said.and_then(credentials::parse).map(|said| said.user().to_owned());
        if let Some(user) = &user {
            self.wait_for_turn(user).await?;
        }
        let chance = Chance::nonce().map_err(|error| not_authorized(&error.to_string()))?;
        let verdict = self.identify(head, said, chance);
        match verdict {
            Ok(who) => Ok(who),
            Err(Verdict::Challenged(challenge)) => Err(Refused::Login(challenge.0)),
            Err(Verdict::Wrong(challenge)) => {
                self.guessed_wrong(&user.unwrap_or_default()).await;
                Err(Refused::Login(challenge.0))
            }
            Err(Verdict::Admitted(_) | Verdict::Forbidden) => Err(not_authorized("not here")),
        }
    }

    fn identify(
        &self,
        head: &Parts,
        authorization: Option<&str>,
        chance: u128,
    ) -> Result<Identity, Verdict> {
        let asked = Asked {
            method: "POST",
            uri: head.uri.path(),
            authorization,
            action: Action::Play,
            path: "",
            is_secure: false,
            is_lenient: false,
            now: clock::mono(),
            chance,
        };
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        gate.identify(self.office.house.lobby.access(), &asked)
    }

    /// Who shares a name and an address with a guesser waits with them, as over RTSP.
    async fn wait_for_turn(&self, user: &str) -> Result<(), Refused> {
        match self.office.house.lobby.turn(self.peer.ip(), user, clock::mono()) {
            Turn::Now => {}
            Turn::At(at) => tokio::time::sleep(at.saturating_since(clock::mono())).await,
            Turn::Never => return Err(not_authorized("too many passwords were tried")),
        }
        Ok(())
    }

    async fn guessed_wrong(&self, user: &str) {
        let at = self.office.house.lobby.wrong(self.peer, user, clock::mono());
        tokio::time::sleep(at.saturating_since(clock::mono())).await;
    }
}

/// Why there is no answer.
enum Refused {
    Fault(Fault),
    /// Who asks has to say who they are: values of `WWW-Authenticate`.
    Login(Vec<String>),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn not_authorized(why: &str) -> Refused {
    Refused::Fault(Fault::new(Kind::NotAuthorized, why))
}

fn told(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("application/soap+xml; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn faulty(fault: &Fault) -> Answer {
    let status = StatusCode::from_u16(fault.kind.status());
    told(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), fault.envelope())
}

fn asked_who(challenges: &[String]) -> Answer {
    let fault = Fault::new(Kind::NotAuthorized, "say who you are: a token or a digest");
    let mut answer = told(StatusCode::UNAUTHORIZED, fault.envelope());
    for challenge in challenges {
        if let Ok(value) = HeaderValue::from_str(challenge) {
            answer.headers_mut().append(WWW_AUTHENTICATE, value);
        }
    }
    answer
}

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// The body of a request, unless it is too long or ends too soon.
async fn whole(body: Incoming) -> Option<Bytes> {
    Some(Limited::new(body, BODY_MAX_BYTES).collect().await.ok()?.to_bytes())
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(clock::now().utc.0)
}
