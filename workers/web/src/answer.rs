//! The two shapes of what is answered besides pictures and pages: JSON, and a refusal that says
//! what is wrong and what to do, in the shape of the control socket's errors.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::admin::ReplyError;
use serde::Serialize;

/// `{error: {code, text, hint}}` with its status.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    error: ReplyError,
}

#[derive(Serialize)]
struct Body {
    error: ReplyError,
}

impl Refusal {
    pub fn new(status: StatusCode, code: &str, text: String, hint: &str) -> Self {
        Self { status, error: ReplyError { code: code.to_owned(), text, hint: hint.to_owned() } }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, fresh(Json(Body { error: self.error }))).into_response();
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            let allow = header::HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }
}

/// What is true now is not true later: nobody may keep it.
pub fn fresh(body: impl IntoResponse) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], body)
}
