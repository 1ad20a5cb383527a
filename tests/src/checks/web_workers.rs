//! Web workers that die: one of three, and the only one ten times. Whoever watches by another notices nothing; whoever
//! watched by the dead one goes on; capture and recording do not know.

use std::thread;
use std::time::Duration;

use protocol::time::UtcNs;
use serde_json::{Value, json};
use shmring::clock;

use super::web_site::{AT_ONCE, Site, percentile, tenth};
use super::{median_and_worst, ms_since};
use crate::fleet::{Ask, Fleet, Log, holes};
use crate::glass::{Glass, Way};
use crate::http::{self, Fault};
use crate::playlist::Media;
use crate::processes::Pauses;
use crate::project::{Project, free_port};
use crate::witness::Witness;
use crate::{Failure, Outcome, ensure, recordings, wait_for};

/// Eight viewers over three workers for so long; halfway the one in the middle is killed. Where others use the machine
/// too, who reads may be too slow for once, and is told.
pub fn one_of_three_dies(seconds: u64, is_alone: bool) -> Outcome<Value> {
    let ports = [free_port()?, free_port()?, free_port()?];
    let web = |(number, port): (usize, &u16)| {
        format!(
            "  web{number}: {{use: web, in: cam1.packets, listen: '127.0.0.1:{port}', {AT_ONCE}}}\n"
        )
    };
    let site = Site::begin(&ports.iter().enumerate().map(web).collect::<String>())?;
    let asks: Vec<Ask> =
        (0..8).map(|viewer| Ask { comes_again: true, ..Ask::of(ports[viewer % 3]) }).collect();
    let fleet = Fleet::start(&asks)?;
    wait_for(60, "a picture for each", || fleet.counts().iter().all(|it| *it > 0).then_some(()))?;
    thread::sleep(Duration::from_secs(seconds).div_f64(2.0));
    let (before, killed) = site.kill("web1")?;
    site.project.wait_restarted("web1", before)?;
    thread::sleep(Duration::from_secs(seconds).div_f64(2.0));
    let enough = seconds * 25;
    let come = || fleet.counts().iter().all(|it| *it as u64 >= enough).then_some(());
    wait_for(60, "as many pictures as the time has", come)?;
    let logs = fleet.finish();
    site.project.down()?;
    let mut back_ms = Vec::new();
    for (viewer, log) in logs.iter().enumerate() {
        ensure(log.wrong.is_empty() && log.refused.is_empty(), || {
            format!("viewer {viewer}: {:?} {:?}", log.wrong, log.refused)
        })?;
        if viewer % 3 == 1 {
            back_ms.push(back_after(log, killed.utc, is_alone)?);
        } else {
            let missed = holes(&log.pictures);
            let is_told = log.skipped > 0 && !is_alone;
            ensure((missed.is_empty() || is_told) && log.connections == 1, || {
                format!(
                    "viewer {viewer} of another worker: {missed:?}, {} connections",
                    log.connections
                )
            })?;
        }
    }
    let pictures: usize = logs.iter().map(|log| log.pictures.len()).sum();
    let (p50, worst) = median_and_worst(&mut back_ms);
    Ok(json!({
        "viewers": logs.len(), "seconds": seconds, "pictures": pictures, "missed_by_viewers_of_others": 0,
        "back_ms_p50": tenth(p50), "back_ms_worst": tenth(worst),
    }))
}

/// How long a viewer of the killed worker had nothing new, in ms. Within a connection it missed nothing.
fn back_after(log: &Log, killed: UtcNs, is_alone: bool) -> Outcome<f64> {
    for pictures in log.by_connection() {
        let missed = holes(pictures);
        let is_told = log.skipped > 0 && !is_alone;
        ensure(missed.is_empty() || is_told, || {
            format!("of the worker that was killed: {missed:?}")
        })?;
    }
    let joint =
        log.joints.get(1).ok_or_else(|| Failure::new("its worker died, and it did not notice"))?;
    let (before, after) = log.pictures.split_at(*joint);
    let last = before.last().map_or(0, |last| last.sequence);
    let new = after.iter().find(|one| one.sequence > last);
    let new = new.ok_or_else(|| Failure::new("no picture after the kill"))?;
    Ok(Duration::from_nanos(new.came.0.saturating_sub(killed.0)).as_secs_f64() * 1000.0)
}

const RECORDED: &str = "  rec: {use: recorder, in: cam1.packets, dir: '{dir}/recordings'}
  web: {use: web, in: cam1.packets, listen: '127.0.0.1:{port}', restart: {delay: 0s, limit: none}}
