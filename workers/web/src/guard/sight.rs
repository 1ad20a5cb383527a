//! What somebody who was let in may see. Pure.

use std::fmt;
use std::sync::Arc;

use access::{Action, Holder, Identity};
use lobby::Lobby;
use protocol::config::Right;

/// Goes with each request to what answers it.
#[derive(Clone)]
pub struct Sight {
    lobby: Arc<Lobby>,
    who: Identity,
    holder: Option<Arc<Holder>>,
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sight of {}", self.name())
    }
}

impl Sight {
    pub fn of(lobby: Arc<Lobby>, who: Identity) -> Self {
        Self { lobby, who, holder: None }
    }

    /// What everybody may see, who bears a token may see too.
    pub fn with_token(lobby: Arc<Lobby>, holder: Arc<Holder>) -> Self {
        Self { lobby, who: Identity::Anyone, holder: Some(holder) }
    }

    /// Who it is, for the log and for what is signed.
    pub fn name(&self) -> String {
        match &self.holder {
            Some(holder) => holder.name.clone(),
            None => self.who.to_string(),
        }
    }

    /// Whether its token may do this to `camera`; the guard has looked, by the cameras that it knows of.
    pub fn may(&self, right: Right, camera: &str) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.may(right, camera))
    }

    /// Whether its token may do this to all there is.
    pub fn may_everywhere(&self, right: Right) -> bool {
        self.holder.as_ref().is_some_and(|holder| holder.may_everywhere(right))
    }

    pub fn sees(&self, camera: &str) -> bool {
        self.lobby.access().allows(&self.who, Action::Play, camera)
            || self.holder.as_ref().is_some_and(|holder| holder.may(Right::Read, camera))
    }

    pub fn sees_all(&self) -> bool {
        self.lobby.access().plays_everything(&self.who)
            || self.holder.as_ref().is_some_and(|holder| holder.may_everywhere(Right::Read))
    }

    pub fn sees_some(&self) -> bool {
        self.lobby.access().plays_something(&self.who)
            || self.holder.as_ref().is_some_and(|holder| holder.has(Right::Read))
    }

    /// Whether the worker's camera, of these, may be seen; who sees all sees all workers.
    pub fn sees_worker<'a>(&self, worker: &str, cameras: impl Iterator<Item = &'a str>) -> bool {
        self.sees_all() || owner(worker, cameras).is_some_and(|camera| self.sees(camera))
    }
}

/// The camera that a worker's name begins with, by the way `cameras:` names its workers: `hall-decode` is of
/// `hall`, and `hall-2-decode` of `hall-2` if there is such a camera. The other half of a command,
/// `NAME/pipe`, is of whose that is.
pub fn owner<'a>(worker: &str, cameras: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let is_of = |camera: &&str| {
        let rest = worker.strip_prefix(*camera);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '/']))
    };
    cameras.filter(is_of).max_by_key(|camera| camera.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use access::{Access, Keys};
    use protocol::config::{Basic, TokenConfig, UserConfig};
    use protocol::secret::Secret;

    const CAMERAS: [&str; 3] = ["hall", "hall-2", "yard"];

    fn lobby() -> Arc<Lobby> {
        let anna = UserConfig {
            password: Some(Secret::new("pw")),
            play: "hall*".into(),
            ..UserConfig::default()
        };
        let anyone = UserConfig { play: "yard".into(), ..UserConfig::default() };
        let users = [("anna".to_owned(), anna), ("anyone".to_owned(), anyone)];
        Arc::new(Lobby::new(Access::of(&users.into(), Basic::Always).unwrap()))
    }

    fn holder(may: &[Right], cameras: &str) -> Arc<Holder> {
        let token = "t".repeat(32);
        let config = TokenConfig {
            token: Secret::new(token.clone()),
            may: may.to_vec(),
            cameras: cameras.into(),
        };
        let keys = Keys::of(&[("ops".to_owned(), config)].into()).unwrap();
        Arc::clone(keys.holder(&token).unwrap())
    }

    #[test]
    fn a_user_sees_their_own_cameras_and_those_of_everybody() {
        let anna = Sight::of(lobby(), Identity::User("anna".into()));
        assert!(anna.sees("hall") && anna.sees("yard") && !anna.sees("cellar"));
        assert!(anna.sees_some() && !anna.sees_all());
        let anyone = Sight::of(lobby(), Identity::Anyone);
        assert!(anyone.sees("yard") && !anyone.sees("hall"));
    }

    #[test]
    fn a_token_sees_what_it_may_read_and_what_everybody_sees() {
        let reads = Sight::with_token(lobby(), holder(&[Right::Read], "cellar"));
        assert!(reads.sees("cellar") && reads.sees("yard") && !reads.sees("hall"));
        let restarts = Sight::with_token(lobby(), holder(&[Right::Restart], "*"));
        assert!(!restarts.sees("hall") && !restarts.sees_all() && restarts.sees("yard"));
        assert!(Sight::with_token(lobby(), holder(&[Right::Read], "*")).sees_all());
        assert_eq!(reads.name(), "ops");
        assert!(restarts.may(Right::Restart, "hall") && !restarts.may(Right::Read, "hall"));
        assert!(!Sight::of(lobby(), Identity::Anyone).may(Right::Read, "yard"));
    }

    #[test]
    fn a_worker_is_of_the_camera_with_the_longest_name_that_it_begins_with() {
        let owner = |worker: &str| owner(worker, CAMERAS.into_iter());
        assert_eq!(owner("hall"), Some("hall"));
        assert_eq!(owner("hall-decode"), Some("hall"));
        assert_eq!(owner("hall-2-decode"), Some("hall-2"));
        assert_eq!(owner("yard/pipe"), Some("yard"));
        for nobody in ["hallway", "web", "", "all"] {
            assert_eq!(owner(nobody), None, "{nobody}");
        }
        let anna = Sight::of(lobby(), Identity::User("anna".into()));
        assert!(anna.sees_worker("hall-decode", CAMERAS.into_iter()));
        assert!(!anna.sees_worker("web", CAMERAS.into_iter()));
    }
}
