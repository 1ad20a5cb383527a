//! What a decoder makes of one camera for different readers, and of broken streams.

use std::time::Duration;

use serde_json::json;
use shmring::{FrameOptions, FrameReader, Next};
use tests::checks::mutated;
use tests::project::Project;
use tests::{Failure, Outcome, ensure, wait_for};

use crate::first_light::holds;

#[test]
fn broken_streams_of_six_codecs_leave_their_decoders_alive_and_answering() {
    holds(|| mutated::streams(34, 20_261_120));
}

#[test]
fn one_decoder_serves_readers_of_other_sizes_and_says_when_hardware_is_missing() {
    holds(outputs);
}

const FALL_BACK: &str = "the processor does it";

fn outputs() -> Outcome<serde_json::Value> {
    let project = Project::new(
        "version: 1
workers:
  cam: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}
  decode:
    use: decoder
    in: cam.packets
    hardware: vaapi
    outputs: {small: {size: 160x96, format: rgb24}, gray: {format: gray8}}
  look: {use: motion, in: cam.gray.frames}
",
    )?;
    let graph = project.succeed(&["graph"])?;
    let drawn = ["├─ cam.frames", "├─ cam.gray.frames", "└─ cam.small.frames", "look (motion)"];
    for part in drawn {
        ensure(graph.contains(part), || format!("graph does not draw {part}:\n{graph}"))?;
    }
    let plan = project.succeed(&["plan"])?;
    ensure(plan.contains("pictures of 160x96"), || format!("plan:\n{plan}"))?;
    project.up()?;

    let ring = Project::ring("cam.small.frames")?;
    let options = FrameOptions::named("test");
    let attach = || FrameReader::attach(project.name(), &ring, &options).ok();
    let (mut reader, _) = wait_for(60, "cam.small.frames", attach)?;
    let mut taken = 0;
    let picture = || {
        if let Ok(Next::Item(frame)) = reader.next(Duration::from_millis(100)) {
            taken += u32::from(frame.meta().content.to_string() == "160x96 rgb24");
        }
        (taken == 25).then_some(())
    };
    wait_for(60, "pictures in cam.small.frames", picture)?;
    let heads = |name: &str| -> Outcome<u64> {
        let ring = Project::ring(name)?;
        let rings = project.rings()?;
        let found = rings.iter().find(|status| status.name == ring);
        found.map(|status| status.head).ok_or_else(|| Failure(format!("no ring {name}")))
    };
    let is_fed = || (heads("cam.gray.frames").ok()? > 0).then_some(());
    wait_for(60, "pictures for motion to look at", is_fed)?;
    ensure(heads("cam.frames")? == 0, || "cam.frames is made, and nobody reads it".to_owned())?;

    // A machine with such hardware has nothing to say.
    if !std::path::Path::new("/dev/dri").exists() {
        let told = || project.worker("decode").ok()?.why.contains(FALL_BACK).then_some(());
        wait_for(60, "ps to tell of the missing hardware", told)?;
        let is_logged = || {
            let logs = project.succeed(&["logs", "decode"]).ok()?;
            logs.contains("Vaapi does not decode").then_some(())
        };
        wait_for(60, "the log to tell of it", is_logged)?;
    }
    project.down()?;
    Ok(json!({"pictures": taken}))
}
