//! Pictures on demand. A camera's ring is attached only while somebody looks, so that its decoder
//! can rest; a picture is encoded once, whoever asks for it; the lease lives only while planes are
//! copied; encoders are fewer than processors, so that looking never starves recording.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use protocol::name::RingName;
use protocol::time::MonoNs;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};

use crate::insight::passage::{Hop, Passage, Passages, Stage};
use crate::jpeg;
use crate::picture::PictureStamp;
use crate::sources::{PictureTap, Sources};

/// A camera nobody looked at for this long is let go.
const LOOK_LASTS: Duration = Duration::from_secs(5);
/// How long a request waits for a picture after attaching: a parked decoder needs up to a group of
/// pictures to begin, usually one second.
const FIRST_PICTURE_WAIT: Duration = Duration::from_millis(1_500);
/// Pause between two looks while waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(40);
/// A look this much older than a request serves it too.
const SHARED_LOOK: Duration = Duration::from_millis(30);
/// A picture younger than this is good enough for a request that came while the ring was attached.
const RECENT: Duration = Duration::from_secs(1);

/// An encoded picture.
#[derive(Debug)]
pub struct Snapshot {
    pub jpeg: Bytes,
    pub stamp: PictureStamp,
    pub width: u32,
    pub height: u32,
}

/// Why there is no picture to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPicture {
    #[error("no camera '{name}' among the inputs of this page")]
    UnknownCamera { name: String },
    #[error("camera '{name}' has no frame ring among the inputs of this page")]
    NoFrames { name: String },
    #[error("camera '{name}' has no picture yet: {why}")]
    NotYet { name: String, why: String },
}

/// The cameras of the page and their newest pictures.
pub struct Desk {
    cameras: BTreeMap<String, Camera>,
    sources: Arc<dyn Sources>,
    encoders: Arc<Semaphore>,
    quality: u8,
}

struct Camera {
    ring: Option<RingName>,
    last_look: AtomicU64,
    tap: Arc<Mutex<Tap>>,
}

/// The state behind one camera. Its lock makes one request look and the others share what it saw.
#[derive(Default)]
struct Tap {
    reader: Option<Box<dyn PictureTap>>,
    attached: MonoNs,
    looked: MonoNs,
    snapshot: Option<Arc<Snapshot>>,
    /// Why the last look failed.
    why: Option<String>,
    passages: Passages,
}

