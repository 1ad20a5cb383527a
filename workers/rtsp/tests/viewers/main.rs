//! What viewers of a camera get, over real sockets and real rings.
#![expect(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking, and nothing is exported"
)]

mod film;
mod harness;
mod secured;

mod a_camera_may_restart_under_its_viewers;
mod a_late_viewer_begins_at_once;
mod a_recording_is_played;
mod bad_clients_harm_nobody;
mod datagrams_reach_their_viewers;
mod every_codec_reaches_its_players;
mod everybody_is_sent_everything;
mod ffmpeg_has_nothing_to_complain_about;
mod groups_are_shared;
mod only_who_may_comes_in;
mod pictures_come_through_tls;
mod tunnels_carry_rtsp_through_http;
