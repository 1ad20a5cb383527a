//! What a request is answered with, before it is bytes.

use rtsp_types::headers::{self, CSeq};
use rtsp_types::{HeaderName, Request, Response, ResponseBuilder, StatusCode, Version};

use crate::session::Event;

const SERVER: &str = concat!("framevisor/", env!("CARGO_PKG_VERSION"));

/// An answer.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    body: Vec<u8>,
    pub event: Event,
}

/// Why a request is not done: a status and at most one header that explains it.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    header: Option<(HeaderName, String)>,
}

impl Refusal {
    pub fn with(status: StatusCode, name: HeaderName, value: &str) -> Self {
        Self { status, header: Some((name, value.to_owned())) }
    }
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self { status, header: None }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.status, headers: refusal.header.into_iter().collect(), ..Self::ok() }
    }
}

impl Reply {
    pub fn ok() -> Self {
        Self { status: StatusCode::Ok, headers: Vec::new(), body: Vec::new(), event: Event::None }
    }

    pub fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    pub fn then(mut self, event: Event) -> Self {
        self.event = event;
        self
    }

    /// The response to `request`, with its CSeq when it had one.
    pub fn response(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let cseq = request.typed_header::<CSeq>().ok().flatten();
        let mut response = begin(self.status);
        if let Some(cseq) = cseq {
            response = response.typed_header(&cseq);
        }
        for (name, value) in &self.headers {
            response = response.header(name.clone(), value.as_str());
        }
        response.build(self.body.clone())
    }
}

/// The answer to what could not be read as a request.
pub fn unreadable(status: StatusCode) -> Response<Vec<u8>> {
    begin(status).build(Vec::new())
}

fn begin(status: StatusCode) -> ResponseBuilder {
    let response = Response::builder(Version::V1_0, status).header(headers::SERVER, SERVER);
    match status {
        // rtsp-types says "Ok"; the RFC and whoever greps for it say "OK".
        StatusCode::Ok => response.reason_phrase("OK"),
        _ => response,
    }
}

/// The answer to a client for which there is no place.
pub fn full(request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    Reply::from(Refusal::from(StatusCode::ServiceUnavailable)).response(request)
}
