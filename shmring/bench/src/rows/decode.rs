//! Decoding into a ring that has a reader, against the same decoder drawing on its own heap. The program
//! that does both is the decoder's example `decode_cost`, because only the workers may name FFmpeg.

use std::process::Command;

use serde_json::Value;

use super::Plan;
use crate::Outcome;
use crate::report::{Report, Target};
use crate::stats::{Arm, Rounds};

/// The issue's: processor time by that of the same decode without a ring.
const RATIO: f64 = 1.03;

pub(super) fn row(report: &mut Report, plan: &Plan) -> Outcome<()> {
    let Some((program, clip)) = &plan.decode else {
        report.skipped("decode", "into a ring", "no `decode_cost` was built, or no clip was made");
        return Ok(());
    };
    let copied = std::cell::Cell::new(0);
    let pictures = std::cell::Cell::new((0, 0));
    let run = |how: &str| -> Outcome<Value> {
        let output = Command::new(program).arg(how).arg(clip).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let number = |value: &Value, key: &str| value[key].as_f64().ok_or(format!("no {key}"));
    let count = |value: &Value, key: &str| value[key].as_u64().unwrap_or(0);
    let mut arms = [
        Arm {
            name: "heap",
            measure: Box::new(|| {
                let seen = run("heap")?;
                pictures.set((count(&seen, "pictures"), pictures.get().1));
                Ok(number(&seen, "cpu_ms")?)
            }),
        },
        Arm {
            name: "ring",
            measure: Box::new(|| {
                let seen = run("ring")?;
                copied.set(copied.get() + count(&seen, "copied"));
                pictures.set((pictures.get().0, count(&seen, "pictures")));
                Ok(number(&seen, "cpu_ms")?)
            }),
        },
    ];
    let rounds = Rounds::measure(plan.rounds, &mut arms)?;
    drop(arms);
    let seen = rounds.compare("ring");
    report.target("decode", "into a ring", &seen, "ms CPU", Target::Ratio(RATIO));
    let copied = copied.get();
    report.must("decode", "nothing is copied", copied == 0, &format!("{copied} copies"));
    let (heap, ring) = pictures.get();
    let same = heap == ring && ring > 0;
    report.must("decode", "the same pictures", same, &format!("{ring} of {heap}"));
    Ok(())
}
