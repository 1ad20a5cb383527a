//! Posts one event after the other, and each until the server takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use https::{Backoff, Client};
use protocol::config::NotifyConfig;
use protocol::name::ProjectName;
use shmring::clock;

use crate::event::signature;
use crate::queue::Waiting;
use crate::shared::Shared;

/// How soon a new event or a stop is seen.
pub(crate) const TICK: Duration = Duration::from_millis(100);
/// After a stop, for what happened last.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

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
            () = over_time(&self.stop, LAST_WORDS) => {}
        }
        self.shared.keep();
    }

    async fn deliver(&self) {
        let (mut backoff, mut last, mut attempt) = (Backoff::default(), None, 0);
        while !self.stop.load(Ordering::Acquire) {
            let waits = !backoff.wait(clock::mono()).is_zero();
            let Some(next) = (if waits { None } else { self.shared.next(&self.config) }) else {
                tokio::time::sleep(TICK).await;
                continue;
            };
            if last.as_ref() != Some(&next.id) {
                (last, attempt) = (Some(next.id.clone()), 0);
            }
            attempt += 1;
            match self.post(&next, attempt).await {
                Ok(()) => {
                    backoff.succeeded();
                    self.shared.took(&next.id);
                }
                Err(why) => {
                    backoff.failed(clock::mono(), getrandom::u64().unwrap_or(7));
                    self.shared.set_server(Some(why));
                }
            }
        }
        if !backoff.is_in_trouble() {
            self.last_words().await;
        }
    }

    async fn last_words(&self) {
        while let Some(next) = self.shared.next(&self.config) {
            if self.post(&next, 1).await.is_err() {
                break;
            }
            self.shared.took(&next.id);
        }
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

/// Until last words have had their time.
pub(crate) async fn over_time(stop: &AtomicBool, last_words: Duration) {
    while !stop.load(Ordering::Acquire) {
        tokio::time::sleep(TICK).await;
    }
    tokio::time::sleep(last_words).await;
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::event::tests::event;
    use crate::shared::tests::shared;

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
        assert_eq!(crate::shared::tests::shared(dir.path()).waiting(), 1);
    }
}
