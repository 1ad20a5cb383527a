//! `users:` and `tokens:` of a worker that listens: each secret under the name of its credential.

use protocol::config::access::Password;
use protocol::config::{TokenConfig, Tokens, Users, WebConfig};
use protocol::secret::Secret;

use super::problem::{CredentialProblem, KeyProblem};
use super::section::Section;
use super::tree::{Node, Value};

/// A key with entries that have a secret each.
struct Kept {
    key: &'static str,
    secret: &'static str,
    fits: fn(&Secret) -> bool,
}

const USERS: Kept =
    Kept { key: "users", secret: "password", fits: |password| Password::of(password).is_ok() };
const TOKENS: Kept =
    Kept { key: "tokens", secret: "token", fits: |token| TokenConfig::fits(token).is_ok() };

/// Users whose passwords are shown by the names of their credentials; `None`, after a complaint, when one
/// stands there as it is, or cannot be a password.
pub(super) fn named(section: &mut Section<'_>, mut users: Users) -> Option<Users> {
    let is_whole = USERS.name(section, |name, named| {
        let password = users.get_mut(name).and_then(|user| user.password.as_mut());
        password.is_none_or(named)
    });
    is_whole.then_some(users)
}

/// The section with both.
pub(super) fn of_web(section: &mut Section<'_>, web: WebConfig) -> Option<WebConfig> {
    let WebConfig { users, tokens, .. } = web.clone();
    let (users, tokens) = (named(section, users), named_tokens(section, tokens));
    Some(WebConfig { users: users?, tokens: tokens?, ..web })
}

fn named_tokens(section: &mut Section<'_>, mut tokens: Tokens) -> Option<Tokens> {
    let is_whole = TOKENS.name(section, |name, named| {
        tokens.get_mut(name).is_none_or(|token| named(&mut token.token))
    });
    is_whole.then_some(tokens)
}

impl Kept {
    /// Calls `give` with the name of each entry that has a secret and with what names that secret. Whether all of
    /// them are credentials that fit.
    fn name(
        &self,
        section: &mut Section<'_>,
        mut give: impl FnMut(&str, &mut dyn FnMut(&mut Secret) -> bool) -> bool,
    ) -> bool {
        let Some(Node { value: Value::Map(entries), .. }) = section.get(self.key) else {
            return true;
        };
        let mut is_whole = true;
        for entry in entries {
            let Value::Map(keys) = &entry.value.value else { continue };
            let Some(node) = keys.iter().find(|it| it.key.text == self.secret) else { continue };
            let mut name_it = |secret: &mut Secret| self.name_one(section, &node.value, secret);
            is_whole &= give(&entry.key.text, &mut name_it);
        }
        is_whole
    }

    fn name_one(&self, section: &mut Section<'_>, node: &Node, secret: &mut Secret) -> bool {
        match &node.value {
            Value::Text(text) if !text.is_secret => {
                section.complain(node.place, self.not_a_credential());
                false
            }
            Value::Text(text) if !(self.fits)(secret) => {
                let (key, written) = (self.key.to_owned(), format!("'{}'", text.written()));
                section.complain(node.place, CredentialProblem::Unfit { key, written });
                false
            }
            Value::Text(text) => {
                *secret = secret.clone().shown_as(text.written());
                true
            }
            // Its type was told already.
            Value::Broken | Value::List(_) | Value::Map(_) | Value::Null => false,
        }
    }

    fn not_a_credential(&self) -> KeyProblem {
        KeyProblem::NotA {
            key: self.secret.to_owned(),
            seen: "what others may read here".to_owned(),
            expected: "a credential, written as ${cred:NAME}".to_owned(),
        }
    }
}
