//! Who is let in: passwords and tokens, for as much as a path asks for. What comes with a wrong one is answered
//! late, and what follows it from there is looked at one by one (`access::Guesses`), but for those that were right
//! lately (`access::Proven`).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use access::header::{bearer, parse};
use access::{
    Action, Asked, Challenge, Gate, Holder, Identity, Keys, Mint, Proof, Proven, Turn, Verdict,
};
use axum::http::{StatusCode, header};
use lobby::Lobby;
use protocol::config::Right;
use protocol::config::access::REALM;
use protocol::time::MonoNs;

use super::forwarded::Asker;
use super::need::Need;
use super::sight::{Sight, owner};
use crate::answer::Refusal;
use crate::sources::Sources;

/// Guesses at tokens wait in one queue: this is no name that a user may have.
const TOKENS: &str = " token";

/// Users, tokens and the clock.
pub(super) struct Entrance {
    pub(super) lobby: Arc<Lobby>,
    pub(super) keys: Keys,
    pub(super) mint: Arc<Mint>,
    pub(super) proven: Mutex<Proven>,
    pub(super) clock: Arc<dyn Sources>,
    /// Of the page, to know whose a worker is.
    pub(super) cameras: Vec<String>,
}

/// A request, as far as it matters here.
pub(super) struct Knock<'a> {
    pub(super) asker: &'a Asker,
    pub(super) need: Need,
    /// The camera or worker that the path names.
    pub(super) subject: Option<&'a str>,
    pub(super) method: &'a str,
    /// As the client has it.
    pub(super) uri: &'a str,
    pub(super) authorization: Option<&'a str>,
}

impl Entrance {
    /// Whom it comes from, or what is answered in place of what they asked for.
    pub(super) async fn admit(&self, knock: &Knock<'_>) -> Result<Sight, Refusal> {
        if knock.need == Need::Nothing {
            return Ok(self.sight(Identity::Anyone));
        }
        if let Some(token) = knock.authorization.and_then(bearer) {
            return self.by_token(knock, token).await;
        }
        match knock.need {
            Need::Change(_) if self.keys.is_empty() => Err(no_tokens()),
            Need::Change(_) => Err(no_token()),
            Need::All | Need::Any | Need::Camera | Need::Nothing => self.by_password(knock).await,
        }
    }

    async fn by_token(&self, knock: &Knock<'_>, token: &str) -> Result<Sight, Refusal> {
        let proof = Proof::of_token(token);
        self.wait_for_turn(knock, TOKENS, proof).await?;
        let Some(holder) = self.keys.holder(token) else {
            self.was_wrong(knock, TOKENS).await;
            return Err(wrong_token());
        };
        self.was_right(proof);
        let sight = Sight::with_token(Arc::clone(&self.lobby), Arc::clone(holder));
        let may = match knock.need {
            Need::Change(right) => self.may_change(holder, right, knock.subject),
            need => is_enough(&sight, need, knock.subject),
        };
        if may { Ok(sight) } else { Err(small_token(&holder.name)) }
    }

    /// A worker that belongs to no camera is of the whole project.
    fn may_change(&self, holder: &Holder, right: Right, subject: Option<&str>) -> bool {
        let names = self.cameras.iter().map(String::as_str);
        let camera = match right {
            Right::Restart => subject.and_then(|worker| owner(worker, names)),
            Right::Comment | Right::Read | Right::Record => subject,
        };
        camera.is_some_and(|camera| holder.may(right, camera)) || holder.may_everywhere(right)
    }

    async fn by_password(&self, knock: &Knock<'_>) -> Result<Sight, Refusal> {
        let access = self.lobby.access();
        let said = knock.authorization.filter(|_| !access.is_open()).and_then(parse);
        let proof = said.as_ref().map(Proof::of);
        if let (Some(said), Some(proof)) = (&said, proof) {
            self.wait_for_turn(knock, said.user(), proof).await?;
        }
        let asked = Asked {
            method: knock.method,
            uri: knock.uri,
            authorization: knock.authorization,
            // What is asked for is not one path alone: `may` says.
            action: Action::Play,
            path: "",
            is_secure: knock.asker.is_secure,
            is_lenient: false,
            now: self.now(),
            // A mint needs none.
            chance: 0,
        };
        let may = |who: &Identity| is_enough(&self.sight(who.clone()), knock.need, knock.subject);
        let verdict = Gate::of(Arc::clone(&self.mint)).judge_by(access, &asked, may);
        match (&verdict, proof) {
            (Verdict::Forbidden | Verdict::Admitted(Identity::User(_)), Some(proof)) => {
                self.was_right(proof);
            }
            (Verdict::Wrong(_), Some(proof)) => self.proven().forget(proof),
            _ => {}
        }
        match verdict {
            Verdict::Admitted(who) => Ok(self.sight(who)),
            Verdict::Forbidden => Err(forbidden()),
            Verdict::Challenged(challenge) => Err(challenged(&challenge)),
            Verdict::Wrong(challenge) => {
                self.was_wrong(knock, said.as_ref().map_or("", |said| said.user())).await;
                Err(challenged(&challenge))
            }
        }
    }

