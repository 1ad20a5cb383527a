//! Cameras that do harm, each behind a gateway of its own, all at once: what `ps` says of each and how soon,
//! and how soon its pictures are back when it is well again.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::admin::WorkerState;
use protocol::name::RingName;
use protocol::time::MonoNs;
use serde_json::{Map, Value, json};
use shmring::{Next, PacketOptions, PacketReader, Start, clock};

use super::sources::served;
use super::{ms_since, ring_now};
use crate::gateway::{Gateway, Line, Mood};
use crate::project::Project;
use crate::{Failure, Outcome, ensure, wait_for};

/// One camera: what it does from the beginning, or once its pictures flow, and what must be said of it.
struct Harm {
    name: &'static str,
    begins: Mood,
    turns: Option<Mood>,
    says: &'static str,
    /// It is absent, and not refusing: it is wanted back at once.
    is_back_at_once: bool,
}

const fn from_the_beginning(name: &'static str, begins: Mood, says: &'static str) -> Harm {
    Harm { name, begins, turns: None, says, is_back_at_once: true }
}

const fn later(name: &'static str, turns: Mood, says: &'static str) -> Harm {
    Harm { name, begins: Mood::Passes, turns: Some(turns), says, is_back_at_once: true }
}

const fn says_no(name: &'static str, begins: Mood, says: &'static str) -> Harm {
    Harm { name, begins, turns: None, says, is_back_at_once: false }
}

static HARMS: [Harm; 10] = [
    from_the_beginning("refuses", Mood::Refuses, "connection refused"),
    from_the_beginning("resets", Mood::Resets, "closed the connection"),
    from_the_beginning("mute", Mood::Mute, "no answer within 9 s"),
    from_the_beginning("drips", Mood::Drips, "bytes of an answer within 9 s"),
    later("falls-silent", Mood::Mute, "nothing came for 9 s"),
    later("breaks-off", Mood::Resets, "closed the connection"),
    says_no("redirects", Mood::Redirects, "redirected more than 5 times"),
    says_no("undescribed", Mood::Undescribed, "nothing to carry"),
    says_no("nonsense", Mood::Nonsense, "no RTSP server"),
    says_no("denies", Mood::Denies, "user or password refused"),
];
/// Says nothing for five seconds, then all of it.
const BURST: &str = "burst";
/// Its timestamps begin again on the way.
const WRAPS: &str = "wraps";
const SILENCE: Duration = Duration::from_secs(5);
/// Requests that come closer than this belong to one try.
const ONE_TRY: Duration = Duration::from_millis(500);

/// What is promised of each, for real; the times are figures.
pub fn cameras_that_do_harm() -> Outcome<Value> {
    let (_server, port) =
        served("cam1: {use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}", &["cam1"])?;
    let mut gateways = BTreeMap::new();
    for harm in &HARMS {
        gateways.insert(harm.name, Gateway::open(port, Line::default(), harm.begins)?);
    }
    gateways.insert(BURST, Gateway::open(port, Line::default(), Mood::Passes)?);
    let wraps = Line { wraps_after_s: Some(4), ..Line::default() };
    gateways.insert(WRAPS, Gateway::open(port, wraps, Mood::Passes)?);
    let camera = |(name, gateway): (&&str, &Gateway)| {
        let port = gateway.port();
        format!("  {name}: {{use: ingest, source: 'rtsp://user:secret@127.0.0.1:{port}/cam1'}}\n")
    };
    let text: String = gateways.iter().map(camera).collect();
    let project = Project::new(&format!("version: 1\nworkers:\n{text}"))?;
    project.succeed(&["up", "-d"])?;
    let began = clock::mono();
    let mut figures = Map::new();
    let turned = they_turn(&project, &gateways)?;
    let told = all_are_told(&project, began, &turned, &gateways[BURST])?;
    let worst = told.values().copied().fold(0.0, f64::max);
    figures.insert("told_s".into(), json!(told));
    figures.insert("told_s_worst".into(), json!(worst));
    for name in [BURST, WRAPS] {
        figures.insert(format!("{name}_pictures"), json!(pictures_without_a_hole(&project, name)?));
    }
    let back = all_are_back(&project, &gateways)?;
    let worst = back.values().copied().fold(0.0, f64::max);
    figures.insert("back_ms".into(), json!(back));
    figures.insert("back_ms_worst".into(), json!(worst));
    let redirects = first_try(&gateways["redirects"], "DESCRIBE").saturating_sub(1);
    ensure(redirects <= 5, || format!("{redirects} redirects were followed in one try"))?;
    figures.insert("redirects".into(), json!(redirects));
    figures.extend(passwords(&gateways["denies"])?);
    let restarts: u64 = project.ps()?.iter().map(|worker| worker.restarts).sum();
    ensure(restarts == 0, || format!("{restarts} workers were started again"))?;
    project.down()?;
    Ok(Value::Object(figures))
}

/// Those that begin well turn once their pictures flow; when each did.
fn they_turn(
    project: &Project,
    gateways: &BTreeMap<&str, Gateway>,
) -> Outcome<BTreeMap<&'static str, MonoNs>> {
    let mut turned = BTreeMap::new();
    let turns = HARMS.iter().filter_map(|harm| Some((harm.name, harm.turns?)));
    for (name, mood) in turns.chain([(BURST, Mood::Holds), (WRAPS, Mood::Passes)]) {
        flows_beyond(project, name, 25)?;
        gateways[name].set(mood);
        turned.insert(name, clock::mono());
    }
    Ok(turned)
}

