//! The page in a real browser.

use std::path::Path;

use serde_json::{Value, json};

use super::two_cameras;
use crate::browser::Browser;
use crate::{Failure, Outcome, ensure, framecode, shot_folder, wait_for};

/// Draws the picture of the camera whose numbers never begin anew, and returns its gray strips.
const READ_PICTURE: &str = r#"(() => {
  const tile = document.querySelector('.tile[data-camera="cam1"]');
  if (!tile) return null;
  // What it shows: live video, or pictures one by one.
  const video = tile.dataset.plays === 'true' ? tile.querySelector('video') : null;
  const shows = video?.videoWidth > 0 && video.readyState > 1;
  const img = shows ? video : [...tile.querySelectorAll('img')].find(i => i.complete && i.naturalWidth > 0);
  if (!img) return null;
  const canvas = document.createElement('canvas');
  const [w, h] = [img.videoWidth ?? img.naturalWidth, img.videoHeight ?? img.naturalHeight];
  canvas.width = w; canvas.height = h;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(img, 0, 0);
  const gray = rows => {
    const data = context.getImageData(0, rows, w, 16).data;
    return Array.from({ length: w * 16 }, (_, i) => data[i * 4 + 1]);
  };
  return { width: w, top: gray(0), bottom: gray(h - 16) };
})()"#;

/// Reads the frame code from the page twice: it advanced, and top equals bottom each time.
pub fn the_picture_on_the_page_advances() -> Outcome<Value> {
    let Some(program) = Browser::find() else {
        return Ok(json!({ "skipped": "no chromium here" }));
    };
    let running = two_cameras("")?;
    running.project.up()?;
    let mut browser = Browser::open(program, &running.web_url())?;
    let first = wait_for_number(&mut browser)?;
    let later = || match read_number(&mut browser) {
        Ok(number) => number.filter(|number| *number > first).map(Ok),
        Err(failure) => Some(Err(failure)),
    };
    let second = wait_for(60, "a later picture on the page", later)?.0?;
    let shot = shot_folder().join("page.png");
    browser.screenshot(&shot)?;
    running.project.down()?;
    Ok(json!({ "first": first, "later": second, "screenshot": name_of(&shot) }))
}

fn name_of(file: &Path) -> String {
    file.display().to_string()
}

fn wait_for_number(browser: &mut Browser) -> Outcome<u32> {
    let number = || read_number(browser).transpose();
    wait_for(60, "a picture on the page", number)?.0
}

/// `None` while no picture is there; a picture that is there and damaged is a failure.
fn read_number(browser: &mut Browser) -> Outcome<Option<u32>> {
    let strips = browser.evaluate(READ_PICTURE)?;
    let pixels = |name: &str| -> Vec<u8> {
        let values = strips[name].as_array().map(Vec::as_slice).unwrap_or_default();
        values.iter().filter_map(|value| u8::try_from(value.as_u64()?).ok()).collect()
    };
    let Some(width) = strips["width"].as_u64().and_then(|width| usize::try_from(width).ok()) else {
        return Ok(None);
    };
    let gray = [pixels("top"), pixels("bottom")].concat();
    ensure(gray.len() == 2 * framecode::STRIP_ROWS * width, || "the strips are incomplete".into())?;
    match framecode::read(&gray, width) {
        (Some(top), Some(bottom)) if top == bottom => Ok(Some(top)),
        other => Err(Failure(format!("the frame code reads {other:?}: a torn or damaged picture"))),
    }
}
