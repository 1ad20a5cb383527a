//! `users:` of a worker that listens: each password under the name of its credential.

use protocol::config::access::Password;
use protocol::config::{RtspConfig, Users};

use super::problem::{CredentialProblem, KeyProblem};
use super::section::Section;
use super::tree::{Map, Node, Value};

const KEY: &str = "users";
const PASSWORD: &str = "password";

/// The section whose passwords are shown by the names of their credentials; `None`, after a complaint, when
/// one stands there as it is, or cannot be a password.
pub(super) fn named(section: &mut Section<'_>, config: RtspConfig) -> Option<RtspConfig> {
    let Some(Node { value: Value::Map(written), .. }) = section.get(KEY) else {
        return Some(config);
    };
    let users = users(section, written, config.users);
    users.map(|users| RtspConfig { users, ..config })
}

fn users(section: &mut Section<'_>, written: &Map, mut users: Users) -> Option<Users> {
    let mut is_whole = true;
    for entry in written {
        let Value::Map(keys) = &entry.value.value else { continue };
        let Some(node) = keys.iter().find(|it| it.key.text == PASSWORD) else { continue };
        let Some(user) = users.get_mut(&entry.key.text) else { continue };
        let Some(password) = user.password.take() else { continue };
        match &node.value.value {
            Value::Text(text) if !text.is_secret => {
                section.complain(node.value.place, not_a_credential());
                is_whole = false;
            }
            Value::Text(text) if Password::of(&password).is_err() => {
                let (key, written) = (KEY.to_owned(), format!("'{}'", text.written()));
                section.complain(node.value.place, CredentialProblem::Unfit { key, written });
                is_whole = false;
            }
            Value::Text(text) => user.password = Some(password.shown_as(text.written())),
            // Its type was told already.
            Value::Broken | Value::List(_) | Value::Map(_) | Value::Null => is_whole = false,
        }
    }
    is_whole.then_some(users)
}

fn not_a_credential() -> KeyProblem {
    KeyProblem::NotA {
        key: PASSWORD.to_owned(),
        seen: "what others may read here".to_owned(),
        expected: "a credential, written as ${cred:NAME}".to_owned(),
    }
}
