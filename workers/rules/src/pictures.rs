//! Keeps pictures, in a thread of its own: neither a decoder that rests nor a disk that hangs holds up a rule.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use protocol::name::{ProjectName, RingName};
use protocol::stream::FrameId;
use protocol::time::MonoNs;
use protocol::units::Span;
use shmring::{FrameOptions, FrameStart, Next, Policy, clock};
use stills::jpeg;
use stills::picture::Picture;
use worker::{Fault, FrameInput};

use crate::album;

/// Begins whose pictures wait for a slow disk; those of more are left out.
const WAITING_MAX: usize = 16;
/// A decoder that rests begins with the next key frame, which most cameras send once in two seconds.
const PICTURE_WITHIN: Duration = Duration::from_secs(5);
/// One look at the ring.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is looked for pictures that are too old.
const CLEAR_EVERY: Duration = Duration::from_secs(600);

/// A picture that is to be kept.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) rule: String,
    pub(crate) camera: String,
    /// Of the event.
    pub(crate) id: String,
    /// The picture it is about, if that is still there; else the newest.
    pub(crate) frame: Option<FrameId>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) order: Order,
    pub(crate) result: Result<Kept, Trouble>,
}

/// A picture that is a file now.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) path: PathBuf,
    pub(crate) bytes: usize,
    pub(crate) frame: FrameId,
    pub(crate) time_utc_ns: u64,
}

/// Why a picture is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error("camera {camera} has no ring of frames among the inputs: add {camera}.frames to in")]
    NoRing { camera: String },
    #[error("ring {ring} gave no picture within {} s", PICTURE_WITHIN.as_secs())]
    NoPicture { ring: RingName },
    #[error("{WAITING_MAX} pictures wait for the disk already")]
    Busy,
    #[error("cannot write {}: {source}", path.display())]
    Disk { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Jpeg(#[from] jpeg::JpegError),
    #[error(transparent)]
    Ring(#[from] Fault),
}

/// Where orders go.
#[derive(Debug)]
pub(crate) struct Pictures {
    orders: SyncSender<Order>,
    done: Receiver<Done>,
    thread: thread::JoinHandle<()>,
}

/// What the thread needs.
#[derive(Debug)]
pub(crate) struct Studio {
    pub(crate) project: ProjectName,
    pub(crate) reader: String,
    /// Rings of frames.
    pub(crate) rings: Vec<RingName>,
    pub(crate) dir: PathBuf,
    pub(crate) keep: Option<Span>,
    pub(crate) quality: u8,
}

impl Pictures {
    pub(crate) fn start(studio: Studio) -> Result<Self, Fault> {
        let (orders, wanted) = mpsc::sync_channel::<Order>(WAITING_MAX);
        let (tell, done) = mpsc::channel();
        let work = move || {
            let mut cleared = MonoNs(0);
            loop {
                // Also when nothing happens for weeks: who says so long means no longer.
                studio.clear(&mut cleared);
                match wanted.recv_timeout(CLEAR_EVERY) {
                    Ok(order) => {
                        let result = studio.keep(&order);
                        // Whoever stopped meanwhile wants to know nothing.
                        let _ = tell.send(Done { order, result });
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        let thread = thread::Builder::new().name("pictures".to_owned()).spawn(work);
        let thread = thread
            .map_err(|error| Fault::unavailable(format!("no thread for pictures: {error}")))?;
        Ok(Self { orders, done, thread })
    }

    /// Never waits.
    pub(crate) fn order(&self, order: Order) -> Result<(), Trouble> {
        self.orders.try_send(order).map_err(|_| Trouble::Busy)
    }

    /// What has become of earlier ones.
    pub(crate) fn done(&self) -> impl Iterator<Item = Done> {
        self.done.try_iter()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

impl Studio {
    fn keep(&self, order: &Order) -> Result<Kept, Trouble> {
        let is_own = |ring: &&RingName| ring.camera() == order.camera;
        // The first that is named: whoever wants another size names that ring first.
        let ring = self.rings.iter().find(is_own);
        let ring = ring.ok_or_else(|| Trouble::NoRing { camera: order.camera.clone() })?;
        let picture = self.take(ring, order.frame.as_ref())?;
        let jpeg = jpeg::encode(&picture, self.quality)?;
        let stamp = picture.stamp;
        let (taken, sequence) = (stamp.capture_utc, stamp.sequence);
        let path = album::path(&self.dir, &order.camera, &order.rule, taken, sequence);
        album::save(&path, &jpeg).map_err(|source| Trouble::Disk { path: path.clone(), source })?;
        Ok(Kept { path, bytes: jpeg.len(), frame: stamp.id, time_utc_ns: taken.0 })
    }

    /// The place in the ring is had for this picture alone: else the decoder could never rest.
    fn take(&self, ring: &RingName, wanted: Option<&FrameId>) -> Result<Picture, Trouble> {
        let options = FrameOptions {
            policy: Policy::Sequential,
            quota: 1,
            start: FrameStart::Oldest,
            ..FrameOptions::named(&self.reader)
        };
        let mut input = FrameInput::detached(&self.project, ring, options);
        let deadline = clock::mono() + PICTURE_WITHIN;
        let mut newest = None;
        while clock::mono() < deadline {
            // With one in hand only what is there already is looked at.
            let wait = if newest.is_some() { Duration::ZERO } else { LOOK };
            match input.poll(wait)? {
                Some(Next::Item(frame)) => {
                    let is_it = wanted == Some(&frame.frame_id());
                    newest = Picture::copied(&frame).or(newest);
                    if is_it {
                        break;
                    }
                }
                Some(Next::Quiet | Next::Ended) | None if newest.is_some() => break,
                Some(Next::Ended) => thread::sleep(LOOK),
                Some(_) | None => {}
            }
        }
        newest.ok_or_else(|| Trouble::NoPicture { ring: ring.clone() })
    }

    fn clear(&self, cleared: &mut MonoNs) {
        let (Some(keep), now) = (self.keep, clock::now()) else { return };
        if *cleared != MonoNs(0) && now.mono.saturating_since(*cleared) < CLEAR_EVERY {
            return;
        }
        *cleared = now.mono;
        match album::clear(&self.dir, keep.duration(), now.utc) {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old pictures removed"),
            Err(error) => {
                tracing::warn!(dir = %self.dir.display(), %error, "old pictures are not removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use protocol::time::UtcNs;

    use super::*;

    #[test]
    fn pictures_that_are_too_old_go_though_nothing_happens() {
        let dir = tempfile::tempdir().unwrap();
        let path = album::path(dir.path(), "front", "night", UtcNs(1), 7);
        let fresh = album::path(dir.path(), "front", "night", UtcNs(1), 8);
        for picture in [&path, &fresh] {
            album::save(picture, b"jpeg").unwrap();
        }
        let now = Duration::from_nanos(clock::now().utc.0);
        let written = SystemTime::UNIX_EPOCH + now - Duration::from_secs(7_200);
        fs::File::options().write(true).open(&path).unwrap().set_modified(written).unwrap();
        let studio = Studio {
            project: "yard".parse().unwrap(),
            reader: "alerts".to_owned(),
            rings: Vec::new(),
            dir: dir.path().to_owned(),
            keep: Some(Span::from_millis(3_600_000)),
            quality: 85,
        };
        let pictures = Pictures::start(studio).unwrap();
        let deadline = clock::mono() + Duration::from_secs(60);
        while path.exists() {
            assert!(clock::mono() < deadline, "it is still there");
            thread::sleep(Duration::from_millis(5));
        }
        assert!(fresh.exists() && !pictures.is_finished());
    }
}
