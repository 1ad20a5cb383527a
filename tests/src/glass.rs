//! What is seen on a screen: a camera played in a browser, by one way, and the number of each picture with its time.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::browser::{Browser, Page};
use crate::firefox::Firefox;
use crate::framecode::Run;
use crate::npm::HLS_JS;
use crate::{Failure, Outcome, ensure, wait_for};

/// Between two looks at a page.
const LOOK: Duration = Duration::from_millis(200);

/// What a browser plays a camera by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// hls.js without low latency: segments alone.
    HlsJs,
    /// hls.js with parts.
    LowLatency,
    /// The browser's own HLS.
    Native,
    /// The page's player, whatever it takes.
    Page,
    /// Fragments from the WebSocket, without the page's player.
    WebSocket,
    Whep,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::HlsJs => "hls.js",
            Self::LowLatency => "ll-hls",
            Self::Native => "native",
            Self::Page => "page",
            Self::WebSocket => "websocket",
            Self::Whep => "whep",
        }
    }
}

/// The browsers that are looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Chromium,
    Firefox,
}

impl Engine {
    /// A page in it. `Ok(Err(why))` where there is none.
    fn open(self, url: &str) -> Outcome<Result<Box<dyn Page>, String>> {
        let (found, missing) = match self {
            Self::Chromium => (Browser::find(), "no chromium here"),
            Self::Firefox => (Firefox::find(), "no firefox-esr here"),
        };
        let Some(program) = found else { return Ok(Err(missing.to_owned())) };
        Ok(Ok(match self {
            Self::Chromium => Box::new(Browser::open(program, url)?),
            Self::Firefox => Box::new(Firefox::open(program, url)?),
        }))
    }
}

/// A picture that was on the screen.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub top: Option<u32>,
    pub bottom: Option<u32>,
    /// In ms since 1970.
    pub at_ms: f64,
}

impl Shown {
    /// Its number, when it is whole.
    pub fn number(&self) -> Option<u32> {
        self.top.filter(|_| self.top == self.bottom)
    }
}

/// The expression that begins to watch.
pub fn begin(way: Way, camera: &str) -> String {
    format!("({})('{}', '{camera}')", include_str!("glass.js"), way.name())
}

const BY_WEBRTC: &str = "[...new Set(RTCRtpReceiver.getCapabilities('video')?.codecs.map((it) => it.mimeType))].join(', ')";
const BY_MEDIA_SOURCE: &str = "MediaSource.isTypeSupported('video/mp4; codecs=\"avc1.42c01e\"')";

/// Why a browser cannot play H.264 this way: it comes with a plugin, or with libraries of the system.
fn lacks(page: &mut dyn Page, way: Way) -> Outcome<Option<String>> {
    if way != Way::Whep {
        let plays = page.evaluate(BY_MEDIA_SOURCE)? == true;
        return Ok((!plays).then(|| "this browser has no H.264".to_owned()));
    }
    let has = page.evaluate(BY_WEBRTC)?;
    let has = has.as_str().unwrap_or_default();
    let is_there = has.contains("video/H264");
    Ok((!is_there).then(|| format!("this browser has no H.264 by WebRTC, only {has}")))
}

/// A browser that plays a camera.
#[derive(Debug)]
pub struct Glass {
    pub browser: Box<dyn Page>,
}

impl Glass {
    /// In Chromium.
    pub fn open(base: &str, way: Way, camera: &str) -> Outcome<Result<Self, String>> {
        Self::open_in(Engine::Chromium, base, way, camera)
    }

    /// `Ok(Err(why))` where there is no such browser, or nothing that plays this way in it.
    pub fn open_in(
        engine: Engine,
        base: &str,
        way: Way,
        camera: &str,
    ) -> Outcome<Result<Self, String>> {
        // A page of the server without a player of its own.
        let mut browser = match engine.open(&format!("{base}/system"))? {
            Ok(browser) => browser,
            Err(why) => return Ok(Err(why)),
        };
        let library = match way {
            Way::HlsJs | Way::LowLatency => match HLS_JS.folder()? {
                Ok(folder) => {
                    fs::read_to_string(folder.join("dist/hls.min.js")).map_err(Failure::new)?
                }
                Err(why) => return Ok(Err(why)),
            },
            _ => String::new(),
        };
        if !library.is_empty() {
            browser.evaluate(&format!("{library}; true"))?;
        }
        if let Some(why) = lacks(&mut *browser, way)? {
            return Ok(Err(why));
        }
        browser.evaluate(&begin(way, camera))?;
        let mut glass = Self { browser };
        glass.wait_for(1)?;
        Ok(Ok(glass))
    }

