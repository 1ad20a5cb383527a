//! From capture to glass: how old each picture is when it is on a screen, by the number that is painted into it. When it
//! was captured is told by a client that reads fragments and is no browser; so our page's own word for it counts nothing.
//! All ways are looked at in one run, one after the other.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::web_browsers::{aiortc, shown_by};
use super::web_site::{SIZE, Site, percentile, tenth};
use crate::fleet::{Ask, Fleet, Log};
use crate::glass::{Glass, Shown, Way, settled};
use crate::{Failure, Outcome, ensure, ffmpeg, wait_for};

/// A player that begins is restless.
const SETTLES_MS: f64 = 5_000.0;

/// Each way in the browser, and its name in the answer.
const WAYS: [(Way, &str); 5] = [
    (Way::Page, "websocket"),
    (Way::Whep, "whep"),
    (Way::LowLatency, "ll_hls"),
    (Way::HlsJs, "hls_js_plain"),
    (Way::Native, "chromium_hls"),
];

/// The ways of the page for so many seconds each, and aiortc.
pub fn from_capture_to_glass(seconds: u64) -> Outcome<Value> {
    let site = Site::plain()?;
    site.wait_for_segments()?;
    let fleet = Fleet::start(&[Ask::of(site.port)])?;
    wait_for(60, "a first picture", || (fleet.counts()[0] > 0).then_some(()))?;
    let mut seen: Vec<(&str, Vec<Shown>)> = Vec::new();
    let mut figures = Map::new();
    let mut failures = Vec::new();
    for (way, name) in WAYS {
        match in_chromium(&site, way, seconds) {
            Ok(Ok(shown)) => seen.push((name, shown)),
            Ok(Err(why)) => drop(figures.insert(name.to_owned(), json!(format!("skipped: {why}")))),
            // The others are looked at nevertheless.
            Err(failure) => failures.push(format!("{name}: {failure}")),
        }
    }
    match aiortc(&site, seconds)? {
        Ok(told) => seen.push(("aiortc", settled(shown_by(&told), SETTLES_MS))),
        Err(why) => drop(figures.insert("aiortc".to_owned(), json!(format!("skipped: {why}")))),
    }
    let log = fleet.finish().remove(0);
    let captured = captured_ms(&site, &log)?;
    let mut wire: Vec<f64> = log.pictures.iter().skip(25).map(|one| one.late_ms()).collect();
    tell("to_a_socket", &mut wire, &mut figures);
    for (name, shown) in seen {
        let mut late = late_ms(&shown, &captured);
        ensure(late.len() > 50, || format!("{name}: only {} pictures have a time", late.len()))?;
        tell(name, &mut late, &mut figures);
    }
    site.project.down()?;
    let figures = Value::Object(figures);
    ensure(failures.is_empty(), || format!("{}; the others: {figures}", failures.join("; ")))?;
    Ok(figures)
}

fn in_chromium(site: &Site, way: Way, seconds: u64) -> Outcome<Result<Vec<Shown>, String>> {
    let mut glass = match Glass::open(&site.base(), way, "cam1")? {
        Ok(glass) => glass,
        Err(why) => return Ok(Err(why)),
    };
    thread::sleep(Duration::from_secs(seconds));
    // However slow the machine is, some came.
    glass.wait_for(1)?;
    let shown = settled(glass.shown()?, SETTLES_MS);
    let torn = shown.iter().filter(|one| one.number().is_none()).count();
    ensure(torn == 0, || format!("{way:?}: {torn} of {} are torn", shown.len()))?;
    Ok(Ok(shown))
}

fn tell(way: &str, late: &mut [f64], figures: &mut Map<String, Value>) {
    for percent in [50, 95] {
        let ms = tenth(percentile(late, percent));
        figures.insert(format!("{way}_p{percent}_ms"), json!(ms));
    }
    figures.insert(format!("{way}_pictures"), json!(late.len()));
}

/// When each number was captured, in ms since 1970. The camera paints one more into each packet's picture, so that one
/// that is decoded gives all.
fn captured_ms(site: &Site, log: &Log) -> Outcome<BTreeMap<u32, f64>> {
    let sample = log.sample.as_ref().ok_or_else(|| Failure::new("no key frame came"))?;
    let file = site.project.dir().join("sample.mp4");
    fs::write(&file, &sample.film).map_err(Failure::new)?;
    let name = file.display().to_string();
    let codes = ffmpeg::codes(&["-i", &name], SIZE.0, SIZE.1)?;
    let code = codes.first().and_then(|(top, bottom)| top.filter(|_| top == bottom));
    let code = code.ok_or_else(|| Failure::new("the first key frame has no number"))?;
    let first = sample.sequence;
    let numbered = log.pictures.iter().filter_map(|one| {
        let number = u64::from(code).checked_add(one.sequence)?.checked_sub(first)?;
        let ms = Duration::from_nanos(one.captured.0).as_secs_f64() * 1000.0;
        Some((u32::try_from(number).ok()?, ms))
    });
    Ok(numbered.collect())
}

/// How late each picture was that has a time.
fn late_ms(shown: &[Shown], captured: &BTreeMap<u32, f64>) -> Vec<f64> {
    let late = shown.iter();
    late.filter_map(|one| Some(one.at_ms - captured.get(&one.number()?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_as_late_as_its_number_says() {
        let captured: BTreeMap<u32, f64> =
            (0..10).map(|number| (number, f64::from(number) * 1000.0)).collect();
        let one = |number: u32| Shown {
            top: Some(number),
            bottom: Some(number),
            at_ms: f64::from(number) * 1000.0 + 80.0,
        };
        let shown: Vec<Shown> = (0..12).map(one).collect();
        assert_eq!(late_ms(&shown, &captured), [80.0; 10]);
    }
}
