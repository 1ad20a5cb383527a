//! A camera's user and password: basic and digest, by the `http-auth` crate. Pure.

use http_auth::{PasswordClient, PasswordParams};

use super::url::Credentials;

/// What is sent along with requests, once a camera has asked for it.
#[derive(Debug, Default)]
pub(crate) struct Auth {
    client: Option<PasswordClient>,
}

impl Auth {
    /// Takes a camera's challenges; whether there is one that can be answered. Digest goes before basic,
    /// which would show the password.
    pub(crate) fn challenge<'a>(&mut self, challenges: impl Iterator<Item = &'a str>) -> bool {
        let mut builder = PasswordClient::builder();
        let mut basic = None;
        for challenge in challenges {
            if challenge
                .trim_start()
                .get(..6)
                .is_some_and(|word| word.eq_ignore_ascii_case("digest"))
            {
                builder = builder.challenges(challenge);
            } else {
                basic = basic.or(Some(challenge));
            }
        }
        self.client = builder
            .build()
            .ok()
            .or_else(|| PasswordClient::builder().challenges(basic?).build().ok());
        self.client.is_some()
    }

    /// The `Authorization` of a request; `None` before a challenge.
    pub(crate) fn authorization(
        &mut self,
        credentials: &Credentials,
        method: &str,
        url: &str,
    ) -> Option<String> {
        let parameters = PasswordParams {
            username: &credentials.user,
            password: &credentials.password,
            uri: url,
            method,
            body: Some(&[]),
        };
        self.client.as_mut()?.respond(&parameters).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials { user: "Mufasa".to_owned(), password: "Circle Of Life".to_owned() }
    }

    #[test]
    fn a_digest_is_answered_as_the_rfc_has_it() {
        let mut auth = Auth::default();
        assert_eq!(auth.authorization(&credentials(), "DESCRIBE", "rtsp://h/"), None);
        // RFC 2617 section 3.5, without qop, as cameras ask.
        let challenge =
            "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
        assert!(auth.challenge(["Basic realm=\"x\"", challenge].into_iter()));
        let answer = auth.authorization(&credentials(), "GET", "/dir/index.html").unwrap();
        // MD5(MD5(user:realm:password):nonce:MD5(GET:/dir/index.html))
        assert!(answer.contains("response=\"670fd8c2df070c60b045671b8b24ff02\""), "{answer}");
        assert!(!answer.contains("Circle"));
    }

    #[test]
    fn basic_is_answered_where_nothing_else_is_offered() {
        let mut auth = Auth::default();
        assert!(auth.challenge(["Basic realm=\"/\""].into_iter()));
        let answer = auth.authorization(&credentials(), "DESCRIBE", "rtsp://h/").unwrap();
        assert_eq!(answer, "Basic TXVmYXNhOkNpcmNsZSBPZiBMaWZl");
    }

    #[test]
    fn what_nobody_can_answer_is_no_challenge() {
        assert!(!Auth::default().challenge(["Negotiate", ""].into_iter()));
        assert!(!Auth::default().challenge([].into_iter()));
    }
}
