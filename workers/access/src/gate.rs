//! One connection's authentication: challenges, and who a request comes from.
//!
//! ```text
//!   no credentials ──> 401, a nonce of this connection's own
//!   right answer to it ──────────> admitted, as long as the rules allow it (else 403)
//!   right answer to another nonce, an old one or a count used before ──> 401, stale=true
//!   wrong answer, or nobody of that name ──> 401, later
//! ```
//! A nonce is good on the connection it was given to, for [`NONCE_AGE`], and each count of it once; so an
//! answer that somebody recorded opens nothing. Where requests of one client come over several connections, or
//! those of several over one (HTTP, with or without a proxy), a nonce is [signed](Mint) in its place: good for
//! as long on all of them, for the method and place that it was answered for.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use protocol::config::access::{Basic, REALM};
use protocol::time::MonoNs;

use crate::digest::Algorithm;
use crate::header::{Authorization, Response, parse};
use crate::mint::Mint;
use crate::users::{Access, Action, Identity};

/// How long a nonce may be answered. Long enough that a player which pauses needs no second round, short
/// enough that a digest on its way is not worth keeping.
pub const NONCE_AGE: Duration = Duration::from_secs(300);

/// One request, as far as it matters here.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub method: &'a str,
    /// As the request has it.
    pub uri: &'a str,
    pub authorization: Option<&'a str>,
    pub action: Action,
    /// What the rules are about.
    pub path: &'a str,
    /// Whether TLS hides it from who listens.
    pub is_secure: bool,
    /// Whether an old nonce will do: of requests that only keep something alive, or end it.
    pub is_lenient: bool,
    pub now: MonoNs,
    /// For a new nonce, if one is needed.
    pub chance: u128,
}

impl fmt::Debug for Asked<'_> {
    /// Without the header, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, action, .. } = self;
        write!(f, "Asked({method} {path}, {action:?})")
    }
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Admitted(Identity),
    /// 401.
    Challenged(Challenge),
    /// 403: who it is is known, and may not.
    Forbidden,
    /// 401, and it counts as a guess.
    Wrong(Challenge),
}

/// Values of `WWW-Authenticate` headers, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge(pub Vec<String>);

/// What a connection remembers.
#[derive(Debug, Default)]
pub struct Gate {
    nonce: Option<Nonce>,
    /// Whose nonces are good here; without one, only the connection's own.
    mint: Option<Arc<Mint>>,
}

#[derive(Debug)]
struct Nonce {
    text: String,
    given: MonoNs,
    /// The highest count that was answered with.
    count: u32,
}

/// What an answer is worth.
enum Answer {
    Right(Identity),
    /// The password is right, the nonce is not.
    Stale,
    /// It cannot be looked at: not ours, or a password where none may come.
    Unfit,
    Wrong,
}

impl Gate {
    /// One that remembers nothing: any nonce of the mint is good that is not too old.
    pub fn of(mint: Arc<Mint>) -> Self {
        Self { nonce: None, mint: Some(mint) }
    }

    /// Looks at one request.
    pub fn judge(&mut self, access: &Access, asked: &Asked<'_>) -> Verdict {
        self.judge_by(access, asked, |who| access.allows(who, asked.action, asked.path))
    }

    /// Looks at one request that is about more than one path, or about none: `may` says who may.
    pub fn judge_by(
        &mut self,
        access: &Access,
        asked: &Asked<'_>,
        may: impl Fn(&Identity) -> bool,
    ) -> Verdict {
        let anyone_may = may(&Identity::Anyone);
        if anyone_may && asked.authorization.is_none() {
            return Verdict::Admitted(Identity::Anyone);
        }
        let answer = asked.authorization.map(|header| self.answer(access, header, asked));
        match answer {
            Some(Answer::Right(who)) if may(&who) => Verdict::Admitted(who),
            Some(Answer::Right(_)) => Verdict::Forbidden,
            Some(Answer::Stale) => Verdict::Challenged(self.challenge(access, asked, true)),
            Some(Answer::Wrong) => Verdict::Wrong(self.challenge(access, asked, false)),
            // Credentials for somebody else do no harm where none are needed.
            Some(Answer::Unfit) | None if anyone_may => Verdict::Admitted(Identity::Anyone),
            Some(Answer::Unfit) | None => Verdict::Challenged(self.challenge(access, asked, false)),
        }
    }

    /// Whom a request comes from, whatever may be done by them; else what becomes of it.
    pub fn identify(&mut self, access: &Access, asked: &Asked<'_>) -> Result<Identity, Verdict> {
        if access.is_open() {
            return Ok(Identity::Anyone);
        }
        match asked.authorization.map(|header| self.answer(access, header, asked)) {
            Some(Answer::Right(who)) => Ok(who),
            Some(Answer::Stale) => Err(Verdict::Challenged(self.challenge(access, asked, true))),
            Some(Answer::Wrong) => Err(Verdict::Wrong(self.challenge(access, asked, false))),
            Some(Answer::Unfit) | None => {
                Err(Verdict::Challenged(self.challenge(access, asked, false)))
            }
        }
    }

