//! {name}: how bright each picture is that it is given, as records.
//!
//! framevisor starts it. `framevisor tap {name}.events` shows what it finds, `framevisor logs {name}` what it
//! prints, and `framevisor send {name} '{"threshold": 100}'` changes what is worth a record while it runs.

use serde_json::{Value, json};
use shmring::{Analyzer, Frame, Given};

fn main() -> Result<(), shmring::Error> {
    let mut threshold = 0.0;
    // Which ring, and how often, the topology says.
    let mut analyzer = Analyzer::start("{name}")?;
    loop {
        match analyzer.next()? {
            Given::Frame(frame) => {
                if let Some(found) = look(&frame, threshold) {
                    analyzer.emit("brightness", &frame, found)?;
                }
            }
            Given::Message(message) => {
                let answer = match message.data["threshold"].as_f64() {
                    Some(wanted) => {
                        threshold = wanted;
                        Ok(json!({"threshold": threshold}))
                    }
                    None => Err("expected {\"threshold\": NUMBER}".to_owned()),
                };
                analyzer.reply(&message, answer)?;
            }
            Given::Stop => return Ok(()),
        }
    }
}

/// What is in a picture, if it is worth telling.
fn look(frame: &Frame, threshold: f64) -> Option<Value> {
    let luma = frame.plane(0)?;
    let mut row = vec![0; luma.row_bytes()];
    let (mut sum, mut count) = (0_u64, 0_u64);
    for y in (0..luma.rows()).step_by(4) {
        luma.copy_row(y, &mut row);
        sum += row.iter().map(|sample| u64::from(*sample)).sum::<u64>();
        count += row.len() as u64;
    }
    let brightness = sum as f64 / count.max(1) as f64;
    (brightness >= threshold).then(|| json!({"brightness": (brightness * 10.0).round() / 10.0}))
}
