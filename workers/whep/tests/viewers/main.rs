//! Viewers made of the same WebRTC stack, over UDP sockets on loopback, of cameras in real rings.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod system;

mod a_viewer_begins_at_once_and_gets_every_byte;
mod bad_offers_harm_nobody;
mod every_format_arrives_whole;
mod viewers_come_and_go;
