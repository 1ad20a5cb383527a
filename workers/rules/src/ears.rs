//! The record rings among the inputs: what is new in them, in the order of each.

use std::time::Duration;

use protocol::control::Condition;
use protocol::name::RingName;
use protocol::record::Record;
use protocol::time::{MonoNs, Stamp, UtcNs};
use shmring::{Next, Start, census, clock};
use worker::{Context, Fault, PacketInput};

use crate::notes::{Begin, FRESH, Place};

/// What is no record is passed over so often at a time: who writes nothing else holds up no other ring.
const PASSED_OVER_MAX: usize = 500;

/// A record, and its place in its ring.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) place: Place,
    /// When it was told.
    pub(crate) published: MonoNs,
    pub(crate) record: Record,
}

/// The moment that a record of `published` counts for: that of its telling, whenever it is read. After a kill or a pause
/// many are read at once, and what lasted a second lasted it all the same. Nobody tells of the future, or of long ago.
pub(crate) fn moment(published: MonoNs, now: Stamp) -> Stamp {
    let late = now.mono.saturating_since(published).min(FRESH);
    let late_ns = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
    Stamp {
        mono: MonoNs(now.mono.0.saturating_sub(late_ns)),
        utc: UtcNs(now.utc.0.saturating_sub(late_ns)),
    }
}

/// One ring that is listened to.
#[derive(Debug)]
pub(crate) struct Ear {
    input: PacketInput,
    place: Option<Place>,
    /// What is wrong was told of.
    told: bool,
}

impl Ear {
    /// Begins where `begin` says.
    pub(crate) fn new(cx: &Context, ring: &RingName, begin: Begin) -> Self {
        let place = match begin {
            Begin::Behind(place) => Some(place),
            Begin::Now => head(cx, ring),
            Begin::WithAll => None,
        };
        let start =
            place.map_or(Start::Oldest, |(epoch, sequence)| Start::After { epoch, sequence });
        Self { input: PacketInput::new(cx, ring, start), place, told: false }
    }

    pub(crate) fn ring(&self) -> &RingName {
        self.input.ring()
    }

    /// Of the last record read.
    pub(crate) fn place(&self) -> Option<Place> {
        self.place
    }

    /// Why nothing of it is heard, and whether that is to be waited for.
    pub(crate) fn lack(&self) -> Option<(Condition, String)> {
        self.input.lack()
    }

    /// The next record; `None` when there is none now.
    pub(crate) fn next(&mut self, cx: &Context) -> Result<Option<Read>, Fault> {
        for _ in 0..PASSED_OVER_MAX {
            match self.input.next_of_several(cx, Duration::ZERO)? {
                Some(Next::Item(packet)) => {
                    let (place, published) = ((packet.epoch, packet.sequence), packet.published);
                    self.place = Some(place);
                    match serde_json::from_slice(&packet.payload) {
                        Ok(record) => {
                            self.told = false;
                            return Ok(Some(Read { place, published, record }));
                        }
                        Err(error) => self.tell(&format!("holds what is no record: {error}")),
                    }
                }
                Some(Next::Overrun { missed }) if missed > 0 => {
                    tracing::error!(ring = %self.ring(), missed, "records lost: overwritten before they were read");
                }
                Some(Next::Overrun { .. } | Next::NewEpoch { .. } | Next::Evicted { .. }) => {}
                Some(Next::Ended | Next::Quiet) | None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Once, until it goes well again.
    fn tell(&mut self, trouble: &str) {
        if !std::mem::replace(&mut self.told, true) {
            tracing::error!(ring = %self.ring(), "{trouble}");
        }
    }
}

/// Of the newest record of a ring; `None` while it is not there, and so has none that is old.
fn head(cx: &Context, ring: &RingName) -> Option<Place> {
    let status = census::status(cx.project(), ring, clock::mono());
    (status.epoch != 0).then_some((status.epoch, status.head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> u64 {
        seconds * 1_000_000_000
    }

    #[test]
    fn a_record_counts_for_when_it_was_told_but_not_for_the_future_or_long_ago() {
        let now = Stamp { mono: MonoNs(s(500)), utc: UtcNs(s(9_000)) };
        let told = |at: u64| {
            let Stamp { mono, utc } = moment(MonoNs(s(at)), now);
            (mono.0 / s(1), utc.0 / s(1))
        };
        assert_eq!([told(500), told(497), told(501)], [(500, 9_000), (497, 8_997), (500, 9_000)]);
        assert_eq!([told(440), told(0)], [(440, 8_940), (440, 8_940)]);
    }
}
