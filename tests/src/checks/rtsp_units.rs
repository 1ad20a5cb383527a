//! What a viewer gets is what the camera sent, byte for byte: for a minute, through kills of the server, and
//! whenever it comes.

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use protocol::time::{MonoNs, NS_PER_S};
use serde_json::{Value, json};

use super::{RESTART_AT_ONCE, median_and_worst, ms, ms_since};
use crate::peer::Peer;
use crate::processes::{self, Pauses};
use crate::project::{Project, free_port};
use crate::viewer::facts::Facts;
use crate::viewer::judge::{Seen, Sent, Sequence};
use crate::viewer::source::Source;
use crate::viewer::{self, Client, Over};
use crate::{Failure, Outcome, ensure};

/// Of RTP, so that IP and UDP fit into 1500 beside it.
const PACKET_MAX_BYTES: usize = 1472;
/// Players count on a report so often; the times that they state are those of pictures.
const REPORT_EVERY_S: u64 = 5;
/// What a viewer of a killed server watches before the next kill: a second at least.
const UNITS_BETWEEN_KILLS: usize = 25;
/// Late joins look at a second and a half, which is past what the burst of a group holds when it comes late.
const UNITS_OF_A_JOIN: usize = 40;
/// What the server's reader of the ring may take to have what was published: a busy machine lets it wait.
const READ_LATE: Duration = Duration::from_secs(2);

/// A camera whose frame code goes on for ever, served over RTSP.
fn served(gop: u32, more: &str) -> Outcome<(Project, u16)> {
    let port = free_port()?;
    let project = Project::new(&format!(
        "version: 1
workers:
  cam: {{use: ingest, source: 'test:?size=320x192&fps=25&gop={gop}&bitrate=2000k&mode=live'}}
  rtsp: {{use: rtsp, in: cam.packets, listen: '127.0.0.1:{port}'{more}}}
"
    ))?;
    project.up()?;
    Ok((project, port))
}

fn url(port: u16) -> String {
    format!("rtsp://127.0.0.1:{port}/cam")
}

fn source(project: &Project) -> Outcome<Source> {
    Ok(Source::of(project.name(), &Project::ring("cam.packets")?))
}

/// Watches for so long; every access unit equals the source's, none is missing.
pub fn are_the_sources(over: Over, seconds: u64) -> Outcome<Value> {
    let (project, port) = served(25, "")?;
    let source = source(&project)?;
    let transport = "RTP/AVP;unicast;client_port=29990-29991";
    if over == Over::Udp && !viewer::serves(port, &url(port), transport)? {
        return Err(Failure::new("not served: SETUP with RTP/AVP over UDP is refused"));
    }
    let mut client = Client::connect(port)?;
    client.play(&url(port), over)?;
    let wanted = usize::try_from(seconds * super::FPS).map_err(Failure::new)?;
    let mut count = 0;
    let stream = client.watch(|_| {
        count += 1;
        count < wanted
    })?;
    let sequence = source.finish()?;
    project.down()?;
    let mut figures = exact(&sequence, &stream.seen, &format!("{over:?}"))?;
    is_reported_on(&stream.facts, seconds)?;
    figures["largest_packet_bytes"] = json!(stream.facts.largest_bytes);
    figures["reports"] = json!(stream.facts.reports_ns.len());
    figures["longest_without_report_ms"] = json!(ms(stream.facts.longest_silence_ns()).round());
    Ok(figures)
}

/// Packets that fit into those of Ethernet, one source, and its clock told so often that players count on it.
fn is_reported_on(facts: &Facts, seconds: u64) -> Outcome<()> {
    ensure(facts.ssrcs.len() == 1 && facts.largest_bytes <= PACKET_MAX_BYTES, || {
        format!("{} bytes at most, of sources {:?}", facts.largest_bytes, facts.ssrcs)
    })?;
    let (reports, silence) = (facts.reports_ns.len() as u64, facts.longest_silence_ns());
    ensure(reports >= seconds / REPORT_EVERY_S && silence <= REPORT_EVERY_S * NS_PER_S, || {
        format!("{reports} reports in {seconds} s, {silence} ns from one to the next at most")
    })
}

/// Figures of a viewer that has to be exact.
fn exact(sequence: &Sequence, seen: &[Seen], who: &str) -> Outcome<Value> {
    let mut verdict = sequence.judge(seen);
    ensure(verdict.is_exact(), || format!("{who}: not the source's units: {verdict:?}"))?;
    verdict.delays_ns.sort_unstable();
    let at = |percent: usize| ms(verdict.delays_ns[(verdict.delays_ns.len() - 1) * percent / 100]);
    Ok(json!({
        "units": verdict.units, "foreign": 0, "lost": 0,
        "capture_to_client_ms_p50": at(50), "capture_to_client_ms_p99": at(99),
    }))
}

