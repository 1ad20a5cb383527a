//! The cases of viewing over RTSP, in their short form; `scripts/verify rtsp` has them at length. Those of single
//! requests are tests of the worker: `every_answer_is_by_the_book`, `bad_clients_harm_nobody`.

use tests::checks::{rtsp_clients, rtsp_crowd, rtsp_onvif, rtsp_players, rtsp_sound, rtsp_units};
use tests::viewer::Over;

use crate::first_light::holds;

const SEED: u64 = 20_261_122;

/// R1, and the sound of R3 as it is heard.
#[test]
fn every_player_that_is_here_shows_every_picture_and_hears_the_tone_over_tcp() {
    let names: Vec<&str> = rtsp_players::PLAYERS.iter().map(|player| player.name).collect();
    holds(|| rtsp_clients::over_tcp(&names));
}

/// R3.
#[test]
fn picture_and_sound_are_described_and_begin_together() {
    holds(rtsp_sound::picture_and_sound_are_described);
}

/// R7.
#[test]
fn twenty_viewers_see_every_unit_for_less_than_a_processor() {
    holds(|| rtsp_crowd::everybody_sees_everything(20, 10));
}

#[test]
fn access_units_are_the_sources_byte_for_byte() {
    holds(|| rtsp_units::are_the_sources(Over::Tcp, 5));
}

#[test]
fn a_viewer_whose_server_is_killed_comes_again_and_sees_the_sources_units() {
    holds(|| rtsp_units::through_kills(2, SEED));
}

#[test]
fn late_viewers_begin_with_the_newest_key_frame_and_miss_nothing() {
    holds(|| rtsp_units::of_late_viewers(6, 50, SEED));
}

#[test]
fn the_cameras_are_found_by_discover() {
    holds(rtsp_onvif::discover_finds_the_cameras);
}

#[test]
fn the_cameras_are_found_by_a_client_library_of_others() {
    holds(rtsp_onvif::a_client_library_finds_them);
}
