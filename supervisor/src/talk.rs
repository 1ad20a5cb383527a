//! What the supervisor says to people: on stderr, by a thread of its own, because the terminal or
//! pipe behind stderr may stall and the loop may not. What does not fit is counted, not waited for.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Messages that may wait for a slow reader.
const WAITING_MAX: usize = 4096;
/// How long the end of the program waits for its last words to be read.
const GOODBYE: Duration = Duration::from_millis(500);

/// A handle to the writing thread.
#[derive(Clone, Debug)]
pub(crate) struct Talk {
    messages: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Text(Vec<u8>),
    /// Answer when everything before it is written.
    Flush(SyncSender<()>),
}

impl Talk {
    pub(crate) fn start() -> io::Result<Self> {
        let (messages, waiting) = sync_channel(WAITING_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("talk".to_owned())
            .spawn(move || write_all(&waiting, &counter))?;
        Ok(Self { messages, dropped })
    }

    pub(crate) fn say(&self, text: Vec<u8>) {
        if self.messages.try_send(Message::Text(text)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits a moment for what was said to be written.
    pub(crate) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.messages.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(GOODBYE);
        }
    }

    /// From now on `tracing` speaks through this. `FRAMEVISOR_LOG` selects, info is the default.
    pub(crate) fn serve_tracing(&self) {
        let filter =
            EnvFilter::try_from_env("FRAMEVISOR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_target(false)
            .with_ansi(false)
            .with_writer(self.clone())
            .finish();
        // It fails only when there is one already, which then serves as well.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }
}

fn write_all(waiting: &Receiver<Message>, dropped: &AtomicU64) {
    for message in waiting {
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(io::stderr(), "({lost} messages dropped: nobody read stderr)");
        }
        match message {
            // A closed stderr is no reason to end anything.
            Message::Text(text) => drop(io::stderr().write_all(&text)),
            Message::Flush(done) => drop(done.try_send(())),
        }
    }
}

impl Write for Talk {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.say(text.to_vec());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Talk {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
