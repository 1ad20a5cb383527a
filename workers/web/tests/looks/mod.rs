//! How the pages look and whom they serve: in the light and the dark, on a telephone, for who cannot see them, with
//! none, one, sixteen and two hundred cameras. Screenshots are kept for people to look at.

use std::fs;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tests::browser::Browser;
use tests::npm::AXE;
use tests::{Failure, Outcome, ensure, shot_folder, wait_for};

use crate::fake::{self, Fake};
use crate::{ONE_AT_A_TIME, Page};

const PAGES: [&str; 4] = ["/", "/camera?name=cam01", "/recordings", "/system"];

/// Runs a check in a browser, if there is one.
fn in_a_browser(check: impl FnOnce(&mut Browser) -> Outcome<()>) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(program) = Browser::find() else {
        println!("skipped: there is no chromium on this machine");
        return;
    };
    let checked = Browser::open(program, "about:blank").and_then(|mut it| check(&mut it));
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

fn url(page: &Page, path: &str) -> String {
    format!("http://{}{path}", page.address)
}

fn is_true(browser: &mut Browser, expression: &str) -> Outcome<bool> {
    browser.evaluate(expression).map(|value| value == Value::Bool(true))
}

/// Waits until an expression of the page is true; what `says` gives is told when it never is.
fn until(browser: &mut Browser, expression: &str, says: &str) -> Outcome<()> {
    let holds = || is_true(browser, expression).ok().filter(|holds| *holds).map(drop);
    let waited = wait_for(60, expression, holds);
    waited.map(drop).or_else(|Failure(late)| {
        let seen = browser.evaluate(says)?;
        Err(Failure(format!("{late}; the page says {seen}")))
    })
}

#[test]
fn axe_finds_nothing_serious_on_any_page_in_the_light_and_the_dark() {
    let axe = match AXE.folder() {
        Ok(Ok(folder)) => fs::read_to_string(folder.join("axe.min.js")).expect("axe"),
        Ok(Err(why)) => return println!("skipped: {why}"),
        Err(failure) => panic!("{failure}"),
    };
    let served = Page::open(Fake::of(16));
    in_a_browser(|browser| {
        for (page, dark) in PAGES.iter().flat_map(|page| [(page, false), (page, true)]) {
            browser.prefers_dark(dark)?;
            browser.go(&url(&served, page))?;
            until(browser, LOADED, "document.body.innerText")?;
            browser.evaluate(&format!("{axe}; true"))?;
            let found = browser.evaluate(SERIOUS)?;
            let none = found.as_array().is_some_and(Vec::is_empty);
            ensure(none, || format!("{page}, dark: {dark}: {found:#}"))?;
        }
        Ok(())
    });
}

/// The project's name comes with the first answer, the lists with it or soon after.
const LOADED: &str = "document.querySelector('.project')?.textContent === 'demo' \
    && (document.querySelector('[data-camera], #chain li, #workers td') !== null \
        || [...document.querySelectorAll('#notice, #empty, #grid-empty')].some((it) => !it.hidden))";

const SERIOUS: &str = "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations \
    .filter(({ impact }) => impact === 'serious' || impact === 'critical') \
    .map(({ id, nodes }) => [id, ...nodes.map((node) => node.html)]))";

#[test]
fn no_page_scrolls_sideways_on_a_telephone() {
    for cameras in [0, 1, 16] {
        let served = Page::open(Fake::of(cameras));
        in_a_browser(|browser| {
            browser.as_telephone(390, 844)?;
            for page in PAGES {
                browser.go(&url(&served, page))?;
                until(browser, LOADED, "document.body.innerText")?;
                let wide = browser.evaluate("document.documentElement.scrollWidth")?;
                ensure(wide == 390, || {
                    format!("{page} of {cameras} cameras is {wide} points wide")
                })?;
            }
            Ok(())
        });
    }
}

