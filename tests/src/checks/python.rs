//! A Python program attached by ring name: zero-copy, read-only, and the right pixels.

use std::process::Command;

use serde_json::{Value, json};

use crate::project::{Project, source_root};
use crate::{Failure, Outcome, ensure, ffmpeg};

const WIDTH: usize = 320;
const HEIGHT: usize = 192;
/// Pictures in the source file; it loops, and the reader tells them apart by content.
const PICTURES: usize = 250;

/// Hashes of arrays in Python equal those of the same pictures decoded by ffmpeg.
pub fn arrays_equal_what_ffmpeg_decodes(arrays: u32) -> Outcome<Value> {
    let topology = "version: 1
workers:
  cam1: {use: ingest, source: '{dir}/f.mp4'}
  cam1-decoder: {use: decoder, in: cam1.packets}
";
    let project = Project::new(topology)?;
    let source = project.dir().join("f.mp4").display().to_string();
    let filter = format!("testsrc2=r=25:size={WIDTH}x{HEIGHT}");
    ffmpeg::make(&[
        "-f", "lavfi", "-i", &filter, "-t", "10", "-c:v", "libx264", "-pix_fmt", "yuv420p", &source,
    ])?;
    project.succeed(&["up", "-d"])?;
    // A ring that says nothing would be waited for for ever.
    let output = Command::new("timeout")
        .args(["120", &python()])
        .arg(source_root().join("tests/python/hash_frames.py"))
        .args([project.name().as_str(), "cam1.frames", &arrays.to_string(), &source])
        .env("PYTHONPATH", python_path()?)
        .output()
        .map_err(|error| Failure(format!("{}: {error}", python())))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("hash_frames.py: {}\n{said}", output.status))?;
    let figures: Value = serde_json::from_slice(&output.stdout).map_err(Failure::new)?;
    project.down()?;
    Ok(
        json!({ "arrays": figures["arrays"], "equal": figures["equal"], "pictures_in_source": PICTURES }),
    )
}

/// The interpreter that has numpy: Debian's, unless `PYTHON` says otherwise.
pub fn python() -> String {
    std::env::var("PYTHON").unwrap_or_else(|_| "/usr/bin/python3".into())
}

/// The folder with the built module.
pub fn python_path() -> Outcome<String> {
    let output = Command::new(source_root().join("scripts/python-path"))
        .output()
        .map_err(|error| Failure(format!("scripts/python-path: {error}")))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), || format!("scripts/python-path: {}\n{said}", output.status))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
