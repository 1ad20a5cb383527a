//! A camera whose packets viewers by WebRTC get, and the page's server in front of it.
#![allow(dead_code, reason = "each test program uses its own part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use protocol::config::{RingConfig, WebrtcConfig};
use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;
use shmring::{PacketMeta, PacketWriter, census, clock};
use whep::Service;

const FRAME: Duration = Duration::from_millis(40);
/// Where viewers are told to send.
pub(crate) const LISTEN: &str = "127.0.0.1:8080";

/// Access units in their order, and which are key frames.
pub(crate) type Clip = Vec<(Vec<u8>, bool)>;

/// Units that look like H.264 from afar.
pub(crate) fn sketch() -> Clip {
    let unit = |number: u8| {
        let key = number.is_multiple_of(25);
        let head: &[u8] = if key {
            &[0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0, 0, 0, 1, 0x65]
        } else {
            &[0, 0, 0, 1, 0x41]
        };
        ([head, &[number + 1; 500]].concat(), key)
    };
    (0..50).map(unit).collect()
}

/// Of `cam1`, in a project of its own.
pub(crate) struct Camera {
    pub(crate) service: Service,
    project: ProjectName,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn ring() -> RingName {
    "cam1.packets".parse().expect("a ring name")
}

impl Camera {
    /// Plays `clip` over and over, at 25 units a second.
    pub(crate) fn play(codec: Codec, clip: Clip, config: WebrtcConfig) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let project = format!("webrtc{}-{number}", std::process::id());
        let project: ProjectName = project.parse().expect("a project name");
        let contract = RingContract::new(ring(), RingConfig::default(), 4);
        let mut writer =
            PacketWriter::create(&project, &contract, &[track(codec)]).expect("a ring");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let begun = clock::mono();
            for (number, (unit, key)) in (0u32..).zip(clip.iter().cycle()) {
                thread::sleep((begun + FRAME * number).saturating_since(clock::mono()));
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (stamp, pts_ns) = (clock::now(), i64::from(number) * 40_000_000);
                let meta = PacketMeta {
                    key: *key,
                    pts_ns,
                    dts_ns: pts_ns,
                    capture: stamp,
                    ingest: stamp.mono,
                    ..PacketMeta::default()
                };
                writer.publish(&meta, unit).expect("a live ring");
            }
        });
        let listen: SocketAddr = LISTEN.parse().expect("an address");
        let service = Service::start(&project, "web", &[ring()], config, listen);
        Self { service: service.expect("a thread"), project, stop, thread: Some(thread) }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the camera ends well");
        }
        self.service.stop();
        census::sweep(&self.project, &[ring()]);
    }
}

fn track(codec: Codec) -> Track {
    Track {
        codec,
        time_base: TimeBase::VIDEO_90K,
        width: 320,
        height: 240,
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (25, 1),
        extradata: Vec::new(),
    }
}
