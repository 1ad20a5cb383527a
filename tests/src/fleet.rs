//! Viewers of live video over WebSockets, a hundred of them in one thread: which picture came when, by what each
//! fragment says of itself (docs/recording.md), and whether each message is what docs/web.md says.

use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fmp4::FoundTrack;
use futures_util::StreamExt;
use protocol::time::UtcNs;
use serde_json::Value;
use shmring::clock;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::{Failure, Outcome};

/// Who does not read has a small window, so that the server soon notices.
const SMALL_WINDOW_BYTES: u32 = 4096;
/// Before a viewer that was cut off comes again.
const AGAIN: Duration = Duration::from_millis(20);

/// How a viewer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Everything at once.
    Ready,
    /// So much each second.
    BytesASecond(usize),
    /// Nothing.
    Stopped,
}

/// A viewer.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    pub port: u16,
    pub camera: &'static str,
    pub pace: Pace,
    /// Connects again when it is cut off.
    pub comes_again: bool,
}

impl Ask {
    pub fn of(port: u16) -> Self {
        Self { port, camera: "cam1", pace: Pace::Ready, comes_again: false }
    }
}

/// A picture that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    pub epoch: u64,
    pub sequence: u64,
    pub captured: UtcNs,
    pub came: UtcNs,
}

impl Picture {
    /// From its capture to here.
    pub fn late_ms(&self) -> f64 {
        let late = Duration::from_nanos(self.came.0.saturating_sub(self.captured.0));
        late.as_secs_f64() * 1000.0
    }
}

/// A film of one picture, for a decoder to read its number.
#[derive(Clone, Debug)]
pub struct Sample {
    pub sequence: u64,
    pub film: Vec<u8>,
}

/// What a viewer has seen so far.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub pictures: Vec<Picture>,
    /// The first key frame.
    pub sample: Option<Sample>,
    pub connections: u64,
    /// How many pictures it had when each WebSocket began.
    pub joints: Vec<usize>,
    /// Connections that nobody took, with the reason.
    pub refused: Vec<String>,
    /// Messages that are not as they should be.
    pub wrong: Vec<String>,
    /// Fragments that the server left out for it.
    pub skipped: u64,
    init: Vec<u8>,
    tracks: Vec<FoundTrack>,
    /// An init segment came, and no fragment behind it.
    begins: bool,
}

/// Numbers of pictures that did not come, or came in a wrong order; nothing is good.
pub fn holes(pictures: &[Picture]) -> Vec<String> {
    let pairs = pictures.windows(2).map(|pair| (pair[0], pair[1]));
    let is_hole = |(one, next): &(Picture, Picture)| {
        one.epoch != next.epoch || next.sequence != one.sequence + 1
    };
    pairs
        .filter(is_hole)
        .map(|(one, next)| format!("{} behind {}", next.sequence, one.sequence))
        .collect()
}

/// Viewers at work.
#[derive(Debug)]
pub struct Fleet {
    logs: Vec<Arc<Mutex<Log>>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Fleet {
    pub fn start(asks: &[Ask]) -> Outcome<Self> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().map_err(Failure::new)?;
        let logs: Vec<_> = asks.iter().map(|_| Arc::<Mutex<Log>>::default()).collect();
        let (stop, stopped) = watch::channel(false);
        let viewers: Vec<_> = asks.iter().copied().zip(logs.iter().cloned()).collect();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let begin = |(ask, log)| tokio::spawn(view(ask, log, stopped.clone()));
                for viewer in viewers.into_iter().map(begin).collect::<Vec<_>>() {
                    // A viewer that panicked has no pictures, which is told.
                    let _ = viewer.await;
                }
            });
        });
        Ok(Self { logs, stop, thread: Some(thread) })
    }

    /// How many pictures each has.
    pub fn counts(&self) -> Vec<usize> {
        self.logs.iter().map(|log| held(log).pictures.len()).collect()
    }

    /// What a viewer has seen so far.
    pub fn log(&self, viewer: usize) -> Log {
        held(&self.logs[viewer]).clone()
    }

    /// What each has seen until now.
    pub fn finish(mut self) -> Vec<Log> {
        self.end();
        self.logs.iter().map(|log| std::mem::take(&mut *held(log))).collect()
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing more to tell.
            let _ = thread.join();
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.end();
    }
}

