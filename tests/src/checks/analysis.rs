//! Everything that `scripts/verify analysis` shows: programs of one's own and models, written, run, harmful, killed,
//! tried beside others, pushing pictures.

use std::time::Duration;

use serde_json::{Value, json};

use super::detection::{self, Reads};
use super::{analyzers, five_commands, motion_cost, rings, streamview};
use crate::Outcome;
use crate::report::Report;

/// Records that are compared with the truth, and kills of the detector between them.
const PICTURES: usize = 300;
const KILLS: usize = 8;
/// What two engines may tell differently.
const ENGINES_APART: f64 = 1e-3;

pub fn promises(report: &mut Report) {
    report.promise("five_commands", five_commands::show_records);
    let stream = report.promise("streamview", || streamview::nothing_is_lost(60));
    report.target_at_least("streamview_fps", &stream["fps"], 29.9);
    models(report);
    report.promise("analyzers_that_do_harm", || analyzers::that_do_harm(Duration::from_secs(60)));
    let motion = report.promise("motion_of_16_cameras", || motion_cost::of_sixteen_cameras(22));
    report.target_below("motion_cores_of_16_cameras", &motion["cores_motion"], 0.5);
    for (row, names) in [
        ("from_an_empty_folder_in_each_language", &["new_analyzers::a_new"][..]),
        ("candidates_beside_what_is_in_use", &["shadows::"]),
        ("a_slate_where_pictures_stay_away", &["pushed::the_stream"]),
    ] {
        report.promise(row, || rings::named_tests("tests", "system", names));
    }
    report.promise("messages_examples_python", || {
        rings::named_tests("shmring-python", "python", &[])
    });
    report.promise("messages_c", || rings::named_tests("shmring-c", "c", &["programs::"]));
}

/// Boxes beside the truth of the very picture that a record names.
fn models(report: &mut Report) {
    let pictures = |keys: String| {
        move || detection::boxes_are_right_through_kills(Reads::Pictures, &keys, PICTURES, KILLS)
    };
    let ours = report.promise("detection_through_kills", pictures("engine: tract".to_owned()));
    report.target_at_least("detection_share_of_pictures", &ours["share"], detection::SHARE);
    report.promise("detection_of_tensors", || {
        detection::boxes_are_right_through_kills(Reads::Tensors, "engine: tract", PICTURES / 3, 2)
    });
    report.promise("detection_by_onnx_runtime", || match detection::onnxruntime() {
        Some(library) => pictures(format!("engine: onnxruntime\n    onnxruntime: '{library}'"))(),
        None => skipped(),
    });
    let engines = report.promise("detection_engines_agree", || match detection::onnxruntime() {
        Some(_) => rings::named_tests("detect", "shapes", &["both_engines_"]),
        None => skipped(),
    });
    report.target_below("detection_engines_apart", &engines["worst_difference"], ENGINES_APART);
    report.promise("detection_of_several_cameras", detection::cameras_share_a_detector);
}

fn skipped() -> Outcome<Value> {
    Ok(json!({ "skipped": "ORT_DYLIB_PATH names no library of ONNX Runtime" }))
}