    fn answer(&mut self, access: &Access, header: &str, asked: &Asked<'_>) -> Answer {
        if access.is_open() {
            return Answer::Unfit;
        }
        match parse(header) {
            Some(Authorization::Basic { user, password }) if basic_fits(access, asked) => {
                let found = access.find(&user, |kept| kept.is(&user, &password));
                found.map_or(Answer::Wrong, Answer::Right)
            }
            Some(Authorization::Digest(answer)) if answer.realm == REALM => {
                self.digest(access, &answer, asked)
            }
            Some(Authorization::Basic { .. } | Authorization::Digest(_)) | None => Answer::Unfit,
        }
    }

    fn digest(&mut self, access: &Access, answer: &Response, asked: &Asked<'_>) -> Answer {
        let found = access.find(&answer.user, |kept| kept.answers(asked.method, answer));
        let Some(who) = found.filter(|_| self.is_for(&answer.uri, asked.uri)) else {
            return Answer::Wrong;
        };
        if let Some(mint) = &self.mint {
            let is_good = mint.is_own(&answer.nonce, asked.now, NONCE_AGE);
            return if is_good { Answer::Right(who) } else { Answer::Stale };
        }
        let Some(nonce) = self.nonce.as_mut().filter(|nonce| nonce.text == answer.nonce) else {
            return Answer::Stale;
        };
        let is_old = asked.now.saturating_since(nonce.given) > NONCE_AGE;
        let is_used = answer.counted.as_ref().is_some_and(|it| it.count <= nonce.count);
        if is_used || is_old && !asked.is_lenient {
            return Answer::Stale;
        }
        nonce.count = answer.counted.as_ref().map_or(nonce.count, |it| it.count);
        Answer::Right(who)
    }

    /// Where an answer may come a second time, it is good for one place and no other.
    fn is_for(&self, answered: &str, asked: &str) -> bool {
        match self.mint {
            Some(_) => place(answered) == place(asked),
            None => is_within(answered, asked),
        }
    }

    /// With the nonce that the connection has, as long as nobody has counted on it: who asks twice before
    /// answering once must not have the first answer refused.
    fn challenge(&mut self, access: &Access, asked: &Asked<'_>, is_stale: bool) -> Challenge {
        let nonce = self.nonce(asked, is_stale);
        let stale = if is_stale { ", stale=true" } else { "" };
        let digest = |algorithm: Algorithm| {
            format!(
                "Digest realm=\"{REALM}\", nonce=\"{nonce}\", qop=\"auth\", algorithm={}{stale}",
                algorithm.as_str()
            )
        };
        let mut all = Vec::new();
        if basic_fits(access, asked) {
            all.push(format!("Basic realm=\"{REALM}\", charset=\"UTF-8\""));
        }
        all.extend(Algorithm::OFFERED.map(digest));
        Challenge(all)
    }

    fn nonce(&mut self, asked: &Asked<'_>, is_stale: bool) -> String {
        if let Some(mint) = &self.mint {
            return mint.nonce(asked.now);
        }
        let is_good = |nonce: &Nonce| {
            nonce.count == 0 && asked.now.saturating_since(nonce.given) <= NONCE_AGE / 2
        };
        let kept = self.nonce.take().filter(|nonce| !is_stale && is_good(nonce));
        let nonce = self.nonce.insert(kept.unwrap_or_else(|| Nonce {
            text: format!("{:032x}", asked.chance),
            given: asked.now,
            count: 0,
        }));
        nonce.text.clone()
    }
}

fn basic_fits(access: &Access, asked: &Asked<'_>) -> bool {
    match access.basic {
        Basic::Always => true,
        Basic::Never => false,
        Basic::Tls => asked.is_secure,
    }
}

/// Whether an answer made for `answered` is one for `asked`. VLC leaves the track out of it, some players the
/// scheme and host, some a last slash.
fn is_within(answered: &str, asked: &str) -> bool {
    let (answered, asked) = (place(answered), place(asked));
    let rest = asked.strip_prefix(answered);
    rest.is_some_and(|rest| rest.is_empty() || !answered.is_empty() && rest.starts_with(['/', '?']))
}

/// What stands behind scheme and host, if they are there: a path or a query may hold `://` too.
fn place(uri: &str) -> &str {
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphabetic());
    let path = match uri.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => {
            rest.find(['/', '?']).map_or("", |at| &rest[at..])
        }
        _ => uri,
    };
    path.trim_end_matches('/')
}

#[cfg(test)]
mod tests;
