//! Following the records of a ring as server-sent events (HTML standard, section 9.2): `id` is the record's number
//! behind the life of this worker, so that who comes again goes on where it was, and begins anew with another worker.

use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{Stream, stream};
use protocol::name::RingName;
use tokio::sync::watch;

use crate::events::EventLog;
use crate::insight::records::Part;

/// A stream on which nothing happens says so: who follows can tell it from one that is dead, and a viewer that is
/// gone is noticed.
pub const QUIET: Duration = Duration::from_secs(5);

/// What is followed: records of a ring about cameras that may be seen.
pub struct Past {
    pub log: Arc<EventLog>,
    pub ring: RingName,
    pub sees: Box<dyn Fn(&str) -> bool + Send + Sync>,
}

impl fmt::Debug for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Past of {}", self.ring)
    }
}

/// A place in the past of a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// When this worker began, UTC ns: the numbers are of its life.
    pub life: u64,
    pub number: u64,
}

impl Place {
    /// As in `Last-Event-ID`; one of another life, or nonsense, is the begin.
    pub fn of(life: u64, told: Option<&str>) -> Self {
        let number = told.and_then(|told| {
            let (its_life, number) = told.split_once('-')?;
            (its_life.parse::<u64>() == Ok(life)).then(|| number.parse::<u64>().ok()).flatten()
        });
        Self { life, number: number.unwrap_or(0) }
    }
}

/// The events of a part, and where it ends.
fn told(part: &Part, place: &mut Place) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if part.missed > 0 {
        let _ = write!(text, "event: missed\ndata: {}\n\n", part.missed);
    }
    for (number, record) in &part.records {
        let _ = write!(text, "id: {}-{number}\ndata: {record}\n\n", place.life);
    }
    place.number = part.reached;
    text
}

/// What there is behind `place`, then what comes, for ever. Nothing is queued: what was not asked for yet is taken
/// from the log when the viewer has taken what came before. After `quiet` without a record there is a comment.
pub fn records(
    past: Past,
    place: Place,
    quiet: Duration,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let news = past.log.records.watch();
    stream::unfold((past, place, news), move |(past, mut place, mut news)| async move {
        let text = next(&past, &mut place, &mut news, quiet).await;
        Some((Ok(Bytes::from(text)), (past, place, news)))
    })
}

async fn next(
    past: &Past,
    place: &mut Place,
    news: &mut watch::Receiver<u64>,
    quiet: Duration,
) -> String {
    let sleep = tokio::time::sleep(quiet);
    tokio::pin!(sleep);
    loop {
        // Before the look: what comes during it is seen, or wakes.
        news.borrow_and_update();
        let part = past.log.records.behind(&past.ring, place.number, &past.sees);
        if !part.records.is_empty() || part.missed > 0 {
            return told(&part, place);
        }
        if part.reached != place.number {
            // About others, all of them; behind these there may be more.
            place.number = part.reached;
            continue;
        }
        tokio::select! {
            // The log has the sender, so this cannot fail while it is asked here.
            _ = news.changed() => {}
            () = &mut sleep => return ": quiet\n\n".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use protocol::record::Record;

    fn record(id: &str) -> Record {
        Record {
            id: id.to_owned(),
            kind: "x.update".to_owned(),
            camera: "cam1".to_owned(),
            frame: None,
            time_utc_ns: 1,
            data: serde_json::json!({ "text": "two\nlines" }),
        }
    }

    #[test]
    fn a_place_is_of_one_life() {
        let number = |told| Place::of(7, told).number;
        assert_eq!((number(Some("7-12")), number(Some("8-12")), number(None)), (12, 0, 0));
        assert_eq!(
            (number(Some("")), number(Some("7-")), number(Some("-1")), number(Some("7--1"))),
            (0, 0, 0, 0)
        );
    }

    fn past(log: &Arc<EventLog>, sees: fn(&str) -> bool) -> Past {
        let ring = "x.events".parse().unwrap();
        Past { log: Arc::clone(log), ring, sees: Box::new(sees) }
    }

    fn text(part: Option<Result<Bytes, Infallible>>) -> String {
        String::from_utf8(part.unwrap().unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_follower_of_some_cameras_is_told_of_no_other() {
        let log = Arc::new(EventLog::default());
        let ring: RingName = "x.events".parse().unwrap();
        for n in 1..=700 {
            let camera = if n == 700 { "cam2" } else { "cam1" };
            log.push(&ring, Record { camera: camera.to_owned(), ..record(&n.to_string()) });
        }
        let quiet = Duration::from_secs(60);
        let seen = past(&log, |camera| camera == "cam2");
        let mut stream = Box::pin(records(seen, Place::of(7, None), quiet));
        let first = text(stream.next().await);
        assert!(first.starts_with("id: 7-700\n") && first.matches("data:").count() == 1, "{first}");
    }

    #[tokio::test]
    async fn a_follower_gets_the_past_then_what_comes_then_signs_of_life() {
        let log = Arc::new(EventLog::default());
        let ring: RingName = "x.events".parse().unwrap();
        log.push(&ring, record("1"));
        log.push(&"other.events".parse().unwrap(), record("9"));
        let place = Place::of(7, None);
        let quiet = Duration::from_millis(1);
        let mut stream = Box::pin(records(past(&log, |_| true), place, quiet));
        let past = text(stream.next().await);
        assert!(
            past.starts_with("id: 7-1\ndata: {\"id\":\"1\",") && past.ends_with("}\n\n"),
            "{past}"
        );
        assert_eq!(past.matches('\n').count(), 3, "a record is one line: {past}");
        assert_eq!(text(stream.next().await), ": quiet\n\n");
        log.push(&ring, record("2"));
        assert!(text(stream.next().await).starts_with("id: 7-2\n"));
    }

    #[test]
    fn what_was_missed_is_told_before_what_follows() {
        let part = Part { missed: 3, reached: 9, records: vec![(9, "{}".into())] };
        let mut place = Place { life: 7, number: 5 };
        assert_eq!(told(&part, &mut place), "event: missed\ndata: 3\n\nid: 7-9\ndata: {}\n\n");
        assert_eq!(place.number, 9);
    }
}
