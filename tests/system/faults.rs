//! Faults put into a real pipeline, in their short form.

use tests::checks::faults;

use crate::first_light::holds;

#[test]
fn fault_35_a_packet_that_kills_the_decoder_is_passed_over_and_kept() {
    holds(faults::a_packet_that_kills_is_passed_over_and_kept);
}
