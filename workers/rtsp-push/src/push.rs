//! The worker: reads the ring at its own pace, whatever the server does, and tells how sending goes.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use media::Target;
use protocol::config::{PushConfig, WorkerConfig};
use protocol::control::Condition;
use protocol::stream::Track;
use serde_json::Value;
use shmring::{Next, Packet, Start, clock};
use worker::{Context, Fault, PacketInput, STEP_WAIT, Step, Worker};

use crate::backlog::Unit;
use crate::sender::Sender;
use crate::shared::Shared;
use crate::state::State;

/// Steps without a packet after which the condition says so: 2 s.
const QUIET_STEPS: u32 = 20;
/// Longest wait for the sender at the end: its goodbye is sent by then or never.
const CLOSE: Duration = Duration::from_millis(1_500);
const CLOSE_POLL: Duration = Duration::from_millis(10);

/// `use: rtsp-push`.
#[derive(Debug)]
pub(crate) struct Push {
    input: PacketInput,
    /// As of the last packet.
    tracks: Arc<[Track]>,
    name: String,
    shared: Arc<Shared>,
    sender: JoinHandle<()>,
    quiet_steps: u32,
    /// Packets that were left out, as far as they are counted.
    dropped: u64,
}

impl Worker for Push {
    type Config = PushConfig;

    fn section(config: WorkerConfig) -> Option<PushConfig> {
        match config {
            WorkerConfig::RtspPush(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: PushConfig, cx: &mut Context) -> Result<Self, Fault> {
        let [ring] = cx.inputs() else {
            let seen = cx.inputs().len();
            return Err(Fault::contract(format!(
                "started with {seen} rings to read, expected one"
            )));
        };
        let input = PacketInput::new(cx, ring, Start::NewestKey);
        let name = config.to.to_string();
        let place = config.to.place();
        let target = Target { place, transport: config.transport, name: name.clone() };
        let shared = Arc::<Shared>::default();
        let sender = Sender::new(target, config.audio, Arc::clone(&shared), cx.stop_flag());
        let thread = thread::Builder::new().name("sender".to_owned());
        let sender = thread
            .spawn(move || sender.run())
            .map_err(|error| Fault::unavailable(format!("no thread to send with: {error}")))?;
        let tracks = Arc::default();
        Ok(Self { input, tracks, name, shared, sender, quiet_steps: 0, dropped: 0 })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        if self.sender.is_finished() && !cx.stopping() {
            return Err(Fault::failed("the thread that sends ended by itself"));
        }
        let next = self.input.next(cx, STEP_WAIT)?;
        let is_silent = matches!(next, Next::Quiet | Next::Ended);
        self.quiet_steps = if is_silent { self.quiet_steps.saturating_add(1) } else { 0 };
        match next {
            Next::Item(packet) => self.take(packet),
            Next::Overrun { .. } | Next::NewEpoch { .. } => self.shared.hole(),
            // Answered at once for as long as there is no successor.
            Next::Ended => thread::sleep(STEP_WAIT),
            // What is lost follows as an overrun.
            Next::Evicted { .. } | Next::Quiet => {}
        }
        self.tell(cx);
        Ok(Step::Again)
    }

    fn message(&mut self, _: &mut Context, message: Value) -> Result<Value, String> {
        if message.as_str() != Some("status") {
            return Err(format!(r#"{message}: expected "status""#));
        }
        Ok(self.shared.told().status(&self.name, clock::mono()))
    }

    /// Lets the sender take leave of the server.
    fn stop(&mut self, _: &mut Context) -> Result<(), Fault> {
        let deadline = clock::mono() + CLOSE;
        while !self.sender.is_finished() && clock::mono() < deadline {
            thread::sleep(CLOSE_POLL);
        }
        Ok(())
    }
}

impl Push {
    fn take(&mut self, packet: Packet) {
        if *self.tracks != *self.input.tracks() {
            self.tracks = self.input.tracks().into();
        }
        let has_video = self.tracks.first().is_some_and(|track| track.codec.is_video());
        let begins = !has_video || packet.meta.key && packet.meta.track == 0;
        self.shared.push(Unit { packet, tracks: Arc::clone(&self.tracks), begins });
    }

    fn tell(&mut self, cx: &mut Context) {
        let told = self.shared.told();
        cx.made(told.packets);
        cx.missed(told.dropped - self.dropped);
        self.dropped = told.dropped;
        // While the ring is absent, who reads it says so.
        if self.input.epoch() == 0 {
            return;
        }
        let is_idle = matches!(told.state, State::Begun | State::Connected { .. });
        let (condition, why) = if is_idle && self.quiet_steps >= QUIET_STEPS {
            (Condition::Waiting, format!("nothing comes from {}", self.input.ring()))
        } else {
            told.condition(&self.name, clock::mono())
        };
        cx.condition(condition, why);
    }
}
