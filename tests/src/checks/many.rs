//! As many cameras as a large site has, on a small machine: packets only, nothing decoded.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::thread;
use std::time::Duration;

use protocol::name::RingName;
use serde_json::{Map, Value, json};
use shmring::clock;

use super::{Watched, median_and_worst, ms_since};
use crate::processes::Private;
use crate::project::Project;
use crate::witness::Witness;
use crate::{Outcome, ensure, processes, recordings, wait_for};

/// Boots so many looped cameras of so many pictures a second with one recorder, records so long, and ends
/// them all.
pub fn cameras_are_recorded(cameras: usize, fps: u64, seconds: u64) -> Outcome<Value> {
    let names: Vec<String> = (1..=cameras).map(|number| format!("cam{number:02}")).collect();
    let project = Project::new(&topology(&names, fps))?;
    let start = clock::mono();
    // A debug build on a busy machine takes its time.
    project.succeed(&["up", "-d", "--wait", "--timeout", "300s"])?;
    let boot_ms = ms_since(start);
    let rings = names.iter().map(|name| Project::ring(&format!("{name}.packets")));
    let rings = rings.collect::<Outcome<Vec<RingName>>>()?;
    let witness = Witness::start(project.name(), &rings);
    let supervisor = project.supervisor_pid()?;
    thread::sleep(Duration::from_secs(seconds));
    let expected = cameras as u64 * seconds * fps;
    let flowing = || (witness.seen() * 10 >= expected * 8).then_some(());
    wait_for(120, "packets of every camera", flowing)?;
    let mut figures = Map::from_iter([
        ("cameras".to_owned(), json!(cameras)),
        ("fps".to_owned(), json!(fps)),
        ("seconds".to_owned(), json!(seconds)),
        ("boot_ms".to_owned(), json!(boot_ms.round())),
        ("supervisor_descriptors".to_owned(), json!(processes::entries(supervisor, "fd"))),
        ("ps_ms".to_owned(), json!(ps_ms(&project)?)),
    ]);
    let restarts: u64 = project.ps()?.iter().map(|worker| worker.restarts).sum();
    ensure(restarts == 0, || format!("{restarts} restarts"))?;
    tell_memory(&project, &mut figures)?;
    let start = clock::mono();
    project.down()?;
    figures.insert("down_ms".into(), json!(ms_since(start).round()));
    let left = processes::with_environment("FRAMEVISOR_PROJECT", project.name().as_str());
    ensure(left.is_empty(), || format!("after down these live on: {left:?}"))?;
    let published = witness.finish();
    let silent: Vec<&RingName> = published
        .packets()?
        .iter()
        .filter(|(_, seen)| seen.is_empty())
        .map(|(ring, _)| *ring)
        .collect();
    ensure(silent.is_empty(), || format!("nothing came from {silent:?}"))?;
    let balance = recordings::balance(&project.recordings(), &published)?;
    ensure(balance.lost == 0, || format!("packets lost: {balance:?}"))?;
    figures.insert("packets_captured".into(), json!(balance.captured));
    figures.insert("packets_lost".into(), json!(balance.lost));
    Ok(Value::Object(figures))
}

/// What a worker of each kind keeps to itself once it has been at work for so long.
pub fn memory_of_each_kind(seconds: u64) -> Outcome<Value> {
    let watched = Watched::start("")?;
    thread::sleep(Duration::from_secs(seconds));
    let mut figures = Map::new();
    tell_memory(watched.project(), &mut figures)?;
    watched.finish(&[])?.tell(&mut figures);
    Ok(Value::Object(figures))
}

fn topology(names: &[String], fps: u64) -> String {
    let mut text = "version: 1\nworkers:\n".to_owned();
    for name in names {
        // 2 Mbit/s at 25 pictures a second.
        let kbit = fps * 80;
        let source = format!("test:?size=320x192&fps={fps}&gop={fps}&bitrate={kbit}k&mode=loop");
        // Writing to a text never fails.
        let _ = writeln!(text, "  {name}: {{use: ingest, source: '{source}'}}");
    }
    let rings: Vec<String> = names.iter().map(|name| format!("{name}.packets")).collect();
    let rings = rings.join(", ");
    text + &format!("  recorder: {{use: recorder, in: [{rings}], dir: '{{dir}}/recordings'}}\n")
}

/// The largest private memory among the workers of each kind, in MiB: what they have written, and beside it
/// the pages of the program that nobody else maps just now. Rings are shared, so not in it.
fn tell_memory(project: &Project, figures: &mut Map<String, Value>) -> Outcome<()> {
    let mut largest: BTreeMap<String, Private> = BTreeMap::new();
    for worker in project.ps()? {
        let Some(private) = worker.pid.and_then(Private::of) else { continue };
        let most = largest.entry(worker.kind).or_default();
        most.dirty_kib = most.dirty_kib.max(private.dirty_kib);
        most.clean_kib = most.clean_kib.max(private.clean_kib);
    }
    let mib = |kib: u64| (kib as f64 / 102.4).round() / 10.0;
    for (kind, private) in largest {
        figures.insert(format!("private_mib_{kind}"), json!(mib(private.dirty_kib)));
        figures.insert(format!("own_program_mib_{kind}"), json!(mib(private.clean_kib)));
    }
    Ok(())
}

/// Median time of `ps`, the start of its process included.
fn ps_ms(project: &Project) -> Outcome<f64> {
    let mut times = Vec::new();
    for _ in 0..11 {
        let start = clock::mono();
        project.ps()?;
        times.push(ms_since(start));
    }
    Ok(median_and_worst(&mut times).0.round())
}