impl Desk {
    /// `cameras` maps a name to its frame ring, if it has one.
    pub fn new(
        cameras: impl IntoIterator<Item = (String, Option<RingName>)>,
        sources: Arc<dyn Sources>,
        quality: u8,
    ) -> Self {
        let camera = |ring| Camera { ring, last_look: AtomicU64::new(0), tap: Arc::default() };
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            cameras: cameras.into_iter().map(|(name, ring)| (name, camera(ring))).collect(),
            sources,
            encoders: Arc::new(Semaphore::new((processors / 2).max(1))),
            quality,
        }
    }

    /// Whether there can be pictures of a camera.
    pub fn knows(&self, name: &str) -> Result<(), NoPicture> {
        self.camera(name).map(|_| ())
    }

    fn camera(&self, name: &str) -> Result<(&Camera, &RingName), NoPicture> {
        let unknown = || NoPicture::UnknownCamera { name: name.to_owned() };
        let camera = self.cameras.get(name).ok_or_else(unknown)?;
        let no_frames = || NoPicture::NoFrames { name: name.to_owned() };
        Ok((camera, camera.ring.as_ref().ok_or_else(no_frames)?))
    }

    /// The newest picture of a camera; waits a moment when nobody looked before.
    pub async fn newest(&self, name: &str) -> Result<Arc<Snapshot>, NoPicture> {
        let (camera, ring) = self.camera(name)?;
        let deadline = self.sources.now().mono + FIRST_PICTURE_WAIT;
        loop {
            let now = self.sources.now().mono;
            camera.last_look.store(now.0, Ordering::Relaxed);
            let tap = self.look(camera, ring, now).await;
            if let Some(snapshot) = tap.good_enough(now, deadline) {
                return Ok(snapshot);
            }
            // Without a ring there is nothing to wait for: whoever wants the picture asks again.
            if now >= deadline || tap.reader.is_none() {
                let why = tap.why.clone();
                let why = why.unwrap_or_else(|| format!("ring {ring} gave no frame so far"));
                return Err(NoPicture::NotYet { name: name.to_owned(), why });
            }
            drop(tap);
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// How long the pictures that were shown lately took, from `first` on; none of a camera that nobody looks at.
    pub async fn hops(&self, name: &str, first: Stage) -> Vec<Hop> {
        let Some((camera, ring)) =
            self.cameras.get(name).and_then(|it| Some((it, it.ring.as_ref()?)))
        else {
            return Vec::new();
        };
        let tap = camera.tap.lock().await;
        tap.passages.hops(ring, first, self.sources.now().mono)
    }

    /// Whether the camera's ring is attached now.
    pub fn is_watched(&self, name: &str) -> bool {
        let now = self.sources.now().mono;
        self.cameras.get(name).is_some_and(|camera| camera.is_watched(now))
    }

    /// Lets go of every camera nobody looks at any more.
    pub fn rest(&self, now: MonoNs) {
        for camera in self.cameras.values().filter(|camera| !camera.is_watched(now)) {
            // A held lock is a look in progress; the next round finds it done.
            if let Ok(mut tap) = camera.tap.try_lock() {
                *tap = Tap::default();
            }
        }
    }

    /// Looks at the ring, unless somebody did since this request was made.
    async fn look(&self, camera: &Camera, ring: &RingName, asked: MonoNs) -> OwnedMutexGuard<Tap> {
        let mut tap = Arc::clone(&camera.tap).lock_owned().await;
        if tap.looked + SHARED_LOOK >= asked {
            return tap;
        }
        let permit = Arc::clone(&self.encoders).acquire_owned().await;
        let (sources, ring, quality) = (Arc::clone(&self.sources), ring.clone(), self.quality);
        let looking = tokio::task::spawn_blocking(move || {
            tap.look(sources.as_ref(), &ring, quality);
            drop(permit);
            tap
        });
        match looking.await {
            Ok(tap) => tap,
            // A panic in the look: the guard went with it, the camera starts afresh.
            Err(panic) => {
                tracing::error!(%panic, "looking at a camera failed");
                let mut tap = Arc::clone(&camera.tap).lock_owned().await;
                *tap = Tap::default();
                tap
            }
        }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("cameras", &self.cameras.keys())
            .field("quality", &self.quality)
            .finish_non_exhaustive()
    }
}

impl Camera {
    fn is_watched(&self, now: MonoNs) -> bool {
        let last_look = self.last_look.load(Ordering::Relaxed);
        last_look != 0 && now.saturating_since(MonoNs(last_look)) < LOOK_LASTS
    }
}

impl Tap {
    fn look(&mut self, sources: &dyn Sources, ring: &RingName, quality: u8) {
        let now = sources.now().mono;
        self.looked = now;
        if self.reader.is_none() {
            match sources.open(ring) {
                Ok(reader) => {
                    self.reader = Some(reader);
                    self.attached = now;
                }
                Err(trouble) => {
                    self.why = Some(trouble.to_string());
                    return;
                }
            }
        }
        self.read(sources, quality);
    }

    fn read(&mut self, sources: &dyn Sources, quality: u8) {
        let Some(reader) = self.reader.as_mut() else {
            return;
        };
        let newest = reader.newest();
        let taken = sources.now().mono;
        let encoded = match newest {
            Ok(None) => return,
            Ok(Some(picture)) => jpeg::encode(&picture, quality)
                .map(|jpeg| (jpeg, picture))
                .map_err(|error| error.to_string()),
            Err(trouble) => {
                self.reader = None;
                Err(trouble.to_string())
            }
        };
        match encoded {
            Ok((jpeg, picture)) => {
                self.why = None;
                let encoded = sources.now().mono;
                self.passages.add(Passage { taken, encoded, ..picture.stamp.times.into() });
                self.snapshot = Some(Arc::new(Snapshot {
                    jpeg: jpeg.into(),
                    width: picture.width,
                    height: picture.height,
                    stamp: picture.stamp,
                }));
            }
            Err(why) => self.why = Some(why),
        }
    }

    /// A picture that may be shown now: a recent one; or an old one once the ring had its chance,
    /// because it is then the truth about this camera.
    fn good_enough(&self, now: MonoNs, deadline: MonoNs) -> Option<Arc<Snapshot>> {
        let snapshot = self.snapshot.as_ref()?;
        let recent = now.saturating_since(snapshot.stamp.arrival) < RECENT;
        let settled = now.saturating_since(self.attached) > FIRST_PICTURE_WAIT;
        (recent || settled || now >= deadline).then(|| Arc::clone(snapshot))
    }
}
