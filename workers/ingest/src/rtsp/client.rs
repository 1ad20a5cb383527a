//! One session with a camera, from DESCRIBE to TEARDOWN.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use protocol::config::ingest::Transport;
use protocol::stream::TRACKS_MAX;
use protocol::time::MonoNs;
use shmring::clock;

use super::connection::Connection;
use super::error::RtspError;
use super::format::{self, Choice, Format};
use super::intake::{Hush, Intake, Path};
use super::lane::Lane;
use super::message::{Answer, plain};
use super::ports::{Ports, is_group};
use super::sdp::{self, Kind, Media};
use super::streams::Happening;
use super::transport::{self, Agreed, Way};
use super::url::{Url, resolve};
use super::{PATIENCE, REORDER};

/// A camera that sends its viewers on sends them once or twice.
const REDIRECTS_MAX: u32 = 5;
/// Without a timeout of the camera's own: the RFC's 60 s.
const SESSION_S: u64 = 60;
const KEEP_ALIVE_LEAST: Duration = Duration::from_secs(1);
const KEEP_ALIVE_MOST: Duration = Duration::from_secs(30);
/// Streams that an error names.
const NAMED_MAX: usize = 8;
const NO_SETS: &str = "no parameter sets in its description: nothing is known of the pictures before the first key frame";
const ODD_SEQUENCE: &str =
    "odd CSeq: answers have other numbers than the requests; they are taken by their order";

/// What to connect to.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) url: String,
    /// The same without credentials.
    pub(crate) name: String,
    /// `Auto` stands for UDP here.
    pub(crate) transport: Transport,
    /// Longest wait for the first packet.
    pub(crate) first_within: Duration,
}

/// A camera that plays.
#[derive(Debug)]
pub(crate) struct Client {
    connection: Connection,
    name: String,
    intake: Intake,
    /// What the session is called in requests.
    aggregate: String,
    keep_alive: &'static str,
    keep_alive_every: Duration,
    keep_alive_at: MonoNs,
    /// What is unusual of the camera, in words.
    notes: Vec<String>,
}

impl Client {
    /// Connects and lets the camera play.
    pub(crate) fn open(wanted: &Wanted, stop: Arc<AtomicBool>) -> Result<Self, RtspError> {
        let Described { connection, answer, url, asks_parameters } = describe(wanted, stop)?;
        let name = &wanted.name;
        let description = sdp::read(&answer.body);
        let base = [answer.header("Content-Base"), answer.header("Content-Location")];
        let base = base.into_iter().flatten().find(|base| base.contains("://"));
        let base = base.map_or_else(|| url.to_string(), str::to_owned);
        let aggregate = resolve(&base, description.control.as_deref());
        let mut notes = Vec::new();
        let offered = offered(name, &description.medias, &mut notes)?;
        let mut setup = Setup {
            connection,
            name,
            wanted,
            base: &base,
            lanes: Vec::new(),
            paths: Vec::new(),
            session_s: None,
            notes,
        };
        for (media, format) in offered {
            setup.track(media, format)?;
        }
        let Setup { mut connection, lanes, paths, session_s, mut notes, .. } = setup;
        if lanes.iter().any(|lane| !lane.is_described()) {
            notes.push(NO_SETS.to_owned());
        }
        let range = [("Range", "npt=0.000-".to_owned())];
        let answer = expect(name, "PLAY", connection.ask("PLAY", &aggregate, &range)?)?;
        let now = clock::mono();
        let mut intake = Intake::new(lanes, paths, wanted.first_within, random(), now);
        if let Some(info) = answer.header("RTP-Info") {
            intake.begin(&transport::begin_ticks(info));
        }
        let half = Duration::from_secs(session_s.unwrap_or(SESSION_S)) / 2;
        let keep_alive_every = half.clamp(KEEP_ALIVE_LEAST, KEEP_ALIVE_MOST);
        Ok(Self {
            name: name.clone(),
            intake,
            aggregate,
            keep_alive: if asks_parameters { "GET_PARAMETER" } else { "OPTIONS" },
            keep_alive_every,
            keep_alive_at: now + keep_alive_every,
            notes,
            connection,
        })
    }