/// Kills the server so many times under a viewer, which connects anew at once: nobody is refused, every answer is
/// a picture, and what it sees each time is the source's from a key frame on.
pub fn through_kills(kills: u32, seed: u64) -> Outcome<Value> {
    let outcome = killed(kills, seed);
    super::kills::told_with(seed, outcome)
}

fn killed(kills: u32, seed: u64) -> Outcome<Value> {
    let (project, port) = served(25, RESTART_AT_ONCE)?;
    let source = source(&project)?;
    let mut pauses = Pauses::new(seed);
    let (mut lives, mut back_ms, mut tries) = (Vec::new(), Vec::new(), 0);
    for kill in 0..=kills {
        let began = shmring::clock::mono();
        let (client, asked) = viewer::play_again(port, &url(port), Over::Tcp)?;
        tries += asked;
        if kill > 0 {
            back_ms.push(ms_since(began));
        }
        let victim = project.pid("rtsp")?;
        let pause = pauses.below(Duration::from_secs(1));
        let (killer, mut count) = (&project, 0);
        let seen = thread::scope(|scope| {
            let (tell, told) = std::sync::mpsc::channel::<()>();
            let dies = scope.spawn(move || {
                // It ends when the viewer has gone, too.
                let _ = told.recv();
                thread::sleep(pause);
                if kill < kills {
                    processes::signal(victim, Signal::SIGKILL);
                }
            });
            let mut seen = Vec::new();
            let ended = client.watch(|one| {
                seen.push(*one);
                count += 1;
                if count == UNITS_BETWEEN_KILLS {
                    let _ = tell.send(());
                }
                kill < kills || count < UNITS_BETWEEN_KILLS
            });
            drop(tell);
            let _ = dies.join();
            // Its server was killed: that it closed is what was asked for.
            ensure(kill < kills || ended.is_ok(), || format!("the last viewer: {ended:?}"))?;
            Ok::<_, Failure>(seen)
        })?;
        ensure(seen.len() >= UNITS_BETWEEN_KILLS, || {
            format!("only {} units between two kills", seen.len())
        })?;
        lives.push(seen);
        if kill < kills {
            killer.wait_restarted("rtsp", victim)?;
        }
    }
    let sequence = source.finish()?;
    project.down()?;
    let mut units = 0;
    for (number, seen) in lives.iter().enumerate() {
        exact(&sequence, seen, &format!("after kill {number}"))?;
        units += seen.len();
    }
    let (p50, worst) = median_and_worst(&mut back_ms);
    Ok(json!({
        "kills": kills, "refused": 0, "units": units, "answers": tries,
        "back_ms_p50": p50, "back_ms_worst": worst, "seed": seed,
    }))
}

/// So many viewers that come at random instants of groups of 250 pictures: each begins with the key frame of the
/// group in progress at once, and nothing of what follows is torn or missing.
pub fn of_late_viewers(joins: u32, gop: u32, seed: u64) -> Outcome<Value> {
    super::kills::told_with(seed, late_viewers(joins, gop, seed))
}

fn late_viewers(joins: u32, gop: u32, seed: u64) -> Outcome<Value> {
    let (project, port) = served(gop, "")?;
    let source = source(&project)?;
    let mut pauses = Pauses::new(seed);
    let (mut seen, mut first_ms, mut into_group) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..joins {
        // Anywhere in a group: less than its length would leave out its end.
        thread::sleep(pauses.below(Duration::from_millis(u64::from(gop) * 40 / 8)));
        into_group.push(source.since_key().unwrap_or_default());
        let began = shmring::clock::mono();
        let mut client = Client::connect(port)?;
        client.play(&url(port), Over::Tcp)?;
        let mut count = 0;
        let own = client.watch(|_| {
            count += 1;
            if count == 1 {
                first_ms.push(ms_since(began));
            }
            count < UNITS_OF_A_JOIN
        })?;
        seen.push((began, own.seen));
    }
    let sequence = source.finish()?;
    project.down()?;
    for (number, (asked, own)) in seen.iter().enumerate() {
        exact(&sequence, own, &format!("viewer {number}"))?;
        begins_with_the_newest(&sequence, *asked, own)
            .map_err(|failure| Failure(format!("viewer {number}: {failure}")))?;
    }
    let most = into_group.iter().copied().max().unwrap_or_default();
    let (p50, worst) = median_and_worst(&mut first_ms);
    Ok(json!({
        "joins": joins, "gop": gop, "first_picture_ms_p50": p50, "first_picture_ms_worst": worst,
        "latest_in_a_group": most, "torn": 0, "missing": 0, "seed": seed,
    }))
}