#[test]
fn none_one_sixteen_and_two_hundred_tiles_are_right_in_the_light_and_the_dark() {
    for cameras in [0, 1, 16, 200] {
        let served = Page::open(Fake::of(cameras));
        in_a_browser(|browser| {
            browser.sized(1400, 1000)?;
            for (dark, ground) in [(false, "rgb(244, 245, 247)"), (true, "rgb(14, 17, 20)")] {
                browser.prefers_dark(dark)?;
                browser.go(&url(&served, "/"))?;
                let right = format!(
                    "document.querySelectorAll('.tile').length === {cameras} \
                     && ({cameras} === 0 || document.querySelector('.tile img:not([hidden])') !== null) \
                     && {PICTURES_ARE_THERE} \
                     && getComputedStyle(document.body).backgroundColor === '{ground}'"
                );
                until(browser, &right, "document.body.innerText.slice(0, 400)")?;
                let fetched = "document.querySelectorAll('.tile img[data-sequence]').length <= 60";
                ensure(is_true(browser, fetched)?, || "tiles out of view have pictures".into())?;
                let theme = if dark { "dark" } else { "light" };
                let shot = shot_folder().join(format!("grid-{cameras}-{theme}.png"));
                browser.screenshot(&shot)?;
                println!("kept {}", shot.display());
            }
            Ok(())
        });
    }
}

/// Every tile in view that says it is live shows a picture: what is kept is looked at by people.
const PICTURES_ARE_THERE: &str = "[...document.querySelectorAll('.tile')] \
    .filter((it) => it.getBoundingClientRect().bottom < innerHeight && it.dataset.state === 'live') \
    .every((it) => it.querySelector('img:not([hidden])')?.naturalWidth > 0)";

/// Says what is seen in every picture, until the end.
fn telling(served: &Page, end: &AtomicBool) {
    let ring = "motion.events".parse().expect("a ring name");
    let mut next = 0;
    while !end.load(Ordering::Relaxed) {
        // Of the pictures of the next second too: their records are there when they are shown.
        let last = served.fake.newest("cam01") + 25;
        for frame in next..last {
            served.site.events.push(&ring, fake::seen(frame));
        }
        next = last;
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn the_served_a_camera_shows_what_is_seen_where_time_goes_and_who_is_in_its_chain() {
    let mut fake = Fake::of(2);
    fake.live = true;
    let served = Page::open(fake);
    let end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| telling(&served, &end));
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            in_a_browser(|browser| one_camera(browser, &served));
        }));
        end.store(true, Ordering::Relaxed);
        if let Err(panic) = checked {
            std::panic::resume_unwind(panic);
        }
    });
}

fn one_camera(browser: &mut Browser, served: &Page) -> Outcome<()> {
    let all = "document.body.innerText.slice(0, 2000)";
    browser.sized(1400, 1600)?;
    browser.go(&url(served, "/camera?name=cam01"))?;
    until(browser, "document.querySelector('#player').dataset.state === 'live'", all)?;
    until(browser, "document.querySelector('.boxes .exact text')?.textContent === 'cat'", all)?;
    until(browser, "document.querySelectorAll('#chain b')[0]?.textContent === 'cam01'", all)?;
    // Of packets: where video plays nobody looks at single pictures.
    until(browser, "document.querySelectorAll('#hops tbody tr').length >= 3", all)?;
    until(browser, "document.querySelector('.graph canvas') !== null", all)?;
    let points = "window.framevisor.points()['motion.events']";
    let before = browser.evaluate(points)?;
    until(browser, &format!("{points} > {before}"), points)?;
    let buttons = "document.querySelectorAll('#chain button').length";
    ensure(browser.evaluate(buttons)? == 0, || "a restart button without a token".into())?;
    browser.screenshot(&shot_folder().join("camera-light.png"))?;

    browser.prefers_dark(true)?;
    browser.go("about:blank")?;
    browser.go(&url(served, "/camera?name=cam01#token=made.up"))?;
    until(browser, &format!("{buttons} > 0"), all)?;
    ensure(is_true(browser, "location.hash === ''")?, || "the token stays in the address".into())?;
    browser.screenshot(&shot_folder().join("camera-dark.png"))
}

#[test]
fn the_served_the_system_shows_workers_rings_events_and_logs() {
    let served = Page::open(Fake::of(16));
    served
        .site
        .events
        .push(&"motion.events".parse().expect("a ring name"), fake::record(9, "begin"));
    in_a_browser(|browser| {
        let all = "document.body.innerText.slice(0, 2000)";
        browser.sized(1400, 1600)?;
        browser.go(&url(&served, "/system"))?;
        until(browser, "document.querySelectorAll('#workers tbody tr').length === 17", all)?;
        until(browser, "document.querySelectorAll('#rings tbody tr').length === 30", all)?;
        until(
            browser,
            "document.querySelector('#happenings b')?.textContent.startsWith('motion')",
            all,
        )?;
        until(
            browser,
            "/^INFO .*: made up, line 0$/.test(document.querySelector('#logs span')?.textContent)",
            all,
        )?;
        browser.screenshot(&shot_folder().join("system-light.png"))
    });
}