    /// The next thing that comes of the camera's packets; `None` when nothing does within `wait`.
    pub(crate) fn read(&mut self, wait: Duration) -> Result<Option<Happening>, RtspError> {
        let mut now = clock::mono();
        let until = now + wait;
        loop {
            if let Some(happening) = self.intake.pop() {
                return Ok(Some(happening));
            }
            self.intake.be_patient(now).map_err(|hush| self.hush(hush))?;
            self.tend(now)?;
            let was_last = now >= until;
            self.receive(until)?;
            if was_last {
                return Ok(self.intake.pop());
            }
            now = clock::mono();
        }
    }

    /// Packets that came so far.
    pub(crate) fn packets(&self) -> u64 {
        self.intake.packets()
    }

    /// The shortest time from a picture's capture to its arrival, by the camera's clock.
    pub(crate) fn delay_ns(&self) -> Option<i64> {
        self.intake.delay_ns()
    }

    /// What is unusual of the camera and does no harm here.
    pub(crate) fn oddities(&self) -> Vec<String> {
        let sequence = self.connection.has_odd_sequence().then(|| ODD_SEQUENCE.to_owned());
        self.notes.iter().cloned().chain(sequence).collect()
    }

    /// Frees the camera's session; its answer is not waited for.
    pub(crate) fn close(mut self) {
        let _ = self.connection.tell("TEARDOWN", &self.aggregate, &[]);
    }

    fn receive(&mut self, until: MonoNs) -> Result<(), RtspError> {
        let (sockets, until) = (self.intake.sockets(), self.intake.due().min(until));
        if self.connection.receive(&sockets, until, "reading")? {
            let (arrival, intake) = (clock::now(), &mut self.intake);
            self.connection
                .packets(|channel, payload| intake.channel(channel, payload, arrival))?;
        }
        self.intake.look();
        Ok(())
    }

    fn hush(&self, hush: Hush) -> RtspError {
        let name = self.name.clone();
        match hush {
            Hush::Stalled { seconds } => RtspError::Stalled { name, seconds },
            Hush::NoPicture { seconds, bytes } => RtspError::NoPicture { name, seconds, bytes },
            Hush::OnlySound { seconds, packets } => RtspError::OnlySound { name, seconds, packets },
        }
    }

    /// Keeps the session, and tells the camera how its packets come.
    fn tend(&mut self, now: MonoNs) -> Result<(), RtspError> {
        if self.connection.take_stale() {
            self.keep_alive_at = self.keep_alive_at.min(now + KEEP_ALIVE_LEAST);
        }
        if now >= self.keep_alive_at {
            self.keep_alive_at = now + self.keep_alive_every;
            self.connection.tell(self.keep_alive, &self.aggregate, &[])?;
        }
        let reports = self.intake.report(now);
        if reports.is_empty() { Ok(()) } else { self.connection.send(&reports) }
    }
}

struct Described {
    connection: Connection,
    answer: Answer,
    /// Where the camera was found in the end.
    url: Url,
    /// GET_PARAMETER is among its methods.
    asks_parameters: bool,
}

