//! Faults of docs/faults.md put into a real pipeline, in their short form. `scripts/verify supervision`
//! and `scripts/soak supervision` run the same checks at length; faults that need no media are in
//! `supervisor/tests/faults.rs`.

use tests::checks::{cycles, deaths, exits, faults, hangs, kills, many, order};

use crate::first_light::holds;

const SEED: u64 = 7;

#[test]
fn fault_01_an_analyzer_that_is_killed_costs_capture_nothing_and_its_place_is_free() {
    holds(|| deaths::an_analyzer_dies(10, SEED));
}

#[test]
fn fault_02_a_decoder_that_is_killed_costs_capture_nothing_and_pictures_resume() {
    holds(|| deaths::a_decoder_dies(10, SEED));
}

#[test]
fn fault_03_an_ingest_that_is_killed_costs_its_own_camera_the_time_it_is_away() {
    holds(|| deaths::an_ingest_dies(5, SEED));
}

#[test]
fn fault_04_a_recorder_that_is_killed_leaves_no_hole_and_files_that_play() {
    holds(|| kills::recording_survives(&[("recorder", 8)], SEED));
}

#[test]
fn fault_05_servers_that_are_killed_refuse_nobody() {
    holds(|| deaths::servers_die(6, SEED));
}

#[test]
fn fault_06_a_supervisor_that_is_killed_takes_all_with_it_and_the_files_play() {
    holds(|| kills::the_supervisor_takes_all_with_it(4));
}

#[test]
fn fault_09_a_worker_that_stands_still_is_started_again_and_nobody_waits_for_it() {
    holds(|| {
        hangs::workers_stand_still(&["motion", "cam1-decoder", "recorder", "rtsp", "web", "cam2"])
    });
}

#[test]
fn fault_10_a_supervisor_that_stood_still_loses_nothing_and_blames_nobody() {
    holds(|| hangs::the_supervisor_stands_still(6));
}

#[test]
fn fault_12_a_worker_that_ends_again_and_again_is_held() {
    holds(exits::who_ends_again_and_again_is_held);
}

#[test]
fn fault_17_a_worker_that_does_not_want_to_end_is_killed() {
    holds(exits::who_does_not_want_to_end_is_killed);
}

#[test]
fn fault_18_what_a_worker_started_ends_with_it() {
    holds(exits::who_has_a_family_takes_it_along);
}

#[test]
fn fault_19_many_deaths_leave_nothing_behind() {
    holds(|| cycles::nothing_is_left_of(60));
}

#[test]
fn fault_35_a_packet_that_kills_the_decoder_is_passed_over_and_kept() {
    holds(faults::a_packet_that_kills_is_passed_over_and_kept);
}

#[test]
fn sixty_four_cameras_are_recorded_without_loss() {
    // A debug build does a fifth of the work; `verify` takes 25 pictures a second.
    holds(|| many::cameras_are_recorded(64, 5, 10));
}

#[test]
fn a_publisher_behind_a_server_that_opens_its_port_late_starts_right() {
    holds(|| order::a_publisher_waits_for_its_late_server(3));
}
