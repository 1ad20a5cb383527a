//! Items counted, and the figures they come to. Pure: times are arguments.

use std::collections::VecDeque;

use protocol::time::{MonoNs, Stamp};
use serde::Serialize;

use crate::cli::table;

/// Newest values that medians are taken of: half an hour at 60 pictures a second.
const VALUES_MAX: usize = 100_000;

/// One item, by its stamps. Zero is "not said".
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Item {
    pub(super) capture: Stamp,
    pub(super) ingest: MonoNs,
    pub(super) decoded: MonoNs,
    pub(super) published: MonoNs,
    /// When this process had it.
    pub(super) here: MonoNs,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    items: u64,
    bytes: u64,
    missed: u64,
    gaps: u64,
    restarts: u64,
    first: Option<MonoNs>,
    /// Published time of the item before; `None` behind a gap.
    last: Option<MonoNs>,
    span_ns: u64,
    intervals: Spread,
    hops: [Spread; 4],
}

/// The way of an item, hop by hop.
pub(super) const HOPS: [&str; 4] =
    ["capture -> ingest", "ingest -> decoded", "-> published", "published -> here"];

impl Tally {
    pub(super) fn item(&mut self, item: &Item) {
        self.items += 1;
        self.bytes += item.bytes;
        if let Some(last) = self.last {
            self.intervals.add(ns(last, item.published));
        }
        let first = *self.first.get_or_insert(item.published);
        self.span_ns = ns(first, item.published);
        self.last = Some(item.published);
        for (hop, took) in self.hops.iter_mut().zip(hops(item)) {
            took.into_iter().for_each(|took| hop.add(took));
        }
    }

    /// What comes next does not follow what came before.
    pub(super) fn gap(&mut self, missed: u64) {
        self.missed += missed;
        self.gaps += 1;
        self.last = None;
    }

    /// The writer was started again.
    pub(super) fn restart(&mut self) {
        self.restarts += 1;
        self.last = None;
    }

    pub(super) fn figures(&self) -> Figures {
        let seconds = table::real(self.span_ns) / 1e9;
        // The first item only begins the time.
        let per_s = |count: u64| (seconds > 0.0).then(|| table::real(count) / seconds);
        let mean_bytes = table::real(self.bytes) / table::real(self.items.max(1));
        let rate_hz = per_s(self.items.saturating_sub(1));
        Figures {
            items: self.items,
            missed: self.missed,
            gaps: self.gaps,
            restarts: self.restarts,
            seconds,
            rate_hz,
            bytes_per_s: rate_hz.map(|rate| rate * mean_bytes),
            interval_ms: self.intervals.summary(),
            latency_ms: Hops {
                capture_to_ingest: self.hops[0].summary(),
                ingest_to_decoded: self.hops[1].summary(),
                to_published: self.hops[2].summary(),
                published_to_here: self.hops[3].summary(),
            },
        }
    }
}

/// As far as the stages have put their stamps.
fn hops(item: &Item) -> [Option<u64>; 4] {
    let said = |time: MonoNs| (time.0 != 0).then_some(time);
    let (capture, ingest, decoded) =
        (said(item.capture.mono), said(item.ingest), said(item.decoded));
    let took = |from: Option<MonoNs>, to: Option<MonoNs>| Some(ns(from?, to?));
    let published = Some(item.published);
    [
        took(capture, ingest),
        took(ingest, decoded),
        took(decoded.or(ingest).or(capture), published),
        took(published, Some(item.here)),
    ]
}

fn ns(from: MonoNs, to: MonoNs) -> u64 {
    to.0.saturating_sub(from.0)
}

#[derive(Clone, Debug, Default)]
struct Spread {
    values: VecDeque<u64>,
}

