//! Parts of what can be read in parts: ranges, tags, and a body that reads no faster than its client does.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use recordings::Strip;
use tracing::debug;

use crate::playback::turns::Held;

/// What is sent, apart from its bytes.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub content_type: String,
    /// Without quotes.
    pub tag: String,
    pub cache: &'static str,
    /// What a browser calls the file that it keeps.
    pub file_name: Option<String>,
}

/// Answers with the strip or with the part of it that the request wants. `turn` is given back when all of
/// it was sent, or nobody reads it any more.
pub fn send(strip: Strip, envelope: &Envelope, request: &HeaderMap, turn: Held) -> Response {
    let bytes = strip.bytes();
    let tag = format!("\"{}\"", envelope.tag);
    let mut headers = envelope.headers(&tag);
    if has(request, &header::IF_NONE_MATCH, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let is_same =
        request.get(header::IF_RANGE).is_none_or(|seen| seen.as_bytes() == tag.as_bytes());
    let asked = request.get(header::RANGE).filter(|_| is_same);
    let asked = asked.and_then(|range| range.to_str().ok()).and_then(|range| part(range, bytes));
    let (status, wanted) = match asked {
        None => (StatusCode::OK, 0..bytes),
        Some(Some(wanted)) => (StatusCode::PARTIAL_CONTENT, wanted),
        Some(None) => {
            set(&mut headers, header::CONTENT_RANGE, &format!("bytes */{bytes}"));
            return (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response();
        }
    };
    if status == StatusCode::PARTIAL_CONTENT {
        let Range { start, end } = wanted;
        let told = format!("bytes {start}-{}/{bytes}", end.saturating_sub(1));
        set(&mut headers, header::CONTENT_RANGE, &told);
    }
    set(&mut headers, header::CONTENT_LENGTH, &(wanted.end - wanted.start).to_string());
    let reader = Arc::new(strip).read(wanted);
    (status, headers, Body::from_stream(read_on(reader, turn))).into_response()
}

/// A fragment is read when the one before is on its way: what a client does not take stays on the disk. Who goes
/// away leaves a thread behind that waits for the disk, and the turn is that thread's until then.
fn read_on<E: std::error::Error + Send + Sync + 'static>(
    reader: impl Iterator<Item = Result<Vec<u8>, E>> + Send + 'static,
    turn: Held,
) -> impl futures_util::Stream<Item = Result<Vec<u8>, std::io::Error>> {
    stream::unfold(Some((reader, turn)), |state| async move {
        let (mut reader, turn) = state?;
        let read = tokio::task::spawn_blocking(move || {
            let bytes = reader.next();
            (reader, turn, bytes)
        });
        match read.await {
            Ok((_, _, None)) => None,
            Ok((reader, turn, Some(Ok(bytes)))) => Some((Ok(bytes), Some((reader, turn)))),
            Ok((_, _, Some(Err(error)))) => {
                debug!(%error, "a recording cannot be read on");
                Some((Err(std::io::Error::other(error)), None))
            }
            Err(error) => Some((Err(std::io::Error::other(error)), None)),
        }
    })
}

impl Envelope {
    fn headers(&self, tag: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        set(&mut headers, header::CONTENT_TYPE, &self.content_type);
        set(&mut headers, header::CACHE_CONTROL, self.cache);
        set(&mut headers, header::ETAG, tag);
        set(&mut headers, header::ACCEPT_RANGES, "bytes");
        if let Some(name) = &self.file_name {
            // Names of cameras and times have no characters that need care.
            let told = format!("attachment; filename=\"{name}\"");
            set(&mut headers, header::CONTENT_DISPOSITION, &told);
        }
        headers
    }
}

/// A text or a list that is small enough to be there at once.
pub fn whole(text: String, content_type: &str, request: &HeaderMap) -> Response {
    let mut headers = HeaderMap::new();
    let tag = format!("\"{:016x}\"", sum(text.as_bytes()));
    set(&mut headers, header::CONTENT_TYPE, content_type);
    set(&mut headers, header::CACHE_CONTROL, "no-cache");
    set(&mut headers, header::ETAG, &tag);
    if has(request, &header::IF_NONE_MATCH, &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, text).into_response()
}

pub fn sum(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether a list of tags has this one, or stands for all.
fn has(request: &HeaderMap, name: &HeaderName, tag: &str) -> bool {
    let lists = request.get_all(name).iter().filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|seen| seen == "*" || seen.trim_start_matches("W/") == tag)
}

/// The bytes that a `Range` header wants of so many: `None` when it is none that is understood, which means
/// all; `Some(None)` when they are not there. Of several ranges none is understood.
fn part(header: &str, bytes: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = header.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    let range = match (first, last) {
        ("", last) => bytes.saturating_sub(number(last)?)..bytes,
        (first, "") => number(first)?..bytes,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(bytes)
        }
    };
    Some(Some(range).filter(|range| range.start < range.end))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::playback::turns::Turns;
    use futures_util::{FutureExt, StreamExt};

    #[tokio::test]
    async fn who_goes_away_while_the_disk_hangs_leaves_the_turn_to_the_thread_that_waits() {
        let turns = Turns::new(1, 1);
        let turn = turns.wait(None).await.unwrap();
        let (disk, answer) = std::sync::mpsc::channel::<io::Result<Vec<u8>>>();
        let mut body = Box::pin(read_on(answer.into_iter(), turn));
        assert!(body.next().now_or_never().is_none(), "the disk hangs");
        drop(body);
        assert!(turns.wait(None).now_or_never().is_none(), "the next one would hang too");
        disk.send(Ok(vec![1])).unwrap();
        let turn = tokio::time::timeout(Duration::from_secs(10), turns.wait(None)).await;
        assert!(turn.is_ok(), "the disk answered, and the turn did not come back");
    }

    #[test]
    fn a_range_is_a_part_or_all_or_nothing() {
        let of = |header: &str| part(header, 100);
        assert_eq!(of("bytes=0-9"), Some(Some(0..10)));
        assert_eq!(of("bytes=90-"), Some(Some(90..100)));
        assert_eq!(of("bytes=-5"), Some(Some(95..100)));
        assert_eq!(of("bytes=-500"), Some(Some(0..100)));
        assert_eq!(of("bytes=50-99999999999999999999999"), Some(Some(50..100)));
        for not_there in
            ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999999-"]
        {
            assert_eq!(of(not_there), Some(None), "{not_there}");
        }
        for all in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=9-5",
            "items=0-1",
            "bytes=0-1,5-6",
            "bytes=a-b",
        ] {
            assert_eq!(of(all), None, "{all}");
        }
    }

    #[test]
    fn a_tag_is_found_in_a_list() {
        let mut request = HeaderMap::new();
        request.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"a\", W/\"b\""));
        let has = |tag: &str| has(&request, &header::IF_NONE_MATCH, tag);
        assert!(has("\"a\"") && has("\"b\"") && !has("\"c\""));
    }
}