/// Finds the camera, over redirects, and asks what it has.
fn describe(wanted: &Wanted, stop: Arc<AtomicBool>) -> Result<Described, RtspError> {
    let name = &wanted.name;
    let deadline = clock::mono() + PATIENCE;
    let not_rtsp = || RtspError::NotRtsp { name: name.clone() };
    let mut url = Url::parse(&wanted.url).ok_or_else(not_rtsp)?;
    for redirects in 0.. {
        let mut connection = Connection::open(&url, name, Arc::clone(&stop), deadline)?;
        let at = url.to_string();
        let options = connection.ask("OPTIONS", &at, &[])?;
        let methods = options.header("Public").unwrap_or_default().to_ascii_uppercase();
        let accept = [("Accept", "application/sdp".to_owned())];
        let answer = connection.ask("DESCRIBE", &at, &accept)?;
        if !(300..400).contains(&answer.status) {
            let answer = expect(name, "DESCRIBE", answer)?;
            let asks_parameters = methods.contains("GET_PARAMETER");
            return Ok(Described { connection, answer, url, asks_parameters });
        }
        let last = answer.header("Location").unwrap_or("nowhere").to_owned();
        let next = Url::parse(&last).filter(|_| redirects < REDIRECTS_MAX);
        let Some(next) = next else {
            // The address may have a password in it.
            let last = Url::parse(&last)
                .map_or_else(|| "nowhere".to_owned(), |url| plain(&url.to_string()));
            return Err(RtspError::Redirects { name: name.clone(), most: REDIRECTS_MAX, last });
        };
        // A password goes to the host that it was written for, and to no other.
        let own = url.credentials.clone().filter(|_| next.host == url.host);
        url = next.with(own);
    }
    Err(not_rtsp())
}

/// An answer of success.
fn expect(name: &str, method: &'static str, answer: Answer) -> Result<Answer, RtspError> {
    let name = name.to_owned();
    match answer.status {
        200..300 => Ok(answer),
        404 => Err(RtspError::NotFound { name }),
        status => Err(RtspError::Rejected { name, method, status, reason: answer.reason }),
    }
}

/// What is carried of what the camera has: video before the rest, for the ring's key packets are those of
/// its track 0. Of several videos the first: one that never begins would hold up the others.
fn offered<'a>(
    name: &str,
    medias: &'a [Media],
    notes: &mut Vec<String>,
) -> Result<Vec<(&'a Media, Format)>, RtspError> {
    let mut leave_out = |text: String| {
        tracing::info!("track is left out: {text}");
        if notes.len() < NAMED_MAX {
            notes.push(format!("track left out: {text}"));
        }
    };
    let mut offered = Vec::new();
    let mut seen = Vec::new();
    let mut has_video = false;
    for media in medias {
        if seen.len() < NAMED_MAX {
            seen.push(format!("{:?} {}", media.kind, media.encoding));
        }
        match format::of(media) {
            Choice::Ours(_) if media.kind == Kind::Video && has_video => {
                leave_out(format!("{} is a second video", media.encoding));
            }
            Choice::Ours(format) => {
                has_video |= media.kind == Kind::Video;
                offered.push((media, *format));
            }
            Choice::Ffmpegs => return Err(RtspError::ForFfmpeg { name: name.to_owned() }),
            Choice::Nobodys if media.kind == Kind::Other => {}
            Choice::Nobodys => {
                leave_out(format!("{:?} {} is not carried", media.kind, media.encoding));
            }
        }
    }
    if offered.is_empty() {
        let seen = if seen.is_empty() { "no streams".to_owned() } else { seen.join(", ") };
        return Err(RtspError::NoTracks { name: name.to_owned(), seen });
    }
    offered.sort_by_key(|(media, _)| media.kind != Kind::Video);
    offered.truncate(TRACKS_MAX);
    Ok(offered)
}

/// Sets up one track after the other.
struct Setup<'a> {
    connection: Connection,
    name: &'a str,
    wanted: &'a Wanted,
    base: &'a str,
    lanes: Vec<Lane>,
    paths: Vec<Path>,
    session_s: Option<u64>,
    notes: Vec<String>,
}

