//! Asks now and then how things are: what events do not tell, and what of them was missed.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use framevisor_client::{Connection, Error};
use protocol::admin::WorkerStatus;
use protocol::name::WorkerName;
use protocol::recorder::Told;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::home::Open;
use crate::shared::Shared;

/// A camera that was added is shown this late at most.
const EVERY: Duration = Duration::from_secs(15);
/// Something happened while it was asked, or nobody answers.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// The supervisor waits 10 s for a worker that hangs, and then says so: what others say counts all the same.
const REPLY_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) runtime_dir: PathBuf,
    pub(crate) shared: Arc<Shared>,
}

/// What a rules worker answers.
#[derive(Debug, Deserialize)]
struct RulesStatus {
    /// As many as fit into a message.
    open: Vec<Open>,
    open_count: usize,
}

impl Look {
    /// For ever: it ends with the process.
    pub(crate) fn run(self) {
        loop {
            let wait = match self.look() {
                Ok(true) => EVERY,
                Ok(false) => AGAIN_AFTER,
                Err(error) => {
                    tracing::debug!(%error, "nobody says how things are");
                    AGAIN_AFTER
                }
            };
            thread::sleep(wait);
        }
    }

    /// Whether what was said still counts: an event that was heard meanwhile may be newer.
    fn look(&self) -> Result<bool, Error> {
        let heard = self.shared.home().heard();
        let mut connection = Connection::open(&self.runtime_dir)?;
        let workers: Vec<WorkerStatus> = connection.ask("ps", &())?;
        let (mut recorded, mut ruled) = (Vec::new(), Vec::new());
        for WorkerStatus { name, kind, .. } in &workers {
            match kind.as_str() {
                "recorder" => {
                    let told = say::<Vec<Told>>(&mut connection, name, &json!({ "show": {} }))?;
                    recorded.extend(told.unwrap_or_default());
                }
                "rules" => {
                    let status = say::<RulesStatus>(&mut connection, name, &json!("status"))?;
                    let all = status.filter(|status| status.open.len() == status.open_count);
                    ruled.extend(all.map(|status| (name, status.open)));
                }
                _ => {}
            }
        }
        let mut home = self.shared.home();
        let counts = home.heard() == heard;
        if counts {
            home.see(&workers);
            home.recorded(&recorded);
            ruled.iter().for_each(|(name, open)| home.ruled(name, open));
        }
        Ok(counts)
    }
}

/// What a worker answers; `None` of one that is not up, which says nothing now and tells what happens.
fn say<T: DeserializeOwned>(
    connection: &mut Connection,
    name: &WorkerName,
    message: &Value,
) -> Result<Option<T>, Error> {
    let message = json!({ "name": name, "message": message });
    match connection.ask_within("send", &message, REPLY_WITHIN) {
        Ok(answer) => Ok(Some(answer)),
        Err(Error::Refused(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
