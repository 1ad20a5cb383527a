//! Who there is and what each may do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use protocol::config::access::{ANYONE, Basic, Password, UserError, Users};
use protocol::config::when::Patterns;

use crate::digest::Kept;

/// What somebody wants of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Play,
    Publish,
}

/// Whom a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    Anyone,
    User(Arc<str>),
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anyone => ANYONE,
            Self::User(name) => name,
        })
    }
}

/// Why there is no such list of users.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    #[error("user {name}: {why}")]
    Password { name: String, why: &'static str },
    #[error(transparent)]
    User(#[from] UserError),
}

/// The users of a server. No password is in it: only what answers are compared with.
#[derive(Debug)]
pub struct Access {
    users: BTreeMap<Arc<str>, User>,
    anyone: Rules,
    /// Stands in for who is not there, so that finding that out takes as long.
    decoy: Kept,
    pub(crate) basic: Basic,
    is_open: bool,
}

#[derive(Debug)]
struct User {
    kept: Kept,
    rules: Rules,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    play: Patterns,
    publish: Patterns,
}

impl Rules {
    fn allow(&self, action: Action, path: &str) -> bool {
        match action {
            Action::Play => self.play.matches(path),
            Action::Publish => self.publish.matches(path),
        }
    }
}

impl Access {
    /// Everybody may do everything.
    pub fn open() -> Self {
        let everything = Rules { play: "*".into(), publish: "*".into() };
        Self {
            users: BTreeMap::new(),
            anyone: everything,
            decoy: Kept::default(),
            basic: Basic::default(),
            is_open: true,
        }
    }

    /// Those of a topology; without any, everybody may do everything.
    pub fn of(users: &Users, basic: Basic) -> Result<Self, AccessError> {
        if users.is_empty() {
            return Ok(Self::open());
        }
        let mut access = Self {
            anyone: Rules::default(),
            decoy: Kept::of("", ""),
            basic,
            is_open: false,
            ..Self::open()
        };
        for (name, user) in users {
            user.check(name)?;
            let rules = Rules { play: user.play.clone(), publish: user.publish.clone() };
            match &user.password {
                None => access.anyone = rules,
                Some(password) => {
                    let unfit = "its password is none, nor digests of one";
                    let password = Password::of(password)
                        .map_err(|_| AccessError::Password { name: name.clone(), why: unfit })?;
                    let kept = match password {
                        Password::Digests { sha256, md5 } => Kept::of_digests(sha256, md5),
                        Password::Plain(password) => Kept::of(name, password),
                    };
                    access.users.insert(name.as_str().into(), User { kept, rules });
                }
            }
        }
        Ok(access)
    }

    /// Whether nobody is asked who they are.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether there is anything that `who` may play.
    pub fn plays_something(&self, who: &Identity) -> bool {
        self.rules_of(who).any(|rules| !rules.play.is_empty())
    }

    /// Whether `who` may play whatever there is or will be.
    pub fn plays_everything(&self, who: &Identity) -> bool {
        let is_all = |pattern: &String| !pattern.is_empty() && pattern.bytes().all(|b| b == b'*');
        self.rules_of(who).any(|rules| rules.play.0.iter().any(is_all))
    }

    /// A user's own, and those of everybody.
    fn rules_of(&self, who: &Identity) -> impl Iterator<Item = &Rules> {
        let own = match who {
            Identity::Anyone => None,
            Identity::User(name) => self.users.get(name),
        };
        own.map(|user| &user.rules).into_iter().chain([&self.anyone])
    }

    pub fn allows(&self, who: &Identity, action: Action, path: &str) -> bool {
        let own = match who {
            Identity::Anyone => None,
            Identity::User(name) => self.users.get(name),
        };
        // What everybody may do, a user may.
        own.is_some_and(|user| user.rules.allow(action, path)) || self.anyone.allow(action, path)
    }

    /// The user of this name whose password `is_right` knows.
    pub(crate) fn find(&self, name: &str, is_right: impl Fn(&Kept) -> bool) -> Option<Identity> {
        match self.users.get_key_value(name) {
            Some((name, user)) => is_right(&user.kept).then(|| Identity::User(Arc::clone(name))),
            None => {
                // Not the right one even if it were.
                let _ = is_right(&self.decoy);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::config::UserConfig;
    use protocol::secret::Secret;

    fn user(password: Option<&str>, play: &str, publish: &str) -> UserConfig {
        UserConfig {
            password: password.map(Secret::new),
            play: play.into(),
            publish: publish.into(),
        }
    }

    fn access() -> Access {
        let users = [
            ("anna".to_owned(), user(Some("pw-a"), "hall-*", "none")),
            ("cam".to_owned(), user(Some("pw-c"), "none", "push-1")),
            (ANYONE.to_owned(), user(None, "lobby", "none")),
        ];
        Access::of(&users.into(), Basic::default()).unwrap()
    }

    fn who(name: &str) -> Identity {
        access().find(name, |_| true).unwrap()
    }

    #[test]
    fn each_may_do_what_the_rules_say_on_the_paths_they_name_and_nothing_else() {
        let access = access();
        let allows = |name, action, path| access.allows(&who(name), action, path);
        assert!(allows("anna", Action::Play, "hall-1"));
        assert!(
            !allows("anna", Action::Play, "yard") && !allows("anna", Action::Publish, "hall-1")
        );
        assert!(allows("cam", Action::Publish, "push-1") && !allows("cam", Action::Play, "push-1"));
        assert!(allows("cam", Action::Play, "lobby"), "what everybody may do, a user may");
        assert!(access.allows(&Identity::Anyone, Action::Play, "lobby"));
        for (action, path) in [(Action::Play, "hall-1"), (Action::Publish, "lobby")] {
            assert!(!access.allows(&Identity::Anyone, action, path));
        }
    }

    #[test]
    fn who_plays_something_and_who_plays_everything_is_told_apart() {
        let access = access();
        assert!(access.plays_something(&Identity::Anyone), "the lobby");
        assert!(!access.plays_everything(&who("anna")) && access.plays_something(&who("anna")));
        let all = [("anna".to_owned(), user(Some("pw"), "**", "none"))];
        let all = Access::of(&all.into(), Basic::default()).unwrap();
        let anna = all.find("anna", |_| true).unwrap();
        assert!(all.plays_everything(&anna) && !all.plays_something(&Identity::Anyone));
        assert!(Access::open().plays_everything(&Identity::Anyone));
        for no_all in ["", "a*"] {
            let some = [("anna".to_owned(), user(Some("pw"), no_all, "none"))];
            let some = Access::of(&some.into(), Basic::default()).unwrap();
            assert!(!some.plays_everything(&some.find("anna", |_| true).unwrap()), "{no_all}");
        }
    }

    #[test]
    fn without_users_everybody_may_do_everything() {
        let access = Access::of(&Users::default(), Basic::default()).unwrap();
        assert!(access.is_open() && access.allows(&Identity::Anyone, Action::Publish, "x"));
    }

    #[test]
    fn nobody_is_found_by_a_wrong_name_or_password_and_no_password_is_kept() {
        let access = access();
        assert_eq!(access.find("bert", |_| true), None);
        assert_eq!(access.find("anna", |kept| kept.is("anna", "pw-c")), None);
        assert!(access.find("anna", |kept| kept.is("anna", "pw-a")).is_some());
        assert_eq!(access.find("", |kept| kept.is("", "")), None, "the stand-in lets nobody in");
        let text = format!("{access:?}");
        assert!(!text.contains("pw-a") && !text.contains("pw-c"), "{text}");
    }

    #[test]
    fn a_user_who_cannot_be_is_an_error_that_does_not_tell_the_password() {
        let of = |name: &str, user| {
            let users = [(name.to_owned(), user)].into();
            Access::of(&users, Basic::default()).unwrap_err().to_string()
        };
        let text = of("anna", user(Some("digest:oops-hunter2"), "*", ""));
        assert!(text.contains("anna") && !text.contains("hunter2"), "{text}");
        assert!(of("anna", user(None, "*", "")).contains("anna has no password"));
    }
}
