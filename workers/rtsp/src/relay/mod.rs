//! Live viewers who keep up are written to by one loop a camera, and not each by a task of its own.
//!
//! ```text
//!                     carry (all is sent)
//!   connection ───────────────────────────────> relay of one camera: unit -> every viewer's socket
//!              <───────────────────────────────
//!                stop (the client speaks, or did not take all, or the camera sends something else)
//! ```
//! Of hundreds of viewers what a unit costs is mostly memory that is far away: each task's own state, its timer, its
//! wakers. A relay touches of each viewer what the packets need and no more. Who owns a viewer's streams is always one:
//! its connection, or the relay while the connection sleeps.

mod carried;
mod sending;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Notify, watch};

use crate::feed::Feed;

pub use carried::Carried;
use sending::Aboard;

/// The relays of all cameras that are watched.
#[derive(Debug, Default)]
pub struct Relays(Mutex<BTreeMap<String, Weak<Relay>>>);

/// The relay of a camera. It ends when nobody holds it.
#[derive(Debug)]
pub struct Relay {
    aboard: Arc<Mutex<Aboard>>,
    /// How many are carried.
    count: watch::Sender<usize>,
}

/// A viewer's place in a relay. Who drops it is carried no more.
#[derive(Debug)]
pub struct Carriage {
    relay: Arc<Relay>,
    place: usize,
    bell: Arc<Notify>,
}

impl Relays {
    /// The relay of a camera. To be called within the runtime.
    pub fn of(&self, feed: &Arc<Feed>) -> Arc<Relay> {
        let mut relays = held(&self.0);
        let known = relays.get(feed.path()).and_then(Weak::upgrade);
        known.filter(|relay| !relay.count.is_closed()).unwrap_or_else(|| {
            let relay = Relay::start(Arc::clone(feed));
            relays.retain(|_, relay| relay.strong_count() > 0);
            relays.insert(feed.path().to_owned(), Arc::downgrade(&relay));
            relay
        })
    }
}

impl Relay {
    fn start(feed: Arc<Feed>) -> Arc<Self> {
        let aboard = Arc::new(Mutex::new(Aboard::default()));
        let (count, counted) = watch::channel(0);
        tokio::spawn(sending::run(feed, Arc::clone(&aboard), counted));
        Arc::new(Self { aboard, count })
    }

    /// Sends to a viewer from now on. A relay that has ended gives it back.
    pub fn carry(self: &Arc<Self>, viewer: Carried) -> Result<Carriage, Box<Carried>> {
        if self.count.is_closed() {
            return Err(Box::new(viewer));
        }
        let bell = Arc::new(Notify::new());
        let place = held(&self.aboard).enter(viewer, Arc::clone(&bell));
        self.count.send_modify(|count| *count += 1);
        Ok(Carriage { relay: Arc::clone(self), place, bell })
    }
}

impl Carriage {
    /// Returns when the relay does no more for the viewer.
    pub async fn stopped(&self) {
        self.bell.notified().await;
    }

    /// The viewer, and what was written for it meanwhile.
    pub fn stop(self) -> Option<Carried> {
        // `drop` finds the place empty.
        held(&self.relay.aboard).leave(self.place)
    }
}

impl Drop for Carriage {
    fn drop(&mut self) {
        held(&self.relay.aboard).leave(self.place);
        self.relay.count.send_modify(|count| *count -= 1);
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is under these locks is changed by steps that leave it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::stream::{Codec, Track};
    use protocol::time::{MonoNs, TimeBase, UtcNs};
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::playback::{Playback, Wanted};
    use crate::rtp::Format;
    use crate::rtp::sender::Beginning;
    use crate::scene::Viewing;
    use crate::sdp::Presentation;
    use crate::unit::Unit;

    const SOUND: Track = Track {
        codec: Codec::PcmMulaw,
        time_base: TimeBase::NANOSECONDS,
        width: 0,
        height: 0,
        sample_rate_hz: 8_000,
        channels: 1,
        frame_rate: (0, 1),
        extradata: Vec::new(),
    };

    struct Stage {
        feed: Arc<Feed>,
        presentation: Arc<Presentation>,
        relays: Relays,
    }

    impl Stage {
        fn new() -> Self {
            let feed = Arc::new(Feed::new("cam1"));
            feed.present(Presentation::of("cam1", &[SOUND]));
            let presentation = feed.presentation().unwrap();
            Self { feed, presentation, relays: Relays::default() }
        }

        fn publish(&self, bytes: usize) {
            let payload = vec![7; bytes];
            let pieces = Format::of(&SOUND, 0).unwrap().cut(&payload);
            let (pts_ns, captured) = (0, UtcNs(0));
            let unit = Unit { track: 0, entry: true, pts_ns, captured, pieces, payload };
            self.feed.publish(unit, MonoNs(0));
        }

        /// A viewer that has been reported to, and its client.
        async fn viewer(&self) -> (Carried, TcpStream) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (line, peer) = listener.accept().await.unwrap();
            let mut playback = Playback::new(Arc::clone(&self.presentation));
            let beginning = Beginning { ssrc: 1, sequence: 0, ticks: 0 };
            let served = &self.presentation.tracks()[0];
            playback.set_up(served, Wanted::Interleaved(None), beginning).unwrap();
            playback.start(None, MonoNs(0)).unwrap();
            let place = self.feed.join(&self.presentation).unwrap();
            let viewing = Viewing::new(Arc::clone(&self.feed), place);
            let line = Arc::new(line);
            (Carried { peer, line, playback, viewing, rest: Vec::new() }, client)
        }
    }

