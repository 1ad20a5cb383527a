//! What the web worker sees: offers in, answers and figures out, and the life of the thread behind it.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use protocol::config::WebrtcConfig;
use protocol::name::{ProjectName, RingKind, RingName};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};

use crate::command::{Command, Wanted};
use crate::figures::{Figures, ViewerFigures};
use crate::hub::{self, Ends, Setup};
use crate::offer::OFFER_MAX_BYTES;
use crate::refusal::Refusal;

/// Requests that wait for the hub; it answers at once, or knows that it cannot.
const COMMANDS_MAX: usize = 64;

/// An offer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Who knows it may end the viewer.
    pub id: String,
    pub sdp: String,
    /// Tracks of the camera that WebRTC cannot carry, by their codecs.
    pub left_out: Vec<&'static str>,
}

/// Whom an offer comes from.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// What counts as one: an address, of IPv6 all that one household has.
    pub origin: IpAddr,
    /// The address of ours that the request came to.
    pub reached: Option<IpAddr>,
}

/// Where offers go in.
#[derive(Clone, Debug)]
pub struct Door {
    commands: mpsc::Sender<Command>,
    figures: Arc<Mutex<Figures>>,
}

/// The thread that serves all viewers.
#[derive(Debug)]
pub struct Service {
    door: Door,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Begins to serve the packet rings among `rings`. `listen`: the address of the page, which is also that of
    /// media unless `config` says otherwise. Binds its UDP port in the background: one that is taken is waited
    /// for.
    pub fn start(
        project: &ProjectName,
        reader: &str,
        rings: &[RingName],
        config: WebrtcConfig,
        listen: SocketAddr,
    ) -> io::Result<Self> {
        let viewers_max = usize::try_from(config.max_viewers).unwrap_or(usize::MAX);
        let figures = Figures { viewers_max, ..Figures::default() };
        let figures = Arc::new(Mutex::new(figures));
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (stop, stopped) = watch::channel(false);
        let setup = Setup {
            project: project.clone(),
            reader: reader.to_owned(),
            rings: cameras(rings),
            listen: config.listen.unwrap_or_else(|| SocketAddr::new(listen.ip(), 0)),
            config,
        };
        let ends = Ends { commands: receiver, stop: stopped, figures: Arc::clone(&figures) };
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let run = move || runtime.block_on(hub::run(setup, ends));
        let thread = thread::Builder::new().name("whep".into()).spawn(run)?;
        Ok(Self { door: Door { commands, figures }, stop, thread: Some(thread) })
    }

    pub fn door(&self) -> Door {
        self.door.clone()
    }

    /// Whether the thread ended by itself, which it never should.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Says goodbye to all viewers and waits for the thread.
    pub fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of WebRTC panicked");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Door {
    /// Answers `offer` for `camera` with a viewer that has 20 s to come. Waits up to 3 s for a camera that has
    /// sent nothing so far.
    pub async fn offer(
        &self,
        camera: &str,
        offer: String,
        caller: Caller,
    ) -> Result<Answered, Refusal> {
        if offer.len() > OFFER_MAX_BYTES {
            return Err(Refusal::TooLarge { bytes: offer.len() });
        }
        let (reply, answer) = oneshot::channel();
        let wanted = Wanted { camera: camera.to_owned(), offer, caller, reply };
        let stopped = || Refusal::Closed { why: "this worker stops".to_owned() };
        self.commands.send(Command::Offer(wanted)).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Ends a viewer. Whether there was one of that name.
    pub async fn leave(&self, camera: &str, id: &str) -> bool {
        let (reply, answer) = oneshot::channel();
        let (camera, id) = (camera.to_owned(), id.to_owned());
        let sent = self.commands.send(Command::Leave { camera, id, reply }).await;
        sent.is_ok() && answer.await.unwrap_or(false)
    }

    /// Who watches now; nobody, once the thread has stopped.
    pub async fn viewers(&self) -> Vec<ViewerFigures> {
        let (reply, answer) = oneshot::channel();
        match self.commands.send(Command::Viewers { reply }).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_stopped) => Vec::new(),
        }
    }

    pub fn figures(&self) -> Figures {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The packet rings by camera; of several of one camera the first, which is what every other way shows of it.
fn cameras(rings: &[RingName]) -> BTreeMap<String, RingName> {
    let mut cameras = BTreeMap::new();
    for ring in rings.iter().filter(|ring| ring.kind() == RingKind::Packets) {
        cameras.entry(ring.camera().to_owned()).or_insert_with(|| ring.clone());
    }
    cameras
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_rings_of_a_camera_the_first_is_watched() {
        let rings = ["a.small.packets", "a.packets", "a.sub.packets", "b.frames", "c.x.packets"];
        let rings = rings.map(|name| name.parse().unwrap());
        let cameras = cameras(&rings);
        let names: Vec<_> = cameras.iter().map(|(name, ring)| (&**name, ring.as_str())).collect();
        assert_eq!(names, [("a", "a.small.packets"), ("c", "c.x.packets")]);
    }
}
