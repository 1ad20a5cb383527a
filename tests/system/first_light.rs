//! The promises of the whole pipeline on real input. The machine has few cores, so one system runs at a time.

use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tests::Outcome;
use tests::checks::{clean, errors, pages, python};

pub(crate) static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[track_caller]
pub(crate) fn holds(check: impl FnOnce() -> Outcome<Value>) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    match check() {
        Ok(figures) => println!("{figures}"),
        Err(failure) => panic!("{failure}"),
    }
}

#[test]
fn nothing_captured_is_lost() {
    holds(|| clean::nothing_is_lost(6));
}

#[test]
fn a_file_is_a_camera() {
    holds(|| clean::a_file_is_a_camera(6));
}

#[test]
fn only_who_demuxes_loads_a_demuxer() {
    holds(clean::only_who_demuxes_loads_a_demuxer);
}

#[test]
fn rtsp_frame_numbers_rise_by_one() {
    holds(|| clean::rtsp_is_exact(4));
}

#[test]
fn the_picture_on_the_page_advances() {
    holds(pages::the_picture_on_the_page_advances);
}

#[test]
fn python_arrays_equal_what_ffmpeg_decodes() {
    holds(|| python::arrays_equal_what_ffmpeg_decodes(100));
}

#[test]
fn every_mistake_is_told_with_place_and_cure() {
    holds(errors::every_row_says_what_where_and_what_to_do);
}