    /// In frames that follow each other without a gap.
    fn samples(mut bytes: &[u8]) -> usize {
        let mut samples = 0;
        while let [b'$', channel, high, low, rest @ ..] = bytes {
            let (packet, next) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            samples += if *channel == 0 { packet.len() - 12 } else { 0 };
            bytes = next;
        }
        assert!(bytes.is_empty());
        samples
    }

    async fn soon<T>(future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(30), future).await.unwrap()
    }

    #[tokio::test]
    async fn who_is_carried_is_sent_what_was_published_before_and_while_it_was() {
        let stage = Stage::new();
        let relay = stage.relays.of(&stage.feed);
        let (viewer, mut client) = stage.viewer().await;
        stage.publish(8);
        let carriage = relay.carry(viewer).unwrap();
        stage.publish(8);
        let mut seen = Vec::new();
        while seen.iter().filter(|byte| **byte == 7).count() < 16 {
            soon(client.read_buf(&mut seen)).await.unwrap();
        }
        assert_eq!(samples(&seen), 16);
        let back = carriage.stop().unwrap();
        assert_eq!((back.viewing.tally().counts(), back.rest.len()), ((2, 0), 0));
    }

    #[tokio::test]
    async fn who_does_not_take_everything_is_given_back_with_the_rest() {
        let stage = Stage::new();
        let relay = stage.relays.of(&stage.feed);
        let (viewer, mut client) = stage.viewer().await;
        let carriage = relay.carry(viewer).unwrap();
        let unit = 32 << 20;
        stage.publish(unit);
        soon(carriage.stopped()).await;
        // Nothing more is sent, or it would be in the middle of a frame.
        stage.publish(8);
        tokio::task::yield_now().await;
        let Carried { rest, viewing, .. } = carriage.stop().unwrap();
        assert_eq!(viewing.tally().counts(), (1, 0));
        // Its socket is closed: what the client has is all that was sent.
        let mut seen = Vec::new();
        soon(client.read_to_end(&mut seen)).await.unwrap();
        seen.extend(rest);
        assert_eq!(samples(&seen), unit);
    }

    #[tokio::test]
    async fn whoever_leaves_a_relay_is_sent_nothing_more() {
        let stage = Stage::new();
        let relay = stage.relays.of(&stage.feed);
        let (viewer, client) = stage.viewer().await;
        drop(relay.carry(viewer).unwrap());
        stage.publish(8);
        tokio::task::yield_now().await;
        let mut byte = [0];
        assert_eq!(soon(client.peek(&mut byte)).await.unwrap(), 0, "its socket is closed");
    }

    #[tokio::test]
    async fn when_a_camera_sends_something_else_its_viewers_are_given_back() {
        let stage = Stage::new();
        let relay = stage.relays.of(&stage.feed);
        let (viewer, _client) = stage.viewer().await;
        let carriage = relay.carry(viewer).unwrap();
        tokio::task::yield_now().await;
        let other = Track { codec: Codec::PcmAlaw, ..SOUND };
        stage.feed.present(Presentation::of("cam1", &[other]));
        soon(carriage.stopped()).await;
        assert!(carriage.stop().is_some());
    }

    #[tokio::test]
    async fn a_camera_has_one_relay_until_nobody_holds_it() {
        let stage = Stage::new();
        let first = stage.relays.of(&stage.feed);
        assert!(Arc::ptr_eq(&first, &stage.relays.of(&stage.feed)));
        let old = Arc::downgrade(&first);
        drop(first);
        let next = stage.relays.of(&stage.feed);
        assert!(old.upgrade().is_none() && !next.count.is_closed());
    }
}