    /// Waits until so many more pictures were on the screen.
    pub fn wait_for(&mut self, more: u64) -> Outcome<()> {
        let count = |page: &mut dyn Page| page.evaluate("glass.seen.length").ok()?.as_u64();
        let before = count(&mut *self.browser).unwrap_or(0);
        let seen = || {
            // A page that is asked all the time does little else.
            thread::sleep(LOOK);
            count(&mut *self.browser).filter(|count| *count >= before + more)
        };
        let waited = wait_for(60, "pictures on the screen", seen).map(drop);
        waited.or_else(|Failure(late)| {
            let said = self
                .browser
                .evaluate("JSON.stringify([glass.errors, glass.video?.error?.message, glass.video?.currentTime, glass.seen.length])")?;
            Err(Failure(format!("{late}: {said}")))
        })
    }

    /// All so far.
    pub fn shown(&mut self) -> Outcome<Vec<Shown>> {
        let seen = self.browser.evaluate("glass.seen")?;
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let read = |row: &Value| {
            let (top, bottom) = (number(&row[0]), number(&row[1]));
            Some(Shown { top, bottom, at_ms: row[2].as_f64()? })
        };
        Ok(seen.as_array().into_iter().flatten().filter_map(read).collect())
    }

    /// What went wrong, in the player's words; nothing is good.
    pub fn errors(&mut self) -> Outcome<Vec<String>> {
        let errors = self.browser.evaluate("glass.errors")?;
        Ok(errors.as_array().into_iter().flatten().map(ToString::to_string).collect())
    }
}

/// What was on the screen once the player had so long to begin.
pub fn settled(shown: Vec<Shown>, within_ms: f64) -> Vec<Shown> {
    let from_ms = shown.first().map_or(0.0, |first| first.at_ms + within_ms);
    shown.into_iter().filter(|one| one.at_ms >= from_ms).collect()
}

/// The numbers of what was shown, one after the other.
pub fn run(shown: &[Shown]) -> Run {
    let codes: Vec<_> = shown.iter().map(|one| (one.top, one.bottom)).collect();
    Run::of(&codes, None)
}

/// Browsers leave out a picture now and then when their own clock runs past it: one of fifty at most.
pub fn is_exact_enough(run: &Run) -> bool {
    let damage = run.torn + run.unreadable + run.backward + run.doubled;
    run.pictures > 0 && damage == 0 && run.lost * 50 <= run.pictures
}

/// Their run, which must be exact enough.
pub fn exact_enough(shown: &[Shown]) -> Outcome<Run> {
    let run = run(shown);
    ensure(is_exact_enough(&run), || format!("{run:?}"))?;
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(numbers: &[u32]) -> Vec<Shown> {
        let one = |number: &u32| Shown { top: Some(*number), bottom: Some(*number), at_ms: 0.0 };
        numbers.iter().map(one).collect()
    }

    #[test]
    fn one_picture_of_fifty_may_be_left_out_and_none_may_come_back() {
        let mut numbers: Vec<u32> = (0..100).collect();
        numbers.remove(50);
        assert_eq!(exact_enough(&shown(&numbers)).map(|run| run.lost), Ok(1));
        numbers.retain(|number| number % 10 != 5);
        assert!(exact_enough(&shown(&numbers)).is_err());
        assert!(exact_enough(&shown(&[1, 2, 1])).is_err());
        assert!(exact_enough(&[]).is_err());
    }

    #[test]
    fn a_torn_picture_has_no_number() {
        let torn = Shown { top: Some(1), bottom: Some(2), at_ms: 0.0 };
        assert_eq!(torn.number(), None);
        assert!(exact_enough(&[torn]).is_err());
    }
}
