//! The worker: takes what its sources have, and makes what is due.

use std::thread;
use std::time::Duration;

use protocol::config::{MixerConfig, WorkerConfig};
use protocol::time::MonoNs;
use serde_json::{Map, Value, json};
use shmring::clock;
use worker::{Context, Fault, STEP_WAIT, Step, Worker};

use crate::command;
use crate::loudness::{limited, to_i16};
use crate::out::{Out, block_of};
use crate::schedule::Schedule;
use crate::source::Source;
use crate::told::{Lack, in_words};

/// Blocks that are made at most before messages and the stop are looked at: a second.
const BLOCKS_A_STEP: usize = 50;
/// How often it looks how its sources do.
const LOOK: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(crate) struct MixerWorker {
    channels: usize,
    block: usize,
    sources: Vec<Source>,
    schedule: Schedule,
    /// `None` behind the end.
    out: Option<Out>,
    looked: MonoNs,
}

impl Worker for MixerWorker {
    type Config = MixerConfig;

    fn section(config: WorkerConfig) -> Option<MixerConfig> {
        match config {
            WorkerConfig::Mixer(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: MixerConfig, cx: &mut Context) -> Result<Self, Fault> {
        let Some(contract) = cx.output().cloned() else {
            return Err(Fault::contract("started without a ring to write, expected one"));
        };
        let channels = usize::try_from(config.channels.max(1)).unwrap_or(1);
        let rings = cx.inputs().to_vec();
        let source = |ring| Source::new(ring, config.of(ring), channels, cx);
        let sources = rings.iter().map(source).collect();
        let block = block_of(config.codec.codec());
        let out = Out::create(&config, &contract, cx)?;
        Ok(Self {
            channels,
            block: usize::try_from(block).unwrap_or(1),
            sources,
            schedule: Schedule::new(clock::mono(), block, config.wait),
            out: Some(out),
            looked: MonoNs(0),
        })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        let now = clock::mono();
        let given_up = self.schedule.skip(now);
        if !given_up.is_zero() {
            let seconds = given_up.as_secs();
            tracing::warn!(
                "{seconds} s of the mix are given up: this machine was asleep, or is too slow"
            );
        }
        let position = self.schedule.position();
        for source in &mut self.sources {
            source.read(position, now, cx)?;
        }
        cx.done();
        for _ in 0..BLOCKS_A_STEP {
            let Some(from) = self.schedule.take(now) else { break };
            self.mix(from, cx)?;
        }
        if now.saturating_since(self.looked) >= LOOK {
            self.looked = now;
            let lacks = self.lacks(now);
            let lacks: Vec<(&str, Option<Lack>)> =
                lacks.iter().map(|(name, lack)| (name.as_str(), lack.clone())).collect();
            let (condition, why) = in_words(&lacks);
            cx.condition(condition, why);
        }
        thread::sleep(self.schedule.rest(clock::mono()).min(STEP_WAIT));
        Ok(Step::Again)
    }

    fn message(&mut self, _cx: &mut Context, message: Value) -> Result<Value, String> {
        let rings: Vec<_> = self.sources.iter().map(|source| source.ring().clone()).collect();
        for change in command::read(&message, &rings)? {
            let Some(source) = self.sources.get_mut(change.source) else { continue };
            let mixed = source.mixed();
            mixed.gain = change.gain.unwrap_or(mixed.gain);
            mixed.mute = change.mute.unwrap_or(mixed.mute);
        }
        Ok(self.status())
    }

    fn stop(&mut self, cx: &mut Context) -> Result<(), Fault> {
        self.out.take().map_or(Ok(()), |out| out.finish(cx))
    }
}

impl MixerWorker {
    /// Makes the block that begins at `from`.
    fn mix(&mut self, from: i64, cx: &Context) -> Result<(), Fault> {
        let mut mix = vec![0.0; self.block * self.channels];
        for source in &mut self.sources {
            source.add_to(&mut mix, from);
        }
        let samples: Vec<i16> = mix.into_iter().map(|sum| to_i16(limited(sum))).collect();
        match &mut self.out {
            Some(out) => out.write(from, &samples, cx),
            None => Ok(()),
        }
    }

    /// Each source by its short name.
    fn lacks(&mut self, now: MonoNs) -> Vec<(String, Option<Lack>)> {
        let each = self.sources.iter_mut().map(|source| (short(source), source.lack(now)));
        each.collect()
    }

    fn status(&mut self) -> Value {
        let now = clock::mono();
        let mut sources = Map::new();
        for source in &mut self.sources {
            let lack = match source.lack(now) {
                None => Value::Null,
                Some(Lack::Absent(why) | Lack::Trouble(why)) => why.into(),
            };
            let (mixed, level) = (*source.mixed(), source.level());
            let told = json!({
                "gain": mixed.gain, "mute": mixed.mute, "level_db": level, "lacks": lack,
            });
            sources.insert(short(source), told);
        }
        json!({ "sources": sources })
    }
}

/// As `sources` of the topology calls it.
fn short(source: &Source) -> String {
    let ring = source.ring().as_str();
    ring.strip_suffix(".packets").unwrap_or(ring).to_owned()
}
