//! Who watches, and how that goes: for `/api/v1/viewers` and the metrics. A slow viewer is named here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::time::MonoNs;
use schemars::JsonSchema;
use serde::Serialize;

use crate::metrics::Page;

/// A viewer that gets pictures this late, or skipped some within `SKIP_COUNTS`, is slow.
const SLOW_BEHIND: Duration = Duration::from_secs(1);
const SKIP_COUNTS: Duration = Duration::from_secs(10);
/// Who fetches segments has no connection to be counted by: it is here so long after its last request.
const PULL_LASTS: Duration = Duration::from_secs(15);
/// Most of them that are told apart; more share the last name.
const PULLS_MAX: usize = 256;

/// How pictures reach a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    Hls,
    /// HLS with parts and lists that are waited for.
    LlHls,
    Mjpeg,
    /// WebRTC.
    Whep,
    WsJpeg,
    WsMse,
}

impl Transport {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hls => "hls",
            Self::LlHls => "ll-hls",
            Self::Mjpeg => "mjpeg",
            Self::Whep => "whep",
            Self::WsJpeg => "ws-jpeg",
            Self::WsMse => "ws-mse",
        }
    }
}

/// All viewers of this worker.
#[derive(Debug, Default)]
pub struct Viewers {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    next: u64,
    here: BTreeMap<u64, Arc<Seat>>,
    pulls: BTreeMap<(String, Option<IpAddr>), Pull>,
    totals: BTreeMap<(String, Transport), Arc<Totals>>,
}

/// Since this worker began, of all viewers of a camera by one transport.
#[derive(Debug, Default)]
struct Totals {
    pictures: AtomicU64,
    bytes: AtomicU64,
    skipped: AtomicU64,
}

/// One viewer with a connection of its own.
#[derive(Debug)]
struct Seat {
    camera: String,
    transport: Transport,
    peer: Option<String>,
    since: MonoNs,
    own: Totals,
    all: Arc<Totals>,
    behind_ns: AtomicU64,
    /// When this host got what is being sent now; 0: nothing is.
    sending: AtomicU64,
    /// When it last skipped something; 0: never.
    skipped_at: AtomicU64,
}

#[derive(Debug)]
struct Pull {
    /// The better of the two that it was seen to use.
    transport: Transport,
    since: MonoNs,
    last: MonoNs,
    bytes: u64,
}

/// A row of `/api/v1/viewers`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ViewerStatus {
    pub camera: String,
    pub transport: Transport,
    /// Address and port; of those who fetch segments, and who come through a proxy, the address alone.
    pub peer: Option<String>,
    /// Since when, in s.
    pub for_s: u64,
    /// Sent so far; `null` of those who fetch segments.
    pub pictures: Option<u64>,
    pub bytes: u64,
    /// Pictures passed over because it was too slow for them.
    pub skipped: Option<u64>,
    /// How old the pictures are that are being sent to it, in ms; `null` where that is not known.
    pub behind_ms: Option<u64>,
    pub slow: bool,
}

impl From<whep::ViewerFigures> for ViewerStatus {
    fn from(viewer: whep::ViewerFigures) -> Self {
        Self {
            camera: viewer.camera,
            transport: Transport::Whep,
            peer: viewer.peer.map(|peer| peer.to_string()),
            for_s: viewer.lasts.as_secs(),
            pictures: Some(viewer.pictures),
            bytes: viewer.bytes,
            skipped: Some(viewer.skipped),
            behind_ms: None,
            slow: viewer.slow,
        }
    }
}

/// A viewer's place in the list, until dropped.
#[derive(Debug)]
pub struct Ticket {
    viewers: Arc<Viewers>,
    id: u64,
    seat: Arc<Seat>,
}

impl Viewers {
    pub fn join(
        self: &Arc<Self>,
        camera: &str,
        transport: Transport,
        peer: Option<String>,
        now: MonoNs,
    ) -> Ticket {
        let mut book = self.book();
        let seat = Arc::new(Seat {
            camera: camera.to_owned(),
            transport,
            peer,
            since: now,
            own: Totals::default(),
            all: book.totals(camera, transport),
            behind_ns: AtomicU64::new(0),
            sending: AtomicU64::new(0),
            skipped_at: AtomicU64::new(0),
        });
        let id = book.next;
        book.next += 1;
        book.here.insert(id, Arc::clone(&seat));
        Ticket { viewers: Arc::clone(self), id, seat }
    }

    /// Somebody fetched so much of a camera's stream.
    pub fn pulled(
        &self,
        camera: &str,
        transport: Transport,
        peer: Option<IpAddr>,
        bytes: usize,
        now: MonoNs,
    ) {
        let mut book = self.book();
        book.forget_pulls(now);
        let bytes = bytes as u64;
        book.totals(camera, transport).bytes.fetch_add(bytes, Ordering::Relaxed);
        let known = (camera.to_owned(), peer);
        let is_full = book.pulls.len() >= PULLS_MAX && !book.pulls.contains_key(&known);
        let key = if is_full { (camera.to_owned(), None) } else { known };
        let new = Pull { transport, since: now, last: now, bytes: 0 };
        let pull = book.pulls.entry(key).or_insert(new);
        if transport == Transport::LlHls {
            pull.transport = transport;
        }
        pull.last = now;
        pull.bytes += bytes;
    }

