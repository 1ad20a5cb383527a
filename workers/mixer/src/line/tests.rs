//! Sources with clocks and networks of their own come to lie where they were heard.

use super::*;

/// 20 ms at 8 kHz.
const BLOCK: usize = 160;
const BLOCK_NS: i64 = 20_000_000;
/// When the source began to be heard.
const ZERO_NS: i64 = 1_000_000_000_000;
const ZERO: i64 = 48_000_000;

struct Source {
    line: Line,
    store: Store,
}

impl Source {
    fn new() -> Self {
        Self { line: Line::new(1), store: Store::new(1) }
    }

    /// A block whose time on the source's own clock is `pts_ns`, of samples of this value.
    fn hear(&mut self, pts_ns: i64, captured_ns: i64, value: f32) -> Unused {
        let samples = [value; BLOCK];
        let block = Block { pts_ns, captured_ns, rate_hz: 8_000, samples: &samples, anew: false };
        self.line.take(&block, &mut self.store, ZERO)
    }

    /// Samples of the mix from so many behind the begin on.
    fn mixed(&mut self, from: i64, count: usize) -> Vec<f32> {
        let mut mix = vec![0.0; count];
        self.store.add_to(&mut mix, ZERO + from, [1.0, 1.0]);
        mix
    }

    /// Where in samples of the mix the next input lies, behind the begin.
    fn place(&self) -> f64 {
        -self.line.off(ZERO)
    }
}

#[test]
fn samples_lie_where_they_were_captured_whatever_their_own_times_are() {
    let mut source = Source::new();
    for n in 0..10 {
        source.hear(77 + n * BLOCK_NS, ZERO_NS + n * BLOCK_NS, 0.5);
    }
    let mixed = source.mixed(-100, 9_000);
    assert!(mixed[..100].iter().all(|sample| *sample == 0.0));
    // Behind the first samples' own steepness, and before the last that the filter still holds.
    assert!(mixed[300..9_000].iter().all(|sample| (sample - 0.5).abs() < 0.01));
}

#[test]
fn what_the_network_delays_does_not_move_the_line() {
    let mut source = Source::new();
    for n in 0..200i64 {
        let late_ns = [0, 30, 5, 60, 15][usize::try_from(n % 5).unwrap()] * 1_000_000;
        source.hear(n * BLOCK_NS, ZERO_NS + n * BLOCK_NS + late_ns, 0.5);
    }
    assert!((source.place() - 200.0 * 960.0).abs() <= NEAR, "{}", source.place());
}

#[test]
fn lost_packets_are_silence_and_shift_nothing() {
    let mut source = Source::new();
    for n in (0..10).chain(15..25) {
        source.hear(n * BLOCK_NS, ZERO_NS + n * BLOCK_NS, 0.5);
    }
    let mixed = source.mixed(0, 25 * 960 - 200);
    assert!(mixed[10 * 960 + 10..15 * 960 - 10].iter().all(|sample| *sample == 0.0));
    assert!(mixed[15 * 960 + 300..].iter().all(|sample| (sample - 0.5).abs() < 0.01));
}

#[test]
fn a_clock_that_drifts_is_followed_without_a_joint() {
    let mut source = Source::new();
    // 300 millionths fast for half a minute: without it 432 samples off.
    let mut last = 0.0;
    for n in 0..1_500i64 {
        let captured_ns = ZERO_NS + n * BLOCK_NS + n * BLOCK_NS * 3 / 10_000;
        source.hear(n * BLOCK_NS, captured_ns, 0.5);
        let place = source.place();
        // 960 samples a block, and never a jump.
        assert!(n == 0 || (place - last - 960.0).abs() < 2.0, "block {n}: {}", place - last);
        last = place;
    }
    let wanted = 1_500.0 * 960.0 * 1.0003;
    // Behind by what the shortest distance of four seconds is behind by.
    assert!((last - wanted).abs() < 150.0, "{} off", last - wanted);
}

#[test]
fn a_source_that_begins_again_lies_where_it_is_heard_again() {
    let mut source = Source::new();
    source.hear(0, ZERO_NS, 0.5);
    let far_ns = 400 * BLOCK_NS;
    let samples = [0.25; BLOCK];
    let block = Block {
        pts_ns: 3,
        captured_ns: ZERO_NS + far_ns,
        rate_hz: 8_000,
        samples: &samples,
        anew: true,
    };
    source.line.take(&block, &mut source.store, ZERO);
    assert!((source.place() - 401.0 * 960.0).abs() < 2.0);
    assert!((source.mixed(384_000, 860)[400] - 0.25).abs() < 0.01);
}

#[test]
fn a_source_whose_times_step_back_unsaid_lies_where_it_is_heard_again() {
    let mut source = Source::new();
    for n in 0..100 {
        source.hear(3_600_000_000_000 + n * BLOCK_NS, ZERO_NS + n * BLOCK_NS, 0.5);
    }
    source.hear(0, ZERO_NS + 100 * BLOCK_NS, 0.5);
    assert!((source.place() - 101.0 * 960.0).abs() < 2.0, "{}", source.place());
}

#[test]
fn what_comes_after_its_time_was_mixed_is_told() {
    let mut source = Source::new();
    let unused = source.hear(0, ZERO_NS - 1_000_000_000, 0.5);
    assert!(unused.late > 700, "{unused:?}");
}
