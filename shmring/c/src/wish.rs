//! How a program wants to read: its options, parsed.

use std::path::Path;
use std::time::Duration;

use protocol::config::ReadPolicy;
use protocol::control::env;
use protocol::name::RingKind;
use shmring::{Policy, Start};

use crate::abi::{AttachOptions, policy, start};
use crate::error::Error;

/// How a program wants to read.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) reader: String,
    pub(crate) policy: Policy,
    /// `None` is the ring's own.
    pub(crate) quota: Option<u32>,
    pub(crate) max_fps: Option<u32>,
    /// Each so manyth frame.
    pub(crate) every: u32,
    /// Only frames that need no other one.
    pub(crate) key_only: bool,
    /// `None` is the kind's and policy's own.
    pub(crate) start: Option<Start>,
}

impl Wish {
    pub(crate) fn of(
        options: &AttachOptions,
        name: Option<&str>,
        kind: RingKind,
    ) -> Result<Self, Error> {
        let value =
            |what, seen: u32, expected| Error::Value { what, seen: u64::from(seen), expected };
        let (policy, told_every) = match options.policy {
            policy::DEFAULT => inherited(kind)?,
            policy::LATEST => (Policy::Latest, 1),
            policy::SEQUENTIAL => (Policy::Sequential, 1),
            seen => return Err(value("options.policy", seen, "an enum shmring_policy")),
        };
        let of_frames = [
            ("options.max_fps", options.max_fps),
            ("options.every", options.every),
            ("options.key_only", options.key_only),
        ];
        for (what, seen) in of_frames {
            if seen != 0 && kind != RingKind::Frames {
                return Err(value(what, seen, "0: it is for frame rings only"));
            }
        }
        if options.key_only > 1 {
            return Err(value("options.key_only", options.key_only, "0 or 1"));
        }
        if options.key_only == 1 && options.every > 1 {
            return Err(value("options.every", options.every, "0 beside key_only"));
        }
        if options.messages > 1 {
            return Err(value("options.messages", options.messages, "0 or 1"));
        }
        let above_zero = |value: u32| (value != 0).then_some(value);
        Ok(Self {
            reader: name.map_or_else(program_name, str::to_owned),
            policy,
            quota: above_zero(options.quota),
            max_fps: above_zero(options.max_fps),
            every: if options.every == 0 { told_every } else { options.every },
            key_only: options.key_only == 1,
            start: parse_start(options, kind)?,
        })
    }
}

/// For pictures what the supervisor says that started this program, else the newest each time; and of
/// the pictures each how manyth.
fn inherited(kind: RingKind) -> Result<(Policy, u32), Error> {
    let said = std::env::var(env::POLICY).unwrap_or_default();
    if said.is_empty() || kind != RingKind::Frames {
        return Ok((Policy::Latest, 1));
    }
    match said.parse() {
        Ok(ReadPolicy::Latest) => Ok((Policy::Latest, 1)),
        Ok(ReadPolicy::Every(number)) => Ok((Policy::Latest, number.max(1))),
        // What is essential is kept for its reader, which reads it in turn.
        Ok(ReadPolicy::Essential(_) | ReadPolicy::Sequential) => Ok((Policy::Sequential, 1)),
        Err(_) => Err(Error::Inherited { name: env::POLICY, said }),
    }
}

fn parse_start(options: &AttachOptions, kind: RingKind) -> Result<Option<Start>, Error> {
    let after = Start::After { epoch: options.after_epoch, sequence: options.after_sequence };
    Ok(match (options.start, kind) {
        (start::DEFAULT, _) => None,
        (start::NEWEST, _) => Some(Start::Newest),
        (start::NEWEST_KEY, RingKind::Packets) => Some(Start::NewestKey),
        (start::OLDEST, _) => Some(Start::Oldest),
        (start::AFTER, _) => Some(after),
        (seen, _) => {
            let expected = "an enum shmring_start, _NEWEST_KEY for packet rings only";
            return Err(Error::Value { what: "options.start", seen: u64::from(seen), expected });
        }
    })
}

/// Whoever has a supervisor may be started before its ring's writer.
pub(crate) fn default_wait() -> Duration {
    let has_supervisor = std::env::var_os(env::WORKER).is_some();
    if has_supervisor { Duration::MAX } else { Duration::ZERO }
}

/// What others see of this program unless it says something better.
pub(crate) fn program_name() -> String {
    let program = std::env::args_os().next().unwrap_or_default();
    let file = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned());
    file.unwrap_or_else(|| "program".to_owned())
}