    pub fn rows(&self, now: MonoNs) -> Vec<ViewerStatus> {
        let mut book = self.book();
        book.forget_pulls(now);
        let pulls = book.pulls.iter().map(|((camera, peer), pull)| ViewerStatus {
            camera: camera.clone(),
            transport: pull.transport,
            peer: peer.map(|peer| peer.to_string()),
            for_s: now.saturating_since(pull.since).as_secs(),
            pictures: None,
            bytes: pull.bytes,
            skipped: None,
            behind_ms: None,
            slow: false,
        });
        let mut rows: Vec<ViewerStatus> =
            book.here.values().map(|seat| seat.row(now)).chain(pulls).collect();
        rows.sort_by(|one, other| one.camera.cmp(&other.camera));
        rows
    }

    /// Lines for `/metrics`.
    pub fn metrics(&self, now: MonoNs) -> String {
        let rows = self.rows(now);
        let totals: Vec<_> = {
            let book = self.book();
            let each = book.totals.iter();
            each.map(|((camera, transport), totals)| {
                (camera.clone(), transport.as_str(), Arc::clone(totals))
            })
            .collect()
        };
        let mut page = Page::default();
        let count = |camera: &str, transport: &str, slow: bool| {
            let is_one = |row: &&ViewerStatus| {
                row.camera == camera && row.transport.as_str() == transport && (row.slow || !slow)
            };
            rows.iter().filter(is_one).count()
        };
        type Figure = fn(&Totals) -> &AtomicU64;
        let sums: [(&'static str, &str, Figure); 3] = [
            ("web_sent_pictures_total", "Pictures sent to viewers.", |it| &it.pictures),
            ("web_sent_bytes_total", "Bytes of live video sent to viewers.", |it| &it.bytes),
            ("web_skipped_pictures_total", "Pictures that viewers were too slow for.", |it| {
                &it.skipped
            }),
        ];
        page.family("web_viewers", "gauge", "Who watches now.");
        for (camera, transport, _) in &totals {
            let labels: [(&str, &dyn std::fmt::Display); 2] =
                [("camera", camera), ("transport", transport)];
            page.sample(&labels, count(camera, transport, false));
        }
        page.family("web_slow_viewers", "gauge", "Of them those who get pictures late, or skip.");
        for (camera, transport, _) in &totals {
            let labels: [(&str, &dyn std::fmt::Display); 2] =
                [("camera", camera), ("transport", transport)];
            page.sample(&labels, count(camera, transport, true));
        }
        for (name, help, figure) in sums {
            page.family(name, "counter", help);
            for (camera, transport, totals) in &totals {
                let labels: [(&str, &dyn std::fmt::Display); 2] =
                    [("camera", camera), ("transport", transport)];
                page.sample(&labels, figure(totals).load(Ordering::Relaxed));
            }
        }
        page.text
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    /// Cameras are those of the topology, so there is an end of them.
    fn totals(&mut self, camera: &str, transport: Transport) -> Arc<Totals> {
        Arc::clone(self.totals.entry((camera.to_owned(), transport)).or_default())
    }

    fn forget_pulls(&mut self, now: MonoNs) {
        self.pulls.retain(|_, pull| now.saturating_since(pull.last) < PULL_LASTS);
    }
}

impl Seat {
    fn row(&self, now: MonoNs) -> ViewerStatus {
        let behind = self.behind(now);
        let skipped_at = MonoNs(self.skipped_at.load(Ordering::Relaxed));
        let skips = skipped_at != MonoNs(0) && now.saturating_since(skipped_at) < SKIP_COUNTS;
        ViewerStatus {
            camera: self.camera.clone(),
            transport: self.transport,
            peer: self.peer.clone(),
            for_s: now.saturating_since(self.since).as_secs(),
            pictures: Some(self.own.pictures.load(Ordering::Relaxed)),
            bytes: self.own.bytes.load(Ordering::Relaxed),
            skipped: Some(self.own.skipped.load(Ordering::Relaxed)),
            behind_ms: u64::try_from(behind.as_millis()).ok(),
            slow: skips || behind > SLOW_BEHIND,
        }
    }

    fn behind(&self, now: MonoNs) -> Duration {
        match self.sending.load(Ordering::Relaxed) {
            0 => Duration::from_nanos(self.behind_ns.load(Ordering::Relaxed)),
            arrived => now.saturating_since(MonoNs(arrived)),
        }
    }
}

impl Ticket {
    /// Something that this host got at `arrived` is being sent.
    pub fn sends(&self, arrived: MonoNs) {
        self.seat.sending.store(arrived.0, Ordering::Relaxed);
    }

    /// It was sent.
    pub fn sent(&self, pictures: u64, bytes: usize, now: MonoNs) {
        let arrived = MonoNs(self.seat.sending.swap(0, Ordering::Relaxed));
        if arrived != MonoNs(0) {
            let behind_ns = now.0.saturating_sub(arrived.0);
            self.seat.behind_ns.store(behind_ns, Ordering::Relaxed);
        }
        for totals in [&self.seat.own, &self.seat.all] {
            totals.pictures.fetch_add(pictures, Ordering::Relaxed);
            totals.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// So many pictures were passed over.
    pub fn skipped(&self, pictures: u64, now: MonoNs) {
        self.seat.skipped_at.store(now.0.max(1), Ordering::Relaxed);
        for totals in [&self.seat.own, &self.seat.all] {
            totals.skipped.fetch_add(pictures, Ordering::Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.viewers.book().here.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn at(s: u64) -> MonoNs {
        MonoNs(s * 1_000_000_000)
    }

    fn peer() -> SocketAddr {
        "127.0.0.1:4711".parse().unwrap()
    }

    #[test]
    fn a_viewer_is_listed_while_it_is_there_and_what_it_got_is_counted_for_ever() {
        let viewers = Arc::new(Viewers::default());
        let ticket = viewers.join("cam1", Transport::WsMse, Some(peer().to_string()), at(1));
        ticket.sends(at(2));
        ticket.sent(1, 500, MonoNs(2_040_000_000));
        let row = viewers.rows(at(3)).remove(0);
        assert_eq!((row.camera.as_str(), row.transport), ("cam1", Transport::WsMse));
        assert_eq!(row.peer.as_deref(), Some("127.0.0.1:4711"));
        assert_eq!((row.pictures, row.bytes, row.behind_ms), (Some(1), 500, Some(40)));
        assert_eq!((row.for_s, row.slow), (2, false));
        drop(ticket);
        assert_eq!(viewers.rows(at(3)), []);
        let text = viewers.metrics(at(3));
        for line in [
            "framevisor_web_viewers{camera=\"cam1\",transport=\"ws-mse\"} 0",
            "framevisor_web_sent_pictures_total{camera=\"cam1\",transport=\"ws-mse\"} 1",
            "framevisor_web_sent_bytes_total{camera=\"cam1\",transport=\"ws-mse\"} 500",
        ] {
            assert!(text.lines().any(|seen| seen == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn who_does_not_take_its_pictures_is_slow_and_so_is_who_skipped_lately() {
        let viewers = Arc::new(Viewers::default());
        let stuck = viewers.join("cam1", Transport::WsMse, Some(peer().to_string()), at(0));
        stuck.sends(at(10));
        let row = |s| viewers.rows(at(s)).remove(0);
        assert!(!row(11).slow);
        assert_eq!((row(15).slow, row(15).behind_ms), (true, Some(5_000)));
        stuck.sent(1, 1, at(16));
        drop(stuck);
        let skipper = viewers.join("cam1", Transport::WsMse, None, at(20));
        skipper.skipped(40, at(21));
        assert_eq!((row(22).slow, row(22).skipped), (true, Some(40)));
        assert!(!row(32).slow);
        let text = viewers.metrics(at(22));
        let line = "framevisor_web_slow_viewers{camera=\"cam1\",transport=\"ws-mse\"} 1";
        assert!(text.lines().any(|seen| seen == line), "{text}");
    }

    #[test]
    fn a_viewer_by_webrtc_is_a_row_like_others() {
        let row = ViewerStatus::from(whep::ViewerFigures {
            camera: "cam1".to_owned(),
            peer: Some(peer()),
            lasts: Duration::from_millis(4_900),
            pictures: 100,
            bytes: 5_000,
            skipped: 2,
            slow: true,
        });
        let told = serde_json::to_value(&row).unwrap();
        let expected = serde_json::json!({
            "camera": "cam1", "transport": "whep", "peer": "127.0.0.1:4711", "for_s": 4, "pictures": 100,
            "bytes": 5_000, "skipped": 2, "behind_ms": null, "slow": true,
        });
        assert_eq!(told, expected);
        assert_eq!(told["transport"], Transport::Whep.as_str());
    }

    #[test]
    fn who_fetches_segments_is_here_until_it_fetches_no_more() {
        let viewers = Viewers::default();
        let from = Some(peer().ip());
        viewers.pulled("cam1", Transport::Hls, from, 1_000, at(1));
        viewers.pulled("cam1", Transport::LlHls, from, 500, at(2));
        let rows = viewers.rows(at(10));
        assert_eq!((rows.len(), rows[0].transport), (1, Transport::LlHls), "it fetches both");
        assert_eq!((rows[0].bytes, rows[0].pictures, rows[0].for_s), (1_500, None, 9));
        assert_eq!(viewers.rows(at(18)), []);
    }

    #[test]
    fn those_who_fetch_are_told_apart_up_to_an_end() {
        let viewers = Viewers::default();
        for number in 0..2_000_u32 {
            let from = IpAddr::from(number.to_be_bytes());
            viewers.pulled("cam1", Transport::Hls, Some(from), 1, at(1));
        }
        let rows = viewers.rows(at(1));
        assert_eq!(rows.len(), PULLS_MAX + 1);
        assert_eq!(rows.iter().map(|row| row.bytes).sum::<u64>(), 2_000);
    }
}
