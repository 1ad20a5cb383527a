//! One supervisor after another: upgrades, and deaths that ingest and recorder outlive.

use tests::checks::succession;

use crate::first_light::holds;

#[test]
fn upgrades_are_noticed_by_no_worker_no_file_and_no_viewer() {
    holds(|| succession::upgrades_are_not_noticed(3));
}

#[test]
fn fault_07_a_killed_supervisor_is_followed_and_ingest_and_recorder_are_adopted() {
    holds(|| succession::the_adopted_go_on(2));
}

#[test]
fn fault_07_workers_that_nobody_adopts_end_themselves() {
    holds(succession::who_is_not_adopted_ends);
}

#[test]
fn fault_07_a_killed_guard_takes_the_adopted_along() {
    holds(succession::the_end_of_the_guard_ends_the_adopted);
}
