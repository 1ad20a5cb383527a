//! Follows the supervisor's events, as any program may, and begins again when the connection ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use framevisor_client::{Connection, Error};
use protocol::name::ProjectName;
use serde_json::json;

use crate::deliver::Shared;
use crate::event::Event;

/// A supervisor that is being replaced is back within this, mostly.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) runtime_dir: PathBuf,
    pub(crate) project: ProjectName,
    /// Names of events, or patterns.
    pub(crate) on: Vec<String>,
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
        let since = self.shared.queue().newest;
        let wanted =
            json!({"count": 10_000, "follow": true, "from_utc_ns": since, "types": self.on});
        let past: Vec<Event> = connection.ask("events", &wanted)?;
        self.shared.set_deaf(None);
        past.into_iter().for_each(|event| self.take(event));
        while let Some(event) = connection.next_event::<Event>()? {
            self.take(event);
        }
        Ok(())
    }

    fn take(&self, event: Event) {
        let id = event.id(&self.project);
        self.shared.take(id, event);
    }
}
