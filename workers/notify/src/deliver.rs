//! Posts one event after the other, and each until the server takes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use https::{Backoff, Client};
use protocol::config::NotifyConfig;
use protocol::control::Condition;
use protocol::name::ProjectName;
use protocol::time::MonoNs;
use shmring::clock;

use crate::event::{Event, signature};
use crate::kept::Kept;
use crate::queue::{Queue, Waiting};

/// How soon a new event or a stop is seen.
const TICK: Duration = Duration::from_millis(100);
/// How often a queue that is worked off is kept.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// After a stop, for what happened last.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the threads of the worker share.
#[derive(Debug)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    /// One file, written by one thread at a time.
    kept: Mutex<Kept>,
    /// For people.
    trouble: Mutex<Trouble>,
}

#[derive(Debug, Default)]
struct Trouble {
    /// Why no events are heard.
    deaf: Option<String>,
    /// Why the server has not taken the next one.
    server: Option<String>,
    delivered: u64,
    given_up: u64,
    /// When the queue was kept last.
    kept: MonoNs,
}

impl Shared {
    /// Goes on where an earlier life was, or begins now; the next life then goes on from here.
    pub(crate) fn new(kept: Kept) -> Self {
        let loaded = kept.load();
        let is_first = loaded.is_none();
        let queue = loaded.unwrap_or_else(|| Queue::since(clock::now().utc));
        let (queue, kept) = (Mutex::new(queue), Mutex::new(kept));
        let shared = Self { queue, kept, trouble: Mutex::default() };
        if is_first {
            shared.keep();
        }
        shared
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self, id: String, event: Event) {
        let overflown = {
            let mut queue = self.queue();
            let before = queue.overflown;
            queue.take(id, event);
            queue.overflown - before
        };
        if overflown > 0 {
            tracing::error!("an event was dropped: the server has not taken 1000 others");
            self.trouble().given_up += overflown;
        }
    }

    pub(crate) fn set_deaf(&self, why: Option<String>) {
        self.trouble().deaf = why;
    }

    /// Delivered, and given up.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let trouble = self.trouble();
        (trouble.delivered, trouble.given_up)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.queue().len()
    }

    pub(crate) fn condition(&self, url: &str) -> (Condition, String) {
        let trouble = self.trouble();
        if let Some(why) = &trouble.server {
            return (Condition::Degraded, format!("{url}: {why}"));
        }
        match &trouble.deaf {
            Some(why) => (Condition::Waiting, format!("events are not heard: {why}")),
            None => (Condition::Flowing, String::new()),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Waiting> {
        self.queue().next().cloned()
    }

    /// It is not told again, by this life or another.
    fn done(&self, id: &str) {
        let now = clock::mono();
        let is_due = {
            let mut queue = self.queue();
            queue.done(id);
            // Of many that go out at once some are told again after a kill, rather than a sync for each.
            queue.len() == 0 || now.saturating_since(self.trouble().kept) >= KEEP_EVERY
        };
        if is_due {
            self.trouble().kept = now;
            self.keep();
        }
    }

    /// What waits outlives this process.
    pub(crate) fn keep(&self) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = self.queue().clone();
        if let Err(error) = kept.save(&queue) {
            tracing::warn!(%error, "what is delivered is not kept: a restart may tell it again");
        }
    }
}

/// The thread that posts.
#[derive(Debug)]
pub(crate) struct Deliver {
    pub(crate) config: NotifyConfig,
    pub(crate) project: ProjectName,
    pub(crate) client: Client,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stop: Arc<AtomicBool>,
}

impl Deliver {
    /// A server that is slow or silent holds up no stop: what is left is kept for the next life.
    pub(crate) async fn run(self) {
        tokio::select! {
            () = self.deliver() => {}
            () = self.is_over_time() => {}
        }
        self.shared.keep();
    }

    /// Until last words have had their time.
    async fn is_over_time(&self) {
        while !self.stop.load(Ordering::Acquire) {
            tokio::time::sleep(TICK).await;
        }
        tokio::time::sleep(LAST_WORDS).await;
    }

