//! Which requests are answered at all, and the headers of every answer. Decided before any route.
//!
//! ```text
//!   request ──> shape (host, origin, form) ──> below the base path? ──> need of its path
//!           ──> entrance (password or token enough for that?) ──> the route, with what the asker may see
//! ```
//! | file | what |
//! |---|---|
//! | `hosts.rs`, `shape.rs` | what is refused by how it looks (pure) |
//! | `forwarded.rs` | who asks, through which proxies, below which path (pure) |
//! | `need.rs` | what each path asks for (pure) |
//! | `entrance.rs` | passwords and tokens |
//! | `sight.rs` | what somebody may see (pure) |

mod entrance;
pub mod forwarded;
pub mod hosts;
pub mod need;
mod shape;
pub mod sight;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use access::keys::KeyError;
use access::users::AccessError;
use access::{Access, Keys, Mint};
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lobby::Lobby;
use protocol::config::{BasePath, WebConfig};

use crate::answer::Refusal;
use crate::site::Site;

use entrance::{Entrance, Knock};
use forwarded::{Asker, Peer};
pub use hosts::Hosts;
use need::{Found, Plan};
use shape::Parts;

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        // blob: the tiles show pictures they fetched themselves, with their frame ids; players feed their
        // videos themselves.
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Answered wherever the page begins: who looks whether this program lives knows nothing of proxies.
const AT_THE_TOP: [&str; 2] = ["/healthz", "/readyz"];

/// Where the page begins for who asked; goes with each request to what answers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base(pub String);

/// Who may come in, under which names, and from where.
#[derive(Debug)]
pub struct Rules {
    pub hosts: Hosts,
    pub lobby: Arc<Lobby>,
    pub keys: Keys,
    pub base: BasePath,
    pub proxies: Vec<IpAddr>,
}

/// Why there are no such rules.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Rules {
    /// Everybody may see everything, and nobody change anything.
    pub fn open(hosts: Hosts) -> Self {
        Self {
            hosts,
            lobby: Arc::new(Lobby::new(Access::open())),
            keys: Keys::default(),
            base: BasePath::default(),
            proxies: Vec::new(),
        }
    }

    /// Those of a topology.
    pub fn of(config: &WebConfig) -> Result<Self, RulesError> {
        Ok(Self {
            hosts: Hosts::of(config),
            lobby: Arc::new(Lobby::new(Access::of(&config.users, config.basic)?)),
            keys: Keys::of(&config.tokens)?,
            base: config.base_path.clone(),
            proxies: config.proxies.clone(),
        })
    }
}

/// The rules, with the paths that they are about.
pub struct Guard {
    hosts: Hosts,
    base: BasePath,
    proxies: Vec<IpAddr>,
    plan: Plan,
    entrance: Entrance,
}

impl Guard {
    /// `secret`: random, for as long as this process lives.
    pub fn new(rules: Rules, plan: Plan, site: &Site, secret: [u8; 32]) -> Self {
        let Rules { hosts, lobby, keys, base, proxies } = rules;
        let entrance = Entrance {
            lobby,
            keys,
            mint: Arc::new(Mint::new(secret)),
            proven: Mutex::default(),
            clock: site.shared_sources(),
            cameras: site.camera_names().map(str::to_owned).collect(),
        };
        Self { hosts, base, proxies, plan, entrance }
    }

    /// Makes the request one of the route that it is for, or says why not.
    async fn examine(&self, request: &mut Request) -> Result<(), Refusal> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let parts = Parts { method: &method, uri: &uri, headers: request.headers() };
        if let Some(refusal) = shape::refusal(&self.hosts, &parts) {
            return Err(refusal);
        }
        let peer = request.extensions().get::<Peer>().copied().unwrap_or_default();
        let asker = Asker::of(peer, &self.proxies, request.headers());
        if !self.base.is_top() && uri.path() == self.base.as_str() {
            return Err(moved(&format!("{}{}/", asker.prefix, self.base)));
        }
        let path = self.below(uri.path()).ok_or_else(|| self.elsewhere())?;
        let (need, subject) = match self.plan.find(&method, path) {
            Found::There { need, subject } => (need, subject),
            Found::Otherwise(allowed) => return Err(not_so(&method, &allowed)),
            Found::Nowhere => return Err(nowhere(&method)),
        };
        let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let authorization = request.headers().get(header::AUTHORIZATION);
        let knock = Knock {
            asker: &asker,
            need,
            subject,
            method: method.as_str(),
            uri: &format!("{}{target}", asker.prefix),
            // What is no text is no password either.
            authorization: authorization.map(|value| value.to_str().unwrap_or("unreadable ")),
        };
        let sight = self.entrance.admit(&knock).await?;
        let base = Base(format!("{}{}", asker.prefix, self.base));
        if let Some(short) = shortened(&uri, path) {
            *request.uri_mut() = short;
        }
        let extensions = request.extensions_mut();
        extensions.insert(sight);
        extensions.insert(asker);
        extensions.insert(base);
        Ok(())
    }

    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.base.below(path).or_else(|| AT_THE_TOP.contains(&path).then_some(path))
    }

    fn elsewhere(&self) -> Refusal {
        let hint = format!("the page is at {}/", self.base);
        Refusal::new(StatusCode::NOT_FOUND, "no-such-path", "nothing is here".to_owned(), &hint)
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("hosts", &self.hosts)
            .field("base", &self.base)
            .field("proxies", &self.proxies)
            .finish_non_exhaustive()
    }
}

/// The outermost layer of the router.
pub async fn guard(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let mut response = match guard.examine(&mut request).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Links of the page are relative: they need the slash at its end.
fn moved(to: &str) -> Refusal {
    let text = format!("the page is at {to}");
    Refusal::new(StatusCode::PERMANENT_REDIRECT, "moved", text, "follow Location")
        .with(header::LOCATION, to)
}

fn nowhere(method: &Method) -> Refusal {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return not_so(method, "GET, HEAD");
    }
    let hint = "the page is at /, its data under /api/v1/";
    Refusal::new(StatusCode::NOT_FOUND, "no-such-path", "nothing is here".to_owned(), hint)
}

fn not_so(method: &Method, allowed: &str) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "read-only",
        format!("{method} is not possible here"),
        &format!("use {}", allowed.replace(", ", " or ")),
    )
    .with(header::ALLOW, allowed)
}

/// The same without what the page begins with; `None` when there is nothing to take off.
fn shortened(uri: &Uri, path: &str) -> Option<Uri> {
    if uri.path() == path {
        return None;
    }
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(target).ok();
    Uri::from_parts(parts).ok()
}
