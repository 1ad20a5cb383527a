//! One binary of whole-system tests: the architecture, and the promises in their short form.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures a test saw are worth reading")]

mod architecture;
mod bench;
mod camera_clock;
mod chain;
mod changes;
mod codecs;
mod composing;
mod decoding;
mod disk_full;
mod doctor_examines;
mod drill;
mod encoding;
mod examples_of_help;
mod explained_commands_run;
mod exports;
mod faults;
mod faults_page;
mod first_light;
mod mixing;
mod packages;
mod passwords;
mod pipes;
mod playback;
mod publishers;
mod publishing;
mod recording;
mod recording_on_demand;
mod replay;
mod ring_verbs;
mod rtsp;
mod sources;
mod succession;
mod top_on_a_terminal;
mod topologies;
mod uploads;
