//! The two shapes of what is answered besides pictures and pages: JSON, and a refusal that says
//! what is wrong and what to do, in the shape of the control socket's errors.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use protocol::admin::ReplyError;
use schemars::JsonSchema;
use serde::Serialize;

/// `{error: {code, text, hint}}` with its status.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    error: ReplyError,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What every refusal has.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Refusal")]
pub struct Refused {
    pub error: ReplyError,
}

impl Refusal {
    pub fn new(status: StatusCode, code: &str, text: String, hint: &str) -> Self {
        let error = ReplyError { code: code.to_owned(), text, hint: hint.to_owned() };
        Self::of(status, error)
    }

    /// With the words of who refused it.
    pub fn of(status: StatusCode, error: ReplyError) -> Self {
        Self { status, error, headers: Vec::new() }
    }

    /// With one more header. What cannot stand in one is left out.
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(Refused { error: self.error });
        let mut response = (self.status, fresh(body)).into_response();
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// What is true now is not true later: nobody may keep it.
pub fn fresh(body: impl IntoResponse) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], body)
}
