//! Why a recording is not in the store.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use object_store::client::HttpError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot {doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Recordings(#[from] recordings::Error),
    /// In our words: a store's own may hold what it was sent.
    #[error("{0}")]
    Store(String),
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::File { doing, path, source }
    }

    /// Whether the store is in trouble, and not this file.
    pub(crate) fn is_of_store(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        Self::Store(reason(&error))
    }
}

fn reason(error: &object_store::Error) -> String {
    use object_store::Error as E;
    let text = chain(error);
    let code = between(&text, "<Code>", "</Code>").map(|code| format!(" ({code})"));
    let code = code.unwrap_or_default();
    match error {
        E::Unauthenticated { .. } => {
            format!("it does not know the credentials{code}; see `credentials` and `region`")
        }
        E::PermissionDenied { .. } => {
            format!(
                "it denies access{code}; expected credentials that may read and write the bucket"
            )
        }
        E::NotFound { .. } => format!("no such bucket{code}; make it, or see `to`"),
        _ => match http_error(error) {
            Some(error) => error.source().map_or_else(|| error.to_string(), ToString::to_string),
            None => match between(&text, "status code: ", ":") {
                Some(status) => format!("it answers {status}{code}"),
                None => shortened(&text),
            },
        },
    }
}

fn http_error(error: &object_store::Error) -> Option<&HttpError> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<HttpError>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// The texts of all that lies beneath.
fn chain(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    let found = rest.split(to).next()?.trim();
    (!found.is_empty() && found.len() <= 60).then_some(found)
}

/// Without what may be an answer's body.
fn shortened(text: &str) -> String {
    text.split('<').next().unwrap_or_default().chars().take(200).collect()
}
