//! Recording, in its short form: `scripts/verify recording` and `scripts/soak recording` run the same checks
//! at length.

use tests::checks::{index, recording, storage};

use crate::first_light::holds;

const SEED: u64 = 7;

#[test]
fn d1_files_follow_on_without_a_hole_and_each_begins_with_a_key_frame() {
    holds(|| recording::files_follow_on(16, 5));
}

#[test]
fn a_recorder_that_is_killed_with_an_ingest_beside_it_leaves_every_packet_once_in_files_that_play()
{
    holds(|| recording::the_recorder_is_killed_again_and_again(12, SEED));
}

#[test]
fn fault_43_a_disk_that_fills_up_is_told_and_waited_for_and_live_pictures_go_on() {
    holds(|| storage::a_disk_fills_up_and_is_freed(2, SEED));
}

#[test]
fn fault_44_a_disk_that_hangs_is_told_as_slow_and_costs_no_restart_and_no_packet() {
    holds(|| storage::a_disk_hangs(6));
}

#[test]
fn fault_45_a_disk_that_fails_now_and_then_costs_nothing_the_ring_holds() {
    holds(|| storage::a_disk_fails_now_and_then(3, SEED));
}

#[test]
fn fault_46_a_disk_that_is_unmounted_is_alarmed_and_nothing_is_written_in_its_place() {
    holds(storage::a_disk_is_unmounted_and_comes_back);
}

#[test]
fn fault_48_an_index_that_is_lost_or_damaged_comes_back_from_the_files() {
    holds(index::an_index_that_is_lost_comes_back);
}
