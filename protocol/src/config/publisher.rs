//! `publish:?second=`: whoever publishes to the camera's path of an `rtsp` worker.

use std::fmt;
use std::str::FromStr;

use super::ingest::SourceError;

/// A camera, or a program, that sends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Publisher {
    pub second: Second,
}

/// What becomes of one who comes while another publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Second {
    /// It is answered 503 for as long as the first one sends.
    #[default]
    Refuse,
    /// The first one's connection is closed.
    Replace,
}

impl Second {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Replace => "replace",
        }
    }
}

impl FromStr for Publisher {
    type Err = SourceError;
    /// Of what follows `publish:`.
    fn from_str(text: &str) -> Result<Self, SourceError> {
        let query = text.strip_prefix('?').unwrap_or(text);
        if query.len() == text.len() && !text.is_empty() {
            return Err(SourceError::PublisherPath);
        }
        let mut publisher = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            publisher.second = match pair.split_once('=') {
                Some(("second", "refuse")) => Second::Refuse,
                Some(("second", "replace")) => Second::Replace,
                _ => return Err(SourceError::PublisherKey { seen: pair.to_owned() }),
            };
        }
        Ok(publisher)
    }
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.second {
            Second::Refuse => f.write_str("publish:"),
            Second::Replace => write!(f, "publish:?second={}", self.second.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ingest::Source;
    use super::*;

    #[test]
    fn a_publisher_reads_back_as_it_prints() {
        for (text, second) in [
            ("publish:", Second::Refuse),
            ("publish:?", Second::Refuse),
            ("publish:?second=refuse", Second::Refuse),
            ("publish:?second=replace", Second::Replace),
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!(source, Source::Publisher(Publisher { second }), "{text}");
            assert_eq!(source.to_string().parse::<Source>().unwrap(), source, "{text}");
        }
    }

    #[test]
    fn what_is_no_key_of_a_publisher_is_named() {
        for (text, words) in [
            ("publish:?second=both", "'second=both'"),
            ("publish:?path=door", "'path=door'"),
            ("publish:door", "the camera's name is its path"),
            ("publish://door", "the camera's name is its path"),
        ] {
            let error = text.parse::<Source>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