    async fn deliver(&self) {
        let (mut backoff, mut attempt) = (Backoff::default(), 0);
        while !self.stop.load(Ordering::Acquire) {
            let waits = !backoff.wait(clock::mono()).is_zero();
            let Some(next) = self.shared.next().filter(|_| !waits) else {
                tokio::time::sleep(TICK).await;
                continue;
            };
            if self.is_over(&next) {
                attempt = 0;
                continue;
            }
            attempt += 1;
            match self.post(&next, attempt).await {
                Ok(()) => {
                    (backoff, attempt) = (Backoff::default(), 0);
                    self.took(&next);
                }
                Err(why) => {
                    backoff.failed(clock::mono(), getrandom::u64().unwrap_or(7));
                    self.shared.trouble().server = Some(why);
                }
            }
        }
        if !backoff.is_in_trouble() {
            self.last_words().await;
        }
    }

    async fn last_words(&self) {
        while let Some(next) = self.shared.next() {
            if self.post(&next, 1).await.is_err() {
                break;
            }
            self.took(&next);
        }
    }

    fn took(&self, next: &Waiting) {
        let mut trouble = self.shared.trouble();
        trouble.server = None;
        trouble.delivered += 1;
        drop(trouble);
        self.shared.done(&next.id);
    }

    /// Whether it is too old to be of use to anybody; it is given up then.
    fn is_over(&self, next: &Waiting) -> bool {
        let age_ns = clock::now().utc.0.saturating_sub(next.event.time_utc_ns.0);
        if age_ns < self.config.give_up_after.0 {
            return false;
        }
        tracing::error!(event = next.event.name(&self.config.on.0), id = %next.id, "given up: the server did not take it in time");
        self.shared.trouble().given_up += 1;
        self.shared.done(&next.id);
        true
    }

    /// Anything but a 2xx is no.
    async fn post(&self, Waiting { id, event }: &Waiting, attempt: u32) -> Result<(), String> {
        let on = &self.config.on.0;
        let body = event.body(id, &self.project, on);
        let timestamp_s = clock::now().utc.0 / 1_000_000_000;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(self.config.url.url())
            .header("content-type", "application/json")
            .header("user-agent", concat!("framevisor/", env!("CARGO_PKG_VERSION")))
            .header("x-framevisor-event", event.name(on))
            .header("x-framevisor-id", id)
            .header("x-framevisor-attempt", attempt)
            .header("x-framevisor-timestamp", timestamp_s);
        if let Some(secret) = &self.config.secret {
            let signature = signature(secret.reveal(), timestamp_s, &body);
            request = request.header("x-framevisor-signature", format!("sha256={signature}"));
        }
        let request = request.body(Bytes::from(body)).map_err(|error| error.to_string())?;
        let limit = self.config.timeout.duration();
        let answer = self.client.call(request, limit).await.map_err(|error| error.to_string())?;
        let status: StatusCode = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answers {status}")) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::event::tests::event;

    fn shared(dir: &std::path::Path) -> Arc<Shared> {
        Arc::new(Shared::new(Kept::at(dir.join("tell.json"))))
    }

    #[test]
    fn a_life_that_delivered_nothing_is_gone_on_from() {
        let dir = tempfile::tempdir().unwrap();
        let began = shared(dir.path()).queue().newest;
        // Killed before the server took anything: what happened since is asked for again.
        assert_eq!(shared(dir.path()).queue().newest, began);
    }

    #[test]
    fn a_server_that_never_answers_holds_up_no_stop_and_what_waits_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let config = serde_json::json!({ "url": url, "on": ["worker.died"], "timeout": "1h" });
        let (shared, stop) = (shared(dir.path()), Arc::new(AtomicBool::new(false)));
        shared.take("a".to_owned(), event(clock::now().utc.0));
        let deliver = Deliver {
            config: serde_json::from_value(config).unwrap(),
            project: "site".parse().unwrap(),
            client: Client::new(None).unwrap(),
            shared,
            stop: Arc::clone(&stop),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let posts = std::thread::spawn(move || runtime.block_on(deliver.run()));
        let (_request, _) = silent.accept().unwrap();
        stop.store(true, Ordering::Release);
        posts.join().unwrap();
        assert_eq!(self::shared(dir.path()).waiting(), 1);
    }
}
