//! Analyzers that crash, leak, hang, scribble and leave children behind cost nobody else anything. At full length:
//! `scripts/soak analysis`.

use std::time::Duration;

use tests::checks::analyzers;

use crate::first_light::holds;

#[test]
fn analyzers_that_do_harm_cost_no_packet_and_why_says_what_each_did() {
    holds(|| analyzers::that_do_harm(Duration::from_secs(15)));
}