impl Setup<'_> {
    fn track(&mut self, media: &Media, format: Format) -> Result<(), RtspError> {
        let (way, pair) = self.way()?;
        let url = resolve(self.base, media.control.as_deref());
        let answer = self.connection.ask("SETUP", &url, &[("Transport", way.header())])?;
        if !(200..300).contains(&answer.status) {
            return self.refused(media, answer);
        }
        if let Some(session) = answer.header("Session") {
            let (id, seconds) = transport::session(session);
            self.session_s = seconds.or(self.session_s);
            self.connection.set_session(id);
        }
        let agreed = transport::read(answer.header("Transport").unwrap_or_default());
        let path = self.path(media, way, pair, agreed)?;
        let number = u32::try_from(self.lanes.len()).unwrap_or(u32::MAX);
        let is_datagram = matches!(path, Path::Ports(_));
        let patience = if is_datagram { REORDER } else { Duration::ZERO };
        self.lanes.push(Lane::new(number, media.payload_type, format, patience));
        self.paths.push(path);
        Ok(())
    }

    /// What the next track is asked for.
    fn way(&self) -> Result<(Way, Option<Ports>), RtspError> {
        Ok(match self.wanted.transport {
            Transport::Tcp => {
                let channel = u8::try_from(2 * self.lanes.len()).unwrap_or(0);
                (Way::Interleaved(channel), None)
            }
            Transport::Auto | Transport::Udp => {
                let (ports, port) = Ports::pair(self.connection.local(), random())
                    .map_err(|source| RtspError::io(self.name, "opening a port", source))?;
                (Way::Udp(port), Some(ports))
            }
            Transport::Multicast => (Way::Multicast, None),
        })
    }

    /// An extra track that is refused is no reason to be without the others.
    fn refused(&mut self, media: &Media, answer: Answer) -> Result<(), RtspError> {
        let Answer { status, reason, .. } = answer;
        let name = self.name.to_owned();
        if !self.lanes.is_empty() {
            let text = format!("{:?} refused with {status} {reason}", media.kind);
            tracing::warn!("track is left out: {text}");
            self.notes.push(format!("track left out: {text}"));
            return Ok(());
        }
        let transport = match self.wanted.transport {
            Transport::Auto => Transport::Udp.as_str(),
            other => other.as_str(),
        };
        Err(match status {
            461 => RtspError::Transport { name, transport, status, reason },
            _ => RtspError::Rejected { name, method: "SETUP", status, reason },
        })
    }

    fn path(
        &self,
        media: &Media,
        way: Way,
        pair: Option<Ports>,
        agreed: Agreed,
    ) -> Result<Path, RtspError> {
        let peer = self.connection.peer().ip();
        if let Some(mut ports) = pair {
            ports.from = vec![peer];
            ports.from.extend(agreed.source.filter(|source| !source.is_unspecified()));
            if let Some((rtp, rtcp)) = agreed.server_port {
                ports.reports_to = Some(SocketAddr::new(peer, rtcp));
                ports.open_way(SocketAddr::new(peer, rtp));
            }
            return Ok(Path::Ports(ports));
        }
        if let Way::Interleaved(channel) = way {
            let asked = (channel, channel.wrapping_add(1));
            let (rtp, rtcp) = agreed.interleaved.unwrap_or(asked);
            return Ok(Path::Channels(rtp, rtcp));
        }
        let told = agreed.destination.or(media.address);
        let group = told.filter(|address: &IpAddr| is_group(*address));
        let (Some(group), Some(port)) = (group, agreed.port.or_else(|| port_of(media))) else {
            return Err(RtspError::Rejected {
                name: self.name.to_owned(),
                method: "SETUP",
                status: 200,
                reason: "without the group's address and port".to_owned(),
            });
        };
        let ports = Ports::group(group, port, self.connection.local())
            .map_err(|source| RtspError::io(self.name, "joining the group", source))?;
        Ok(Path::Ports(ports))
    }
}

fn port_of(media: &Media) -> Option<(u16, u16)> {
    (media.port > 0).then(|| (media.port, media.port.wrapping_add(1)))
}

fn random() -> u32 {
    getrandom::u32().unwrap_or(1)
}

#[cfg(test)]
mod tests;
