//! One kind of worker killed again and again: what each death costs, and whom.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use shmring::clock;

use super::kills::{kill_all, told_with};
use super::{LIVE, LOOPED, RESTART_AT_ONCE, Watched, median_and_worst, ms_since, ring_now};
use crate::project::Project;
use crate::{Failure, Outcome, ensure, recordings, wait_for};

/// An analyzer's place in its ring is free soon after its death, and nothing captured is lost.
pub fn an_analyzer_dies(kills: u32, seed: u64) -> Outcome<Value> {
    let watched = Watched::start(RESTART_AT_ONCE)?;
    let ring = Project::ring("cam1.frames")?;
    let project = watched.project().name().clone();
    let mut freed_ms = Vec::new();
    // What capture takes when nobody dies.
    let seen = watched.seen();
    wait_for(60, "three seconds of packets", || (watched.seen() >= seen + 150).then_some(()))?;
    let calm_us = watched.publish_us_p99();
    let mut figures = kill_all(watched.project(), &[("motion", kills)], seed, |_, pid| {
        let start = clock::mono();
        let freed = || {
            let readers = ring_now(&project, &ring).readers;
            readers.iter().all(|reader| reader.pid != pid).then_some(())
        };
        wait_for(60, "the dead reader's place to be free", freed)?;
        freed_ms.push(ms_since(start));
        Ok(())
    })?;
    figures.insert("publish_us_p99_calm".into(), json!(calm_us));
    figures.insert("publish_us_p99_while_killed".into(), json!(watched.publish_us_p99()));
    told_with(seed, watched.finish(&[LIVE, LOOPED]))?.tell(&mut figures);
    let (median, worst) = median_and_worst(&mut freed_ms);
    figures.insert("place_free_ms_p50".into(), json!(median.round()));
    figures.insert("place_free_ms_worst".into(), json!(worst.round()));
    Ok(Value::Object(figures))
}

/// After a decoder's death pictures flow again, and nothing captured is lost.
pub fn a_decoder_dies(kills: u32, seed: u64) -> Outcome<Value> {
    let watched = Watched::start(RESTART_AT_ONCE)?;
    let ring = Project::ring("cam1.frames")?;
    let project = watched.project().name().clone();
    let mut resumed_ms = Vec::new();
    let mut figures = kill_all(watched.project(), &[("cam1-decoder", kills)], seed, |_, _| {
        let start = clock::mono();
        let epoch = ring_now(&project, &ring).epoch;
        let resumed = || {
            let now = ring_now(&project, &ring);
            (now.epoch != epoch && now.head > 0).then_some(())
        };
        wait_for(60, "pictures of the next decoder", resumed)?;
        resumed_ms.push(ms_since(start));
        Ok(())
    })?;
    told_with(seed, watched.finish(&[LIVE, LOOPED]))?.tell(&mut figures);
    let (median, worst) = median_and_worst(&mut resumed_ms);
    figures.insert("first_picture_ms_p50".into(), json!(median.round()));
    figures.insert("first_picture_ms_worst".into(), json!(worst.round()));
    Ok(Value::Object(figures))
}

/// A dead ingest costs what its camera sends meanwhile and nobody a restart: its readers go on in the
/// next epoch, which the files mark as a discontinuity. The other camera has no hole.
pub fn an_ingest_dies(kills: u32, seed: u64) -> Outcome<Value> {
    let watched = Watched::start(RESTART_AT_ONCE)?;
    let readers = ["cam1-decoder", "cam2-decoder", "motion", "recorder", "rtsp", "web", "cam2"];
    let pids = |project: &Project| -> Outcome<Vec<u32>> {
        readers.iter().map(|reader| project.pid(reader)).collect()
    };
    let before = pids(watched.project())?;
    let ring = Project::ring("cam1.packets")?;
    let project = watched.project().name().clone();
    let mut figures = kill_all(watched.project(), &[("cam1", kills)], seed, |_, _| {
        let epoch = ring_now(&project, &ring).epoch;
        let flows = || {
            let now = ring_now(&project, &ring);
            // Who writes next but one takes this epoch away, and the recorder is to have begun with it by then.
            let is_recorded = now.readers.iter().any(|reader| reader.name == "recorder");
            (now.epoch != epoch && now.head > 0 && is_recorded).then_some(())
        };
        wait_for(60, "packets of the next ingest", flows).map(drop)
    })?;
    let after = pids(watched.project())?;
    ensure(before == after, || format!("readers were restarted: {before:?} became {after:?}"))?;
    let seen = watched.seen();
    wait_for(60, "more packets", || (watched.seen() > seen + 25).then_some(()))?;
    let ended = told_with(seed, watched.finish(&[LOOPED]))?;
    ended.tell(&mut figures);
    let epochs = recordings::epochs(&ended.project.recordings(), "cam1")?;
    let expected = kills as usize + 1;
    ensure(epochs.len() == expected, || {
        format!("{} epochs in the files after {kills} deaths", epochs.len())
    })?;
    ensure(epochs.iter().skip(1).all(|(_, discontinuity)| *discontinuity), || {
        format!("an epoch that follows another is not marked: {epochs:?}")
    })?;
    figures.insert("epochs".into(), json!(epochs.len()));
    Ok(Value::Object(figures))
}

/// While the servers die, whoever connects is let in: the sockets wait in the supervisor.
pub fn servers_die(kills: u32, seed: u64) -> Outcome<Value> {
    let watched = Watched::start(RESTART_AT_ONCE)?;
    let callers = Callers::start(watched.addresses());
    let figures =
        kill_all(watched.project(), &[("rtsp", kills), ("web", kills)], seed, |_, _| Ok(()));
    let connections = callers.finish();
    let mut figures = figures?;
    told_with(seed, watched.finish(&[LIVE, LOOPED]))?.tell(&mut figures);
    figures.insert("connections".into(), json!(connections?));
    figures.insert("refused".into(), json!(0));
    Ok(Value::Object(figures))
}

/// Someone who connects to two servers all the time.
#[derive(Debug)]
struct Callers {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outcome<u64>>,
}

impl Callers {
    fn start(addresses: [SocketAddr; 2]) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let asked = Arc::clone(&stop);
        Self { stop, thread: thread::spawn(move || call(&addresses, &asked)) }
    }

    /// How often it was let in.
    fn finish(self) -> Outcome<u64> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap_or_else(|_| Err(Failure::new("the caller panicked")))
    }
}

fn call(addresses: &[SocketAddr], stop: &AtomicBool) -> Outcome<u64> {
    let mut connections = 0;
    while !stop.load(Ordering::Acquire) {
        for address in addresses {
            TcpStream::connect_timeout(address, Duration::from_secs(20)).map_err(|error| {
                Failure(format!("connection {connections} to {address}: {error}"))
            })?;
            connections += 1;
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(connections)
}