";

/// The only web worker is killed again and again while a browser, a client without one and a player of HLS watch.
pub fn the_only_one_dies_again_and_again(kills: u32, seed: u64) -> Outcome<Value> {
    let site = Site::begin(RECORDED)?;
    let ring = Project::ring("cam1.packets")?;
    let witness = Witness::start(site.project.name(), std::slice::from_ref(&ring));
    site.wait_for_segments()?;
    let mut glass = Glass::open(&site.base(), Way::Page, "cam1")?.ok();
    let fleet = Fleet::start(&[Ask { comes_again: true, ..Ask::of(site.port) }])?;
    wait_for(60, "a first picture", || (fleet.counts()[0] > 0).then_some(()))?;
    let mut lists = Lists::of(site.port);
    let (mut pauses, mut back_ms, mut screen_ms) = (Pauses::new(seed), Vec::new(), Vec::new());
    for _ in 0..kills {
        lists.look_for(Duration::from_millis(300) + pauses.below(Duration::from_millis(700)))?;
        let (before, killed) = site.kill("web")?;
        let seen = fleet.counts()[0];
        // What was on its way still arrives; a worker that died sends nothing more.
        let fresh = || {
            lists.look().map_or_else(
                |failure| Some(Err(failure)),
                |()| (fleet.counts()[0] > seen + 5).then_some(Ok(())),
            )
        };
        wait_for(60, "the socket's viewer to go on", fresh)?.0?;
        back_ms.push(ms_since(killed.mono));
        if let Some(glass) = &mut glass {
            glass.wait_for(5)?;
            screen_ms.push(ms_since(killed.mono));
        }
        site.project.wait_restarted("web", before)?;
    }
    lists.look_for(Duration::from_secs(1))?;
    let torn = glass.as_mut().map(|it| it.browser.evaluate("glass.torn()")).transpose()?;
    drop(glass);
    let log = fleet.finish().remove(0);
    ensure(torn.as_ref().is_none_or(|torn| *torn == 0), || format!("{torn:?} torn"))?;
    ensure(log.refused.is_empty() && log.wrong.is_empty(), || {
        format!("the socket's viewer: {:?} {:?}", log.refused, log.wrong)
    })?;
    site.project.down()?;
    let balance = recordings::balance(&site.project.recordings(), &witness.finish())?;
    ensure(balance.lost == 0 && balance.captured > 0, || format!("packets lost: {balance:?}"))?;
    Ok(json!({
        "kills": kills, "seed": seed, "connections_refused": 0, "lists": lists.seen, "lists_cut": lists.cut,
        "media_sequence_went_back": 0, "packets_captured": balance.captured, "packets_lost": balance.lost,
        "socket_back_ms_p50": tenth(percentile(&mut back_ms, 50)),
        "screen_back_ms_p50": (!screen_ms.is_empty()).then(|| tenth(percentile(&mut screen_ms, 50))),
    }))
}

/// A player of HLS, as far as lists go.
#[derive(Debug)]
struct Lists {
    port: u16,
    last: Option<Media>,
    seen: u64,
    /// Answers that ended with their worker, which players ask for again.
    cut: u64,
}

impl Lists {
    fn of(port: u16) -> Self {
        Self { port, last: None, seen: 0, cut: 0 }
    }

    fn look_for(&mut self, time: Duration) -> Outcome<()> {
        let begun = clock::mono();
        while clock::mono().saturating_since(begun) < time {
            self.look()?;
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn look(&mut self) -> Outcome<()> {
        let answer = match http::get(self.port, "/hls/cam1/live.m3u8") {
            Ok(answer) => answer,
            Err(Fault::Cut(_)) => {
                self.cut += 1;
                return Ok(());
            }
            Err(fault @ Fault::Refused(_)) => return Err(Failure::new(fault)),
        };
        // A worker that has just begun reads the ring first.
        if answer.status == 503 {
            return Ok(());
        }
        ensure(answer.status == 200, || format!("a list: {}", answer.status))?;
        let list = Media::parse(&answer.text()).map_err(Failure)?;
        if let Some(last) = &self.last {
            let (was, is) = (last.sequence, list.sequence);
            ensure(is >= was, || format!("EXT-X-MEDIA-SEQUENCE was {was} and is {is}"))?;
            let (was, is) = (last.discontinuity, list.discontinuity);
            ensure(is == was, || format!("EXT-X-DISCONTINUITY-SEQUENCE was {was} and is {is}"))?;
        }
        self.seen += 1;
        self.last = Some(list);
        Ok(())
    }
}
