//! Asks one device for its streams: SOAP over HTTP, with WS-UsernameToken, and HTTP digest where it wants that.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_auth::{PasswordClient, PasswordParams};
use https::Client;
use protocol::verb::DiscoveredProfile;
use shmring::clock;

use crate::answers::{self, Fault};
use crate::multicast::random;
use crate::soap::{self, Login, Token};
use xml::Element;

/// A device answers a question within a second or two.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Why a device tells no streams, for people.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("its service is at {0}, not where it answered from; it is not asked")]
    Elsewhere(String),
    #[error("{0}")]
    Http(#[from] https::Error),
    #[error("it answers with {0}")]
    Status(StatusCode),
    #[error("user or password refused; expected one with the right to read streams: --user NAME")]
    Login,
    #[error("it wants a user and a password: --user NAME")]
    NoLogin,
    #[error("it says: {0}")]
    Fault(String),
    #[error("its answer is of no use: {0}")]
    Answer(String),
}

/// A device, as it is asked.
#[derive(Debug)]
pub(crate) struct Device<'a> {
    client: &'a Client,
    /// The only address that is spoken to.
    address: IpAddr,
    login: Option<&'a Login>,
    /// How much its clock is ahead of ours, s.
    ahead_s: i64,
}

impl<'a> Device<'a> {
    pub(crate) fn new(client: &'a Client, address: IpAddr, login: Option<&'a Login>) -> Self {
        Self { client, address, login, ahead_s: 0 }
    }

    /// Its streams with their addresses.
    pub(crate) async fn profiles(
        &mut self,
        service: &str,
    ) -> Result<Vec<DiscoveredProfile>, Problem> {
        // A token is good for some seconds of the device's own time, which many have wrong.
        if let Ok(answer) = self.ask(service, soap::TIME, false).await {
            self.ahead_s = answers::time(&answer).map_or(0, ahead_s);
        }
        let answer = self.ask(service, soap::MEDIA, true).await?;
        let no_media = || Problem::Answer("it names no media service".to_owned());
        let media = answers::media_service(&answer).ok_or_else(no_media)?;
        let answer = self.ask(&media, soap::PROFILES, true).await?;
        let mut profiles = Vec::new();
        for (token, profile) in answers::profiles(&answer) {
            let answer = self.ask(&media, &soap::stream_uri(&token), true).await?;
            let url = answers::stream(&answer);
            profiles.push(DiscoveredProfile { url, ..profile });
        }
        Ok(profiles)
    }

    async fn ask(&self, service: &str, body: &str, proves: bool) -> Result<Element, Problem> {
        let uri = self.uri(service)?;
        let login = self.login.filter(|_| proves);
        let created = shifted(now(), self.ahead_s);
        let token = login.map(|login| Token { login, nonce: random(), created });
        let text = Bytes::from(soap::envelope(body, token));
        let mut answer = self.post(&uri, text.clone(), None).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let login = login.ok_or(Problem::NoLogin)?;
            let authorization = authorization(&answer, &uri, login).ok_or(Problem::Login)?;
            answer = self.post(&uri, text, Some(authorization)).await?;
        }
        let refused = || if login.is_some() { Problem::Login } else { Problem::NoLogin };
        // A fault comes with 400 or 500, and says more than these.
        let read = xml::read(answer.body());
        match read.as_ref().ok().and_then(answers::fault) {
            Some(Fault::Login) => return Err(refused()),
            Some(Fault::Other(why)) => return Err(Problem::Fault(why)),
            None => {}
        }
        match answer.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(refused()),
            status if !status.is_success() => Err(Problem::Status(status)),
            _ => read.map_err(|malformed| Problem::Answer(malformed.to_string())),
        }
    }

    async fn post(
        &self,
        uri: &Uri,
        text: Bytes,
        authorization: Option<String>,
    ) -> Result<Response<Bytes>, Problem> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(uri.clone())
            .header(header::CONTENT_TYPE, "application/soap+xml; charset=utf-8");
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(text).map_err(|error| Problem::Answer(error.to_string()))?;
        Ok(self.client.call(request, ANSWERS_WITHIN).await?)
    }

    /// Only where it answered from: a stranger does not choose whom we speak to.
    fn uri(&self, service: &str) -> Result<Uri, Problem> {
        let elsewhere =
            || Problem::Elsewhere(service.chars().filter(|c| !c.is_control()).take(100).collect());
        let (uri, address) = addressed(service).ok_or_else(elsewhere)?;
        if address == self.address { Ok(uri) } else { Err(elsewhere()) }
    }
}

/// A service's address and whom it leads to, where it says that without a name server.
pub(crate) fn addressed(service: &str) -> Option<(Uri, IpAddr)> {
    let uri: Uri = service.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse().ok()?;
    Some((uri, address))
}

/// The answer to a challenge for HTTP digest. Never basic: it would show the password to whoever asks for it.
fn authorization(answer: &Response<Bytes>, uri: &Uri, login: &Login) -> Option<String> {
    let challenges = answer.headers().get_all(header::WWW_AUTHENTICATE);
    let digests = challenges.iter().filter_map(|value| value.to_str().ok()).filter(|text| {
        text.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("digest"))
    });
    let builder = digests.fold(PasswordClient::builder(), |builder, text| builder.challenges(text));
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let parameters = PasswordParams {
        username: &login.user,
        password: &login.password,
        uri: path,
        method: "POST",
        body: Some(&[]),
    };
    builder.build().ok()?.respond(&parameters).ok()
}

fn ahead_s(theirs: SystemTime) -> i64 {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(0);
    match theirs.duration_since(now()) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => -seconds(behind.duration()),
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(clock::now().utc.0)
}

fn shifted(time: SystemTime, by_s: i64) -> SystemTime {
    let by = Duration::from_secs(by_s.unsigned_abs());
    let shifted = if by_s >= 0 { time.checked_add(by) } else { time.checked_sub(by) };
    shifted.filter(|time| *time >= SystemTime::UNIX_EPOCH).unwrap_or(time)
}
