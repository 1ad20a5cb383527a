//! Models over pictures with known contents.

use tests::checks::detection::{self, Reads};

use crate::first_light::holds;

#[test]
fn boxes_are_right_through_kills_of_the_detector() {
    holds(|| detection::boxes_are_right_through_kills(Reads::Pictures, "engine: tract", 90, 2));
}

#[test]
fn boxes_of_onnx_runtime_are_right_too() {
    let Some(library) = detection::onnxruntime() else {
        println!("skipped: ORT_DYLIB_PATH names no library of ONNX Runtime");
        return;
    };
    let keys = format!("engine: onnxruntime\n    onnxruntime: '{library}'");
    holds(|| detection::boxes_are_right_through_kills(Reads::Pictures, &keys, 90, 2));
}

#[test]
fn boxes_are_right_where_the_decoder_makes_the_models_numbers() {
    holds(|| detection::boxes_are_right_through_kills(Reads::Tensors, "engine: tract", 60, 1));
}

#[test]
fn what_is_missing_for_a_model_is_told_and_it_is_run_all_the_same() {
    holds(detection::a_missing_provider_is_told_and_something_else_runs_the_model);
}

#[test]
fn cameras_with_the_same_model_share_a_detector() {
    holds(detection::cameras_share_a_detector);
}
