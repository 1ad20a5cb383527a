//! The pages of a real project in a real browser: a camera that ends and comes back, where time goes, who is in a
//! camera's chain, graphs that move.

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::browser::Browser;
use tests::project::{Project, free_port};
use tests::{Failure, Outcome, ensure, processes, shot_folder, wait_for};

const TOPOLOGY: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'}
  eyes: {use: decoder, in: cam1.packets}
  motion: {use: motion, in: cam1.frames}
  rtsp: {use: rtsp, in: cam1.packets, listen: '127.0.0.1:{rtsp}'}
  web: {use: web, in: '*', listen: '127.0.0.1:{port}'}
";

/// A running project and a browser at one of its pages.
struct Shown {
    project: Project,
    browser: Browser,
    rtsp: u16,
}

impl Shown {
    fn at(program: &str, path: &str) -> Outcome<Self> {
        let (rtsp, port) = (free_port()?, free_port()?);
        let text = TOPOLOGY.replace("{rtsp}", &rtsp.to_string());
        let project = Project::new(&text.replace("{port}", &port.to_string()))?;
        project.up()?;
        let browser = Browser::open(program, &format!("http://127.0.0.1:{port}{path}"))?;
        Ok(Self { project, browser, rtsp })
    }

    /// Waits until an expression of the page is true.
    fn until(&mut self, expression: &str) -> Outcome<()> {
        let holds = || {
            let value = self.browser.evaluate(expression).ok()?;
            (value == Value::Bool(true)).then_some(())
        };
        let waited = wait_for(60, expression, holds).map(drop);
        waited.or_else(|Failure(late)| {
            let seen = self.browser.evaluate("document.body.innerText.slice(0, 2000)")?;
            Err(Failure(format!("{late}; the page says {seen}")))
        })
    }

    fn text(&mut self, what: &str) -> Outcome<String> {
        let value =
            self.browser.evaluate(&format!("document.querySelector('{what}').textContent"))?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }
}

fn in_a_browser(path: &str, check: impl FnOnce(&mut Shown) -> Outcome<()>) {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let Some(program) = Browser::find() else {
        println!("skipped: there is no Chromium here");
        return;
    };
    let checked = Shown::at(program, path).and_then(|mut shown| check(&mut shown));
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Notes, in the page, how long after the last picture the tile was called stale.
const WATCH: &str = "(() => {
    const tile = document.querySelector('[data-camera=cam1]');
    const shown = () => tile.querySelector('.player')?.dataset.sequence || tile.querySelector('.screen > img').dataset.sequence;
    let [sequence, at] = ['', 0];
    window.staleAfter = null;
    setInterval(() => {
        if (shown() !== sequence) [sequence, at] = [shown(), performance.now()];
        if (tile.dataset.state === 'stale') window.staleAfter ??= performance.now() - at;
    }, 20);
    return true;
})()";

#[test]
fn a_camera_that_ends_turns_stale_says_why_and_comes_back_by_itself() {
    in_a_browser("/", |shown| {
        let state = |state: &str| {
            format!("document.querySelector('[data-camera=cam1]')?.dataset.state === '{state}'")
        };
        shown.until(&state("live"))?;
        shown.browser.evaluate(WATCH)?;
        shown.project.succeed(&["stop", "cam1"])?;
        shown.until(&state("stale"))?;
        shown.until("typeof window.staleAfter === 'number'")?;
        let after = shown.browser.evaluate("Math.round(window.staleAfter)")?;
        println!("figure: stale_after_ms {after}");
        shown.until(
            "/^No frame for .*: cam1 is stopped/.test(document.querySelector('[data-camera=cam1] .why').textContent)",
        )?;
        let look = "getComputedStyle(document.querySelector('[data-camera=cam1] img')).filter.includes('grayscale(1)')";
        shown.until(look)?;
        shown.browser.screenshot(&shot_folder().join("live-stale.png"))?;
        shown.project.succeed(&["start", "cam1"])?;
        shown.until(&state("live"))
    });
}

#[test]
fn the_page_of_a_camera_shows_its_chain_its_hops_its_links_and_a_graph_that_moves() {
    in_a_browser("/camera?name=cam1", |shown| {
        shown.until("document.querySelector('#player').dataset.state === 'live'")?;
        // Those of its packets; those of single pictures are told while somebody looks at such.
        shown.until("document.querySelectorAll('#hops tbody tr').length >= 3")?;
        for worker in ["cam1", "eyes", "motion", "web"] {
            let there =
                "[...document.querySelectorAll('#chain b')].some((it) => it.textContent ===";
            shown.until(&format!("{there} '{worker}')"))?;
        }
        let rtsp = format!("rtsp://127.0.0.1:{}/cam1", shown.rtsp);
        shown.until(&format!("document.querySelector('#links').textContent.includes('{rtsp}')"))?;
        let points = "(window.framevisor.points()['motion.events'] ?? 0)";
        shown.until(&format!("{points} > 0"))?;
        let before = shown.browser.evaluate(points)?;
        shown.until(&format!("{points} > {before}"))?;
        shown.until("document.querySelector('.graph canvas') !== null")?;
        // Motion tells boxes once a second; the picture they are about is shown some time.
        shown.until("document.querySelector('.boxes rect') !== null")?;
        shown.browser.screenshot(&shot_folder().join("live-camera.png"))
    });
}

#[test]
fn a_worker_that_died_is_told_in_the_chain_and_in_the_page_of_the_system() {
    in_a_browser("/camera?name=cam1", |shown| {
        shown.until("document.querySelector('#player').dataset.state === 'live'")?;
        let pid = shown.project.pid("motion")?;
        processes::signal(pid, Signal::SIGKILL);
        shown.project.wait_restarted("motion", pid)?;
        let told = "[...document.querySelectorAll('#chain li')].some((it) => \
            it.querySelector('b')?.textContent === 'motion' && it.textContent.includes('1 restart') \
            && it.textContent.includes('SIGKILL'))";
        shown.until(told)?;
        shown.browser.evaluate("location.href = 'system?log=cam1'")?;
        shown.until("document.querySelectorAll('#workers tbody tr').length === 5")?;
        shown.until("document.querySelectorAll('#rings tbody tr').length >= 3")?;
        shown.until("document.querySelector('#log-of').value === 'cam1'")?;
        shown.until("document.querySelector('#logs li span') !== null")?;
        let line = shown.text("#logs li span")?;
        ensure(!line.is_empty(), || "the log of cam1 is empty".into())
    });
}
