//! The worker: feeds in its own thread, takes in another, and says how both are.

use std::time::Duration;

use protocol::config::{Pace, PipeConfig, WorkerConfig};
use protocol::control::{Condition, env};
use worker::{Context, Fault, STEP_WAIT, Step, Worker};

use crate::end::PipeEnd;
use crate::feed::Feed;
use crate::take::Take;

/// Most of the time a step has when there is nothing to feed.
const PAUSE: Duration = Duration::from_millis(20);

/// The pipe worker.
#[derive(Debug)]
pub struct Pipe {
    feed: Option<Feed>,
    take: Option<Take>,
}

impl Worker for Pipe {
    type Config = PipeConfig;

    fn section(config: WorkerConfig) -> Option<PipeConfig> {
        match config {
            WorkerConfig::Pipe(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: PipeConfig, cx: &mut Context) -> Result<Self, Fault> {
        let command = config.command.as_str();
        let feed = match (config.feeds, cx.inputs()) {
            (false, _) => None,
            (true, [ring]) => {
                let end = PipeEnd::new(cx.inherited(env::STDIN_FD)?)?;
                Some(Feed::new(cx, ring, config.policy, end, command))
            }
            (true, inputs) => {
                let seen = inputs.len();
                return Err(Fault::contract(format!(
                    "a command's stdin takes one ring, got {seen}"
                )));
            }
        };
        let take = match (config.makes, cx.output().cloned()) {
            (None, _) => None,
            (Some(makes), Some(contract)) => {
                let end = PipeEnd::new(cx.inherited(env::STDOUT_FD)?)?;
                let is_live = config.pace() == Pace::Live;
                Some(Take::start(cx, makes, is_live, &contract, end, command)?)
            }
            (Some(_), None) => {
                return Err(Fault::contract(
                    "a command's stdout needs a ring, but none was handed over",
                ));
            }
        };
        Ok(Self { feed, take })
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        let taking = match &mut self.take {
            Some(take) => Some(take.status(cx)?),
            None => None,
        };
        let feeding = match &mut self.feed {
            Some(feed) => Some(feed.step(cx, STEP_WAIT)?),
            None => {
                std::thread::sleep(PAUSE);
                None
            }
        };
        let (condition, why) = worse(feeding, taking);
        cx.condition(condition, why);
        Ok(Step::Again)
    }

    fn stop(&mut self, _: &mut Context) -> Result<(), Fault> {
        // Closing its stdin tells the command that nothing follows.
        self.feed = None;
        self.take.take().map_or(Ok(()), Take::finish)
    }
}

type Told = (Condition, String);

/// Of two directions, the one that a person should hear of; where both are alike what comes in, as
/// without that nothing can go out.
fn worse(feeding: Option<Told>, taking: Option<Told>) -> Told {
    let rank = |told: &Told| match told.0 {
        Condition::Degraded => 3,
        Condition::Waiting => 2,
        Condition::Parked => 1,
        Condition::Flowing => 0,
    };
    // The last of the highest.
    let all = taking.into_iter().chain(feeding);
    all.max_by_key(rank).unwrap_or((Condition::Waiting, String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_directions_the_one_in_trouble_is_told() {
        let told = |condition, why: &str| Some((condition, why.to_owned()));
        let flowing = || told(Condition::Flowing, "");
        let degraded = || told(Condition::Degraded, "full");
        assert_eq!(worse(flowing(), degraded()).0, Condition::Degraded);
        assert_eq!(worse(degraded(), flowing()).1, "full");
        assert_eq!(worse(None, flowing()).0, Condition::Flowing);
        let (absent, mute) = (told(Condition::Waiting, "absent"), told(Condition::Waiting, "mute"));
        assert_eq!(worse(absent, mute).1, "absent");
    }
}