/// Seconds until `ps` said what is the matter with each. The one that only pauses goes on meanwhile.
fn all_are_told(
    project: &Project,
    began: MonoNs,
    turned: &BTreeMap<&'static str, MonoNs>,
    burst: &Gateway,
) -> Outcome<BTreeMap<&'static str, f64>> {
    let mut told = BTreeMap::new();
    let ask = || {
        let now = clock::mono();
        if now.saturating_since(turned[BURST]) >= SILENCE {
            burst.set(Mood::Passes);
        }
        let rows = project.ps().ok()?;
        for harm in HARMS.iter().filter(|harm| !told.contains_key(harm.name)).collect::<Vec<_>>() {
            let row = rows.iter().find(|row| row.name.as_str() == harm.name)?;
            if row.state == WorkerState::Degraded && row.why.contains(harm.says) {
                let since = turned.get(harm.name).copied().unwrap_or(began);
                told.insert(harm.name, now.saturating_since(since).as_secs_f64());
            }
        }
        let seen = rows.iter().map(|row| &row.why).find(|why| why.contains("secret"));
        (told.len() == HARMS.len() || seen.is_some()).then(|| seen.cloned())
    };
    let (shown, _) = wait_for(60, "every camera's harm to be told", ask).map_err(|failure| {
        let rows = project.ps().unwrap_or_default();
        let rows = rows.iter().map(|row| format!("{}: {}", row.name, row.why));
        Failure(format!("{failure}: {:?}", rows.collect::<Vec<_>>()))
    })?;
    ensure(shown.is_none(), || format!("a password is shown: {shown:?}"))?;
    Ok(told)
}

/// Each is well again; ms until its next picture.
fn all_are_back(
    project: &Project,
    gateways: &BTreeMap<&str, Gateway>,
) -> Outcome<BTreeMap<&'static str, f64>> {
    let mut back = BTreeMap::new();
    for harm in HARMS.iter().filter(|harm| harm.is_back_at_once) {
        let ring = ring(harm.name)?;
        let head = || ring_now(project.name(), &ring).head;
        let before = head();
        gateways[harm.name].set(Mood::Passes);
        let began = clock::mono();
        wait_for(60, &format!("{} to be back", harm.name), || (head() > before).then_some(()))?;
        back.insert(harm.name, ms_since(began).round());
    }
    Ok(back)
}

/// Requests of a method in the first try.
fn first_try(gateway: &Gateway, method: &str) -> usize {
    let requests = gateway.requests();
    let gap = |pair: &[crate::gateway::Request]| pair[1].at.saturating_since(pair[0].at) >= ONE_TRY;
    let end = requests.windows(2).position(gap).map_or(requests.len(), |at| at + 1);
    requests[..end].iter().filter(|request| request.text.starts_with(method)).count()
}

/// How often a password that is wrong was told, and within how many seconds.
pub(super) fn passwords(gateway: &Gateway) -> Outcome<Map<String, Value>> {
    let requests = gateway.requests();
    let with: Vec<_> =
        requests.iter().filter(|request| request.text.contains("Authorization")).collect();
    let since = requests.first().map_or(0.0, |first| ms_since(first.at) / 1000.0);
    let closest = with.windows(2).map(|pair| pair[1].at.saturating_since(pair[0].at)).min();
    ensure(!with.is_empty() && closest.is_none_or(|gap| gap >= Duration::from_secs(10)), || {
        format!("a wrong password was told {} times in {since:.1} s", with.len())
    })?;
    let figures = [("wrong_password_told", json!(with.len())), ("within_s", json!(since.round()))];
    Ok(figures.map(|(key, value)| (key.to_owned(), value)).into_iter().collect())
}

/// Pictures in a camera's ring, each a frame's time behind the one before.
fn pictures_without_a_hole(project: &Project, camera: &str) -> Outcome<usize> {
    // Seconds of them came after what happened to it.
    flows_beyond(project, camera, 300)?;
    let options = PacketOptions { reader: "check".into(), start: Start::Oldest };
    let mut reader =
        PacketReader::attach(project.name(), &ring(camera)?, &options).map_err(Failure::new)?;
    let mut times = Vec::new();
    loop {
        let packet = match reader.next(Duration::ZERO).map_err(Failure::new)? {
            Next::Item(packet) => packet,
            Next::Quiet => break,
            other => {
                return Err(Failure(format!("{camera}: {other:?} where packets were expected")));
            }
        };
        let is_marked = packet.meta.corrupt || packet.meta.discontinuity && !times.is_empty();
        ensure(!is_marked, || {
            format!("{camera}: packet {} is marked: {:?}", packet.sequence, packet.meta)
        })?;
        times.push(packet.meta.pts_ns);
    }
    let hole = times.windows(2).position(|pair| pair[1] - pair[0] != 40_000_000);
    ensure(times.len() >= 300 && hole.is_none(), || {
        format!("{camera}: {} pictures, a hole after number {hole:?}", times.len())
    })?;
    Ok(times.len())
}

fn flows_beyond(project: &Project, camera: &str, pictures: u64) -> Outcome<()> {
    let ring = ring(camera)?;
    let flows = || (ring_now(project.name(), &ring).head > pictures).then_some(());
    wait_for(60, &format!("{pictures} pictures of {camera}"), flows).map(drop)
}

fn ring(camera: &str) -> Outcome<RingName> {
    Project::ring(&format!("{camera}.packets"))
}