/// The policy: no key frame between the viewer's first unit and the moment it asked.
fn begins_with_the_newest(sequence: &Sequence, asked: MonoNs, seen: &[Seen]) -> Outcome<()> {
    let first = seen.first().and_then(|first| sequence.find(first));
    let first = first.ok_or_else(|| Failure::new("it saw nothing of the source"))?;
    let between = |sent: &&Sent| {
        sent.key && sent.published > first.published && sent.published + READ_LATE < asked
    };
    match sequence.sent().iter().find(between) {
        None => Ok(()),
        Some(newer) => Err(Failure(format!(
            "it began {} ms before the newest key frame there was",
            newer.published.saturating_since(first.published).as_millis()
        ))),
    }
}

/// Capture to client of the same live camera from our server and from gst-rtsp-server, both at once, in windows of
/// so many seconds: medians and 99th percentiles in ms, and how far windows differ from their neighbours.
pub fn latency_beside_gst(over: Over, windows: usize, window_s: u64) -> Outcome<Value> {
    let (project, port) = served(25, "")?;
    if over == Over::Udp {
        let transport = "RTP/AVP;unicast;client_port=29990-29991";
        let is_served = viewer::serves(port, &url(port), transport)?;
        ensure(is_served, || "not served: SETUP with RTP/AVP over UDP is refused".into())?;
    }
    let mut peer = match Peer::gst(&crate::peer::Served::default())? {
        Ok(peer) => peer,
        Err(why) => return Ok(json!({ "skipped": why })),
    };
    let mut feed = peer.feed().ok_or_else(|| Failure::new("the peer takes no units"))?;
    let ring = Project::ring("cam.packets")?;
    // The same unit goes to it when our server may read it.
    let source = Source::told(project.name(), &ring, move |packet| {
        feed.push(&packet.payload, packet.meta.key)
    });
    let units = windows * usize::try_from(window_s * super::FPS).map_err(Failure::new)?;
    let (own, gst) = thread::scope(|scope| {
        let watch = |port: u16| {
            scope.spawn(move || -> Outcome<Vec<Seen>> {
                let (client, _) = viewer::play_again(port, &url(port), over)?;
                let mut count = 0;
                let stream = client.watch(|_| {
                    count += 1;
                    // The first second is the burst of a group, and the beginning of a pipeline.
                    count < units + 50
                })?;
                Ok(stream.seen)
            })
        };
        let (own, gst) = (watch(port), watch(peer.port()));
        let panicked = |_| Failure::new("a viewer panicked");
        Ok::<_, Failure>((own.join().map_err(panicked)??, gst.join().map_err(panicked)??))
    })?;
    // The peer takes units as long as there are any.
    let sequence = source.finish()?;
    drop(peer);
    project.down()?;
    let own = Delays::of(&sequence, &own[50..], windows)?;
    let gst = Delays::of(&sequence, &gst[50..], windows)?;
    Ok(json!({
        "windows": windows, "window_s": window_s, "units": units,
        "own_ms_p50": own.p50, "own_ms_p99": own.p99,
        "gst_ms_p50": gst.p50, "gst_ms_p99": gst.p99,
        "own_more_than_gst_ms_p50": ((own.p50 - gst.p50) * 1000.0).round() / 1000.0,
        "own_against_itself_ms": own.spread,
    }))
}

/// What the way took, in ms.
struct Delays {
    p50: f64,
    p99: f64,
    /// The most that the median of one window differs from that of the next.
    spread: f64,
}

impl Delays {
    /// A peer may write parameter sets that the source has not, so units of other bytes are left out; they are few.
    fn of(sequence: &Sequence, seen: &[Seen], windows: usize) -> Outcome<Self> {
        let mut all = sequence.judge(seen).delays_ns;
        ensure(all.len() * 10 >= seen.len() * 9, || {
            format!("only {} of {} units are the source's", all.len(), seen.len())
        })?;
        let median = |part: &[u64]| {
            let mut part: Vec<f64> = part.iter().copied().map(ms).collect();
            median_and_worst(&mut part).0
        };
        let medians: Vec<f64> = all.chunks(all.len().div_ceil(windows)).map(median).collect();
        let apart = medians.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        let spread = apart.fold(0.0, f64::max);
        all.sort_unstable();
        let at = |percent: usize| ms(all[(all.len() - 1) * percent / 100]);
        Ok(Self { p50: at(50), p99: at(99), spread })
    }
}
