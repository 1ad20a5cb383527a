//! Ways for an item to come from one process to others. Every one is used in the same way, so that
//! figures differ by the way alone.

mod floor;
mod iceoryx;
mod ipc;
mod pipes;
mod ring;

pub(crate) use ring::{Frames, UHD_BYTES, attach, contract};

use std::time::Duration;

use crate::Outcome;
use crate::machine::{Touch, cpu_ns, now_ns};
use crate::stage::{Child, Cores, Seat};

/// A way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A futex in shared memory and a payload that is there already: the floor of those that sleep.
    Futex,
    /// The same, burning time: the floor of all.
    Spin,
    FrameRing,
    PacketRing,
    Iceoryx,
    IpcBytes,
    Pipe,
    Stream,
    Seqpacket,
}

impl Way {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Futex => "futex",
            Self::Spin => "spin",
            Self::FrameRing => "frame ring",
            Self::PacketRing => "packet ring",
            Self::Iceoryx => "iceoryx2",
            Self::IpcBytes => "ipc-channel",
            Self::Pipe => "pipe",
            Self::Stream => "unix stream",
            Self::Seqpacket => "unix seqpacket",
        }
    }
}

/// What goes over it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Of the largest item.
    pub(crate) bytes: usize,
    pub(crate) readers: usize,
    /// Items that may wait in between.
    pub(crate) ahead: u32,
    pub(crate) touch: Touch,
    pub(crate) cores: Cores,
}

/// Takes away what the lines of this run leave in memory and on disk.
pub(crate) fn sweep() {
    ring::sweep();
    iceoryx::sweep();
}

/// The director's end.
pub(crate) trait Sender {
    /// Everything that comes before the item is there; with `content`, puts it where it is sent from.
    fn prepare(&mut self, content: Option<&[u8]>) -> Outcome<()>;
    /// Sends what was prepared.
    fn send(&mut self) -> Outcome<()>;
}

/// A child's end.
pub(crate) trait Receiver {
    /// The next item, touched; `false` when none came within a slice.
    fn receive(&mut self, touch: Touch) -> Outcome<bool>;
}

/// Both ends before they are taken to their processes.
struct Ends<'a> {
    /// Called in each child with its number.
    receiver: Box<dyn Fn(usize) -> Outcome<Box<dyn Receiver>> + 'a>,
    /// Called in the director once all children have theirs.
    sender: Box<dyn FnOnce() -> Outcome<Box<dyn Sender>> + 'a>,
}

fn ends(way: Way, load: &Load) -> Outcome<Ends<'static>> {
    match way {
        Way::Futex => floor::futex(),
        Way::Spin => floor::spin(),
        Way::FrameRing => ring::frames(load),
        Way::PacketRing => ring::packets(load),
        Way::Iceoryx => iceoryx::ends(load),
        Way::IpcBytes => ipc::ends(load),
        Way::Pipe => pipes::pipe(load),
        Way::Stream => pipes::stream(load),
        Way::Seqpacket => pipes::seqpacket(load),
    }
}

/// A way with its processes, ready to send.
pub(crate) struct Line {
    sender: Box<dyn Sender>,
    children: Vec<Child>,
    way: Way,
    ahead: u32,
    limit: u32,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").field("children", &self.children).finish_non_exhaustive()
    }
}

/// The pause before each trip, so that the receiver sleeps and the processors have come to rest, as
/// between two pictures.
const REST: Duration = Duration::from_micros(60);

impl Line {
    pub(crate) fn open(way: Way, load: Load) -> Outcome<Self> {
        let Ends { receiver, sender } = ends(way, &load)?;
        let core = load.cores.child();
        let mut children = (0..load.readers)
            .map(|number| {
                let body = |seat: &'static Seat| serve(seat, receiver(number)?, load.touch);
                Child::spawn(Some(core), body)
            })
            .collect::<Outcome<Vec<_>>>()?;
        children.iter_mut().try_for_each(Child::wait)?;
        Ok(Self { sender: sender()?, children, way, ahead: 0, limit: load.ahead })
    }

    /// Nanoseconds from just before sending until the last receiver has touched the item.
    pub(crate) fn trip(&mut self) -> Outcome<f64> {
        self.sender.prepare(None)?;
        std::thread::sleep(REST);
        let begin_ns = now_ns();
        self.sender.send()?;
        self.await_all()?;
        Ok(self.newest_stamp_ns().saturating_sub(begin_ns) as f64)
    }

    /// Processor nanoseconds of the director for sending alone.
    pub(crate) fn send_cpu(&mut self) -> Outcome<f64> {
        self.sender.prepare(None)?;
        std::thread::sleep(REST);
        let begin_ns = cpu_ns();
        self.sender.send()?;
        let spent_ns = cpu_ns() - begin_ns;
        self.await_all()?;
        Ok(spent_ns as f64)
    }

    /// Sends `content` and waits until every receiver has touched it.
    pub(crate) fn pass(&mut self, content: &[u8]) -> Outcome<()> {
        self.sender.prepare(Some(content))?;
        self.sender.send()?;
        self.await_all()
    }

    /// Sends `content` as soon as few enough items wait for a receiver.
    pub(crate) fn stream(&mut self, content: &[u8]) -> Outcome<()> {
        if self.ahead == self.limit {
            self.await_all()?;
            self.ahead -= 1;
        }
        self.sender.prepare(Some(content))?;
        self.sender.send()?;
        self.ahead += 1;
        Ok(())
    }

    /// Waits until every receiver has touched all that was streamed.
    pub(crate) fn drain(&mut self) -> Outcome<()> {
        (0..std::mem::take(&mut self.ahead)).try_for_each(|_| self.await_all())
    }

    fn await_all(&mut self) -> Outcome<()> {
        let wait = if self.way == Way::Spin { Child::wait_spinning } else { Child::wait };
        self.children.iter_mut().try_for_each(wait)
    }

    fn newest_stamp_ns(&self) -> u64 {
        use std::sync::atomic::Ordering;
        let stamps = self.children.iter().map(|child| child.seat.stamp_ns.load(Ordering::Acquire));
        stamps.max().unwrap_or(0)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        match self.way {
            // A killed one leaves files behind.
            Way::Iceoryx => self.children.iter().for_each(Child::stop),
            _ => self.children.iter().for_each(Child::kill),
        }
    }
}

/// A child's life: takes items until it is told to stop.
fn serve(seat: &'static Seat, mut receiver: Box<dyn Receiver>, touch: Touch) -> Outcome<()> {
    use std::sync::atomic::Ordering;
    seat.done.ring();
    while !seat.is_to_stop() {
        if receiver.receive(touch)? {
            seat.stamp_ns.store(now_ns(), Ordering::Release);
            seat.items.fetch_add(1, Ordering::Relaxed);
            seat.done.ring();
        }
    }
    Ok(())
}