impl Spread {
    fn add(&mut self, value: u64) {
        if self.values.len() == VALUES_MAX {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    fn summary(&self) -> Option<Summary> {
        let mut sorted: Vec<u64> = self.values.iter().copied().collect();
        sorted.sort_unstable();
        // The smallest value that so many per cent do not exceed.
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1);
            sorted.get(rank - 1).map(|ns| table::real(*ns) / 1e6)
        };
        let min = sorted.first().map(|ns| table::real(*ns) / 1e6)?;
        Some(Summary { min, median: at(50)?, p99: at(99)?, max: at(100)? })
    }
}

/// Of many values, in ms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) min: f64,
    pub(super) median: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

/// What was measured of one ring; `null` where nothing was.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub(super) items: u64,
    /// Overwritten before they were read.
    pub(super) missed: u64,
    /// How often something was missing.
    pub(super) gaps: u64,
    /// New epochs.
    pub(super) restarts: u64,
    /// From the first item's publication to the last one's.
    pub(super) seconds: f64,
    pub(super) rate_hz: Option<f64>,
    pub(super) bytes_per_s: Option<f64>,
    pub(super) interval_ms: Option<Summary>,
    pub(super) latency_ms: Hops,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Hops {
    pub(super) capture_to_ingest: Option<Summary>,
    pub(super) ingest_to_decoded: Option<Summary>,
    pub(super) to_published: Option<Summary>,
    pub(super) published_to_here: Option<Summary>,
}

impl Hops {
    /// In the order of [`HOPS`].
    pub(super) fn in_order(&self) -> [Option<Summary>; 4] {
        [self.capture_to_ingest, self.ingest_to_decoded, self.to_published, self.published_to_here]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn item(published_ms: u64) -> Item {
        let at = |ms: u64| MonoNs(ms * MS);
        Item {
            capture: Stamp { mono: at(published_ms - 9), ..Stamp::default() },
            ingest: at(published_ms - 7),
            decoded: at(published_ms - 2),
            published: at(published_ms),
            here: at(published_ms + 1),
            bytes: 1000,
        }
    }

    #[test]
    fn a_steady_ring_has_its_rate_its_jitter_and_its_hops() {
        let mut tally = Tally::default();
        for number in 0..=100 {
            // Every tenth is 4 ms late.
            let late = if number % 10 == 5 { 4 } else { 0 };
            tally.item(&item(1000 + number * 40 + late));
        }
        let figures = tally.figures();
        assert_eq!((figures.items, figures.rate_hz), (101, Some(25.0)));
        assert_eq!(figures.bytes_per_s, Some(25_000.0));
        let interval = Summary { min: 36.0, median: 40.0, p99: 44.0, max: 44.0 };
        assert_eq!(figures.interval_ms, Some(interval));
        let medians = figures.latency_ms.in_order().map(|hop| hop.unwrap().median);
        assert_eq!(medians, [2.0, 5.0, 2.0, 1.0]);
    }

    #[test]
    fn what_is_missing_is_counted_and_is_no_interval() {
        let mut tally = Tally::default();
        tally.item(&item(1000));
        tally.gap(25);
        tally.item(&item(2040));
        tally.restart();
        tally.item(&item(9000));
        let figures = tally.figures();
        assert_eq!((figures.missed, figures.gaps, figures.restarts), (25, 1, 1));
        assert_eq!(figures.interval_ms, None);
    }

    #[test]
    fn a_stage_that_put_no_stamp_has_no_hop() {
        let mut tally = Tally::default();
        let packet = Item { decoded: MonoNs(0), ..item(1000) };
        tally.item(&packet);
        let hops = tally.figures().latency_ms;
        assert_eq!((hops.ingest_to_decoded, hops.to_published.unwrap().max), (None, 7.0));
    }

    #[test]
    fn nothing_is_null_everywhere() {
        let figures = Tally::default().figures();
        assert_eq!((figures.rate_hz, figures.bytes_per_s, figures.items), (None, None, 0));
        assert_eq!(figures.interval_ms, None);
    }
}
