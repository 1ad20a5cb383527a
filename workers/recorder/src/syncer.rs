//! Makes files durable on a thread of its own: a disk that takes its time holds up no reading.
//!
//! The thread decides nothing: it is given a file and says how its sync went. Orders are done one after
//! the other, so what was written first is safe first.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::status::Status;

/// One order; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Order {
    ticket: Ticket,
    file: Arc<File>,
    /// Of a new file: its name is to survive too.
    folder: Option<PathBuf>,
}

/// How an order went.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) ticket: Ticket,
    pub(crate) result: io::Result<()>,
}

/// One camera's. Answers to orders of a session that has ended are nobody's.
#[derive(Debug)]
pub(crate) struct Syncer {
    orders: Sender<Order>,
    done: Receiver<Done>,
    next: u64,
}

impl Syncer {
    /// The thread ends with this, after what it has in hand.
    pub(crate) fn start(name: &str, status: &Arc<Status>) -> io::Result<Self> {
        let (orders, taken) = channel();
        let (tell, done) = channel();
        let status = Arc::clone(status);
        thread::Builder::new()
            .name(format!("{name} sync"))
            .spawn(move || serve(&taken, &tell, &status))?;
        Ok(Self { orders, done, next: 0 })
    }

    pub(crate) fn order(&mut self, file: &Arc<File>, folder: Option<PathBuf>) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        // A thread that is gone is told by the answer that does not come.
        let _ = self.orders.send(Order { ticket, file: Arc::clone(file), folder });
        ticket
    }

    /// What has been done since the last call, if anything.
    pub(crate) fn done(&self) -> Option<Done> {
        self.done.try_recv().ok()
    }

    /// The next that is done; there has to be an order.
    pub(crate) fn wait(&self) -> io::Result<Done> {
        self.done.recv().map_err(|_| io::Error::other("the thread that syncs has ended"))
    }
}

fn serve(orders: &Receiver<Order>, tell: &Sender<Done>, status: &Status) {
    for Order { ticket, file, folder } in orders {
        let result = {
            let _busy = status.syncing();
            sync(&file, folder)
        };
        // Closed before it is told: who waits for the answer may want to unmount the disk.
        drop(file);
        if tell.send(Done { ticket, result }).is_err() {
            return;
        }
    }
}

fn sync(file: &File, folder: Option<PathBuf>) -> io::Result<()> {
    file.sync_data()?;
    folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A syncer whose orders a test answers.
#[cfg(test)]
pub(crate) struct ByHand {
    orders: Receiver<Order>,
    tell: Sender<Done>,
}

#[cfg(test)]
impl ByHand {
    pub(crate) fn syncer() -> (Syncer, Self) {
        let (orders, taken) = channel();
        let (tell, done) = channel();
        (Syncer { orders, done, next: 0 }, Self { orders: taken, tell })
    }

    /// How many came since the last call.
    pub(crate) fn orders(&self) -> usize {
        self.orders.try_iter().count()
    }

    pub(crate) fn answer(&self, number: u64, result: io::Result<()>) {
        self.tell.send(Done { ticket: Ticket(number), result }).unwrap();
    }
}
