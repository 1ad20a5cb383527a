//! Follows the supervisor's events, as any program may, and begins again when the connection ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use framevisor_client::{Connection, Error};
use protocol::name::ProjectName;
use protocol::pattern;
use serde_json::json;
use shmring::clock;

use crate::event::Event;
use crate::home;
use crate::shared::Shared;

/// A supervisor that is being replaced is back within this, mostly.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) runtime_dir: PathBuf,
    pub(crate) project: ProjectName,
    /// Names of events, or patterns.
    pub(crate) on: Vec<String>,
    /// Somebody wants to know how things are, too, and not only what happens.
    pub(crate) looks: bool,
    pub(crate) shared: Arc<Shared>,
}

impl Feed {
    /// For ever: it ends with the process.
    pub(crate) fn run(self) {
        loop {
            let why = match self.follow() {
                Ok(()) => "the supervisor has ended the connection".to_owned(),
                Err(error) => error.to_string(),
            };
            tracing::debug!(why, "events are not heard");
            self.shared.set_deaf(Some(why));
            thread::sleep(AGAIN_AFTER);
        }
    }

    fn follow(&self) -> Result<(), Error> {
        let mut connection = Connection::open(&self.runtime_dir)?;
        // A clock that was set back tells earlier times than it did.
        let since = self.shared.queue().newest.min(clock::now().utc);
        let mut types: Vec<&str> = self.on.iter().map(String::as_str).collect();
        if self.looks {
            types.extend(home::EVENTS);
        }
        let wanted = json!({"count": 10_000, "follow": true, "from_utc_ns": since, "types": types});
        let past: Vec<Event> = connection.ask("events", &wanted)?;
        self.shared.set_deaf(None);
        self.take(past);
        while let Some(event) = connection.next_event::<Event>()? {
            self.take(vec![event]);
        }
        Ok(())
    }

    /// What these events add up to is seen at once: of what was missed, only what is now so is anybody's business.
    fn take(&self, events: Vec<Event>) {
        if self.looks {
            let mut home = self.shared.home();
            events.iter().for_each(|event| home.hear(event));
        }
        events.into_iter().for_each(|event| self.queue(event));
    }

    fn queue(&self, event: Event) {
        let is_wanted = |name: &String| self.on.iter().any(|one| pattern::matches(one, name));
        if !event.events.iter().any(is_wanted) {
            return;
        }
        let id = event.id(&self.project);
        self.shared.take(id, event);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::home::tests::{happened, yard};
    use crate::shared::tests::shared;

    #[test]
    fn what_began_and_ended_meanwhile_never_seems_to_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let shared = shared(dir.path());
        *shared.home() = yard();
        let feed = Feed {
            runtime_dir: dir.path().to_owned(),
            project: "yard".parse().unwrap(),
            on: vec!["rule.*.begin".to_owned()],
            looks: true,
            shared: Arc::clone(&shared),
        };
        let done = Arc::new(AtomicBool::new(false));
        let (other, over) = (Arc::clone(&shared), Arc::clone(&done));
        let watch = thread::spawn(move || {
            let is_on = || other.home().rules.values().any(|of| of["night"].is_on);
            let mut seen = false;
            while !over.load(Ordering::Acquire) {
                seen |= is_on();
                thread::yield_now();
            }
            seen
        });
        let of = |stage: &str, number: u64| {
            let data =
                json!({"rule": "night", "camera": "front", "id": format!("night-1-{number}")});
            happened(&format!("rule.night.{stage}"), "alerts", "", data)
        };
        for number in 0..100 {
            feed.take(vec![of("begin", number), of("end", number)]);
        }
        done.store(true, Ordering::Release);
        assert!(!watch.join().unwrap());
        assert_eq!(shared.waiting(), 100);
        feed.take(vec![of("begin", 100)]);
        assert!(shared.home().rules["front"]["night"].is_on);
    }
}