fn held(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn view(ask: Ask, log: Arc<Mutex<Log>>, mut stopped: watch::Receiver<bool>) {
    tokio::select! {
        () = watch_on(ask, &log) => {}
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
}

async fn watch_on(ask: Ask, log: &Mutex<Log>) {
    loop {
        match connect(ask, log).await {
            Some(socket) => follow(ask.pace, socket, log).await,
            None if ask.comes_again => {}
            None => return,
        }
        if !ask.comes_again {
            return;
        }
        sleep(AGAIN).await;
    }
}

/// `None` where there is no WebSocket; whether the connection was refused is noted.
async fn connect(ask: Ask, log: &Mutex<Log>) -> Option<WebSocketStream<TcpStream>> {
    let address = ([127, 0, 0, 1], ask.port).into();
    let connected = match ask.pace {
        Pace::Ready => TcpStream::connect(address).await,
        Pace::BytesASecond(_) | Pace::Stopped => match TcpSocket::new_v4() {
            Ok(socket) => {
                // Without it, it takes the server a little longer to notice.
                let _ = socket.set_recv_buffer_size(SMALL_WINDOW_BYTES);
                socket.connect(address).await
            }
            Err(error) => Err(error),
        },
    };
    let stream = match connected {
        Ok(stream) => stream,
        Err(error) => {
            held(log).refused.push(error.to_string());
            return None;
        }
    };
    held(log).connections += 1;
    let url = format!("ws://127.0.0.1:{}/live/{}", ask.port, ask.camera);
    match client_async(url, stream).await {
        Ok((socket, _)) => {
            let mut log = held(log);
            let have = log.pictures.len();
            log.joints.push(have);
            Some(socket)
        }
        // The server died amid the handshake: no refusal where it is meant to die, and told where it is not.
        Err(error) => {
            if !ask.comes_again {
                held(log).wrong.push(format!("no WebSocket: {error}"));
            }
            None
        }
    }
}

async fn follow(pace: Pace, mut socket: WebSocketStream<TcpStream>, log: &Mutex<Log>) {
    match pace {
        Pace::Ready => {}
        Pace::Stopped => return std::future::pending().await,
        Pace::BytesASecond(bytes) => return drip(socket.get_mut(), bytes).await,
    }
    while let Some(Ok(message)) = socket.next().await {
        let came = clock::now().utc;
        match message {
            Message::Text(text) => held(log).is_told(text.as_str()),
            Message::Binary(bytes) => held(log).takes(&bytes, came),
            Message::Close(_) => return,
            _ => {}
        }
    }
}

async fn drip(stream: &mut TcpStream, bytes: usize) {
    let mut sip = vec![0; bytes];
    while stream.read(&mut sip).await.is_ok_and(|read| read > 0) {
        sleep(Duration::from_secs(1)).await;
    }
}

impl Log {
    /// What each WebSocket brought.
    pub fn by_connection(&self) -> impl Iterator<Item = &[Picture]> {
        let ends = self.joints.iter().skip(1).copied().chain([self.pictures.len()]);
        self.joints.iter().zip(ends).map(|(begin, end)| &self.pictures[*begin..end])
    }

    fn is_told(&mut self, text: &str) {
        let Ok(said) = serde_json::from_str::<Value>(text) else {
            self.wrong.push(format!("a text that is no JSON: {text}"));
            return;
        };
        match said["type"].as_str() {
            Some("skipped") => self.skipped += said["fragments"].as_u64().unwrap_or(1),
            Some("mse" | "waiting") => {}
            _ => self.wrong.push(text.to_owned()),
        }
    }

    fn takes(&mut self, bytes: &[u8], came: UtcNs) {
        if bytes.get(4..8) == Some(b"ftyp") {
            match fmp4::read_init(&mut Cursor::new(bytes)) {
                Ok(Ok(init)) => self.tracks = init.tracks,
                other => self.wrong.push(format!("an init segment that is none: {other:?}")),
            }
            (self.init, self.begins) = (bytes.to_vec(), true);
        } else if let Err(why) = self.takes_fragment(bytes, came) {
            self.wrong.push(why);
        }
    }

    /// A message is one whole fragment; the first behind an init segment begins with a key frame.
    fn takes_fragment(&mut self, bytes: &[u8], came: UtcNs) -> Result<(), String> {
        let mut reader = Cursor::new(bytes);
        let fragment = match fmp4::read_fragment(&mut reader, 0, &self.tracks) {
            Ok(Ok(fragment)) => fragment,
            other => return Err(format!("a message that is no fragment: {other:?}")),
        };
        let is_whole = fragment.bytes == bytes.len() as u64
            && matches!(fmp4::is_intact(&mut reader, &fragment), Ok(true));
        let origin = &fragment.origin;
        let first = origin.first;
        if !is_whole {
            return Err(format!("fragment {first}: {} of {} bytes", fragment.bytes, bytes.len()));
        }
        if self.begins && !fragment.begins_with_key(&self.tracks) {
            return Err(format!("fragment {first} behind an init segment is no key frame"));
        }
        self.begins = false;
        let video = self.tracks.iter().find(|track| track.video).map(|track| track.track);
        let is_video = |track: &Option<u8>| track.map(u32::from) == video;
        let place =
            origin.packets.iter().rposition(is_video).ok_or("a fragment without a picture")?;
        let sequence = first + place as u64;
        if self.sample.is_none() {
            let film = [&self.init, bytes].concat();
            self.sample = Some(Sample { sequence, film });
        }
        self.pictures.push(Picture {
            epoch: origin.epoch,
            sequence,
            captured: origin.capture,
            came,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(epoch: u64, sequence: u64) -> Picture {
        Picture { epoch, sequence, captured: UtcNs(1_000_000), came: UtcNs(3_500_000) }
    }

    #[test]
    fn what_is_left_out_repeated_or_of_another_epoch_is_a_hole() {
        assert!(holes(&[picture(1, 7), picture(1, 8), picture(1, 9)]).is_empty());
        assert_eq!(holes(&[picture(1, 7), picture(1, 9)]), ["9 behind 7"]);
        assert_eq!(holes(&[picture(1, 7), picture(1, 7)]).len(), 1);
        assert_eq!(holes(&[picture(1, 7), picture(2, 8)]).len(), 1);
    }

    #[test]
    fn a_picture_is_late_by_what_lies_between_capture_and_here() {
        assert!((picture(1, 1).late_ms() - 2.5).abs() < 1e-9);
    }

    #[test]
    fn a_message_that_is_no_fragment_is_told() {
        let mut log = Log::default();
        log.takes(b"\0\0\0\x08moof", UtcNs(0));
        log.is_told("{\"type\":\"skipped\",\"fragments\":3}");
        log.is_told("{\"type\":\"refused\",\"why\":\"none\"}");
        assert_eq!((log.wrong.len(), log.skipped, log.pictures.len()), (2, 3, 0));
    }
}