    /// Guesses from one address are looked at one after the other.
    async fn wait_for_turn(
        &self,
        knock: &Knock<'_>,
        name: &str,
        proof: Proof,
    ) -> Result<(), Refusal> {
        let now = self.now();
        if self.proven().has(proof, now) {
            return Ok(());
        }
        match self.lobby.turn(knock.asker.address, name, now) {
            Turn::Now => Ok(()),
            Turn::At(at) => {
                tokio::time::sleep(at.saturating_since(now)).await;
                Ok(())
            }
            Turn::Never => Err(too_many()),
        }
    }

    fn was_right(&self, proof: Proof) {
        self.proven().note(proof, self.now());
    }

    fn proven(&self) -> MutexGuard<'_, Proven> {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn was_wrong(&self, knock: &Knock<'_>, name: &str) {
        let now = self.now();
        // Only its address is told.
        let peer = SocketAddr::new(knock.asker.address, 0);
        let answer = self.lobby.wrong(peer, name, now);
        tokio::time::sleep(answer.saturating_since(now)).await;
    }

    fn sight(&self, who: Identity) -> Sight {
        Sight::of(Arc::clone(&self.lobby), who)
    }

    fn now(&self) -> MonoNs {
        self.clock.now().mono
    }
}

fn is_enough(sight: &Sight, need: Need, subject: Option<&str>) -> bool {
    match need {
        Need::All => sight.sees_all(),
        Need::Any => sight.sees_some(),
        Need::Camera => subject.is_some_and(|camera| sight.sees(camera)),
        Need::Change(_) => false,
        Need::Nothing => true,
    }
}

fn challenged(challenge: &Challenge) -> Refusal {
    let refusal = Refusal::new(
        StatusCode::UNAUTHORIZED,
        "who",
        "this page wants to know who asks".to_owned(),
        "log in as one of `users`, or bear one of `tokens`",
    );
    let with = |refusal: Refusal, line: &String| refusal.with(header::WWW_AUTHENTICATE, line);
    challenge.0.iter().fold(refusal, with)
}

fn forbidden() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "not-allowed",
        "this user may not see that".to_owned(),
        "`play` of `users` says who sees which cameras; what is about all of them needs '*'",
    )
}

/// Not with a challenge to log in: no user may change anything, and a browser would ask for a password.
fn no_token() -> Refusal {
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        "no-token",
        "changes need a token".to_owned(),
        "send Authorization: Bearer TOKEN, with one of `tokens` of this web worker",
    )
    .with(header::WWW_AUTHENTICATE, &format!("Bearer realm=\"{REALM}\""))
}

fn no_tokens() -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "read-only",
        "this page only shows: its web worker has no tokens".to_owned(),
        "add tokens: {ops: {token: '${cred:ops}', may: [restart, record, comment]}} to it",
    )
}

fn wrong_token() -> Refusal {
    let line = format!("Bearer realm=\"{REALM}\", error=\"invalid_token\"");
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        "wrong-token",
        "nobody bears this token".to_owned(),
        "use one of `tokens` of this web worker as it is in its credential",
    )
    .with(header::WWW_AUTHENTICATE, &line)
}

fn small_token(name: &str) -> Refusal {
    let line = format!("Bearer realm=\"{REALM}\", error=\"insufficient_scope\"");
    Refusal::new(
        StatusCode::FORBIDDEN,
        "not-allowed",
        format!("token {name} may not do that"),
        "`may` and `cameras` of the token say what it may",
    )
    .with(header::WWW_AUTHENTICATE, &line)
}

fn too_many() -> Refusal {
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        "guessing",
        "too many wrong passwords came from this address".to_owned(),
        "wait a minute, and use the right one",
    )
    .with(header::RETRY_AFTER, "60")
}
