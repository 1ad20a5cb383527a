//! One session's streams: which tracks were set up where, and the packets of each unit. Sans-IO: units in, packets
//! out, and what the client says of them.

use std::sync::Arc;

use protocol::time::MonoNs;

use crate::envelope::{Datagrams, Envelope, Frame, Part, Stamp};
use crate::print::Print;
use crate::rtp::reception::Reception;
use crate::rtp::rtcp;
use crate::rtp::sender::{Beginning, Channels, Sender};
use crate::sdp::{Presentation, Served};
use crate::transport::{Group, Mode, Place, Ports};
use crate::unit::Unit;

/// What was set up. Invariant: no channel and no port of the client belongs to two streams, and each stream's two
/// differ; all streams travel alike.
#[derive(Debug)]
pub struct Playback {
    presentation: Arc<Presentation>,
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    track: u32,
    place: Place,
    sender: Sender,
    plays: bool,
    /// Began while others were playing, or units went by while it paused: nothing before the next key frame decodes.
    needs_entry: bool,
    /// Stream time of the first unit after PLAY; the timestamps of all tracks that began together are counted from
    /// it, so that they stay in step.
    anchor_ns: Option<i64>,
}

/// Where a stream is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// On these channels; `None` leaves the choice to us.
    Interleaved(Option<Channels>),
    Multicast(Group),
    Unicast {
        client: Ports,
        server: Ports,
    },
}

/// What RTP-Info says of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    pub track: u32,
    pub sequence: u16,
    pub ticks: u32,
}

/// How one stream fares.
#[derive(Clone, Copy, Debug)]
pub struct Fare<'a> {
    pub track: u32,
    /// Sent so far, modulo 2^32.
    pub packets: u32,
    pub reception: Option<&'a Reception>,
}

impl Playback {
    pub fn new(presentation: Arc<Presentation>) -> Self {
        Self { presentation, streams: Vec::new() }
    }

    pub fn presentation(&self) -> &Arc<Presentation> {
        &self.presentation
    }

    /// How its streams travel, once there is one.
    pub fn mode(&self) -> Option<Mode> {
        self.streams.first().map(|stream| stream.place.mode())
    }

    pub fn place(&self, track: u32) -> Option<Place> {
        self.streams.iter().find(|stream| stream.track == track).map(|stream| stream.place)
    }

    /// Sets a track up, or again. Honours the channels asked for unless another stream has one of
    /// them; assigns the lowest free pair then. `None` when all channels are taken, or a port of the client is
    /// another stream's.
    pub fn set_up(
        &mut self,
        track: &Served,
        wanted: Wanted,
        beginning: Beginning,
    ) -> Option<Place> {
        let others = self.streams.iter().filter(|stream| stream.track != track.index);
        let others: Vec<Place> = others.map(|stream| stream.place).collect();
        let place = match wanted {
            Wanted::Interleaved(wanted) => Place::Interleaved(free_channels(&others, wanted)?),
            Wanted::Multicast(group) => Place::Multicast(group),
            Wanted::Unicast { client, server } => {
                is_free_port(&others, client).then_some(Place::Unicast { client, server })?
            }
        };
        self.streams.retain(|stream| stream.track != track.index);
        let sender =
            Sender::new(&track.format, Beginning { ssrc: ssrc(&place, beginning), ..beginning });
        let (plays, needs_entry, anchor_ns) = (false, false, None);
        self.streams.push(Stream {
            track: track.index,
            place,
            sender,
            plays,
            needs_entry,
            anchor_ns,
        });
        Some(place)
    }

    /// PLAY of one track or of all: where each stream that did not play begins. Holds for the first packets that
    /// follow, whatever they are. `None` for a track that was not set up.
    pub fn start(&mut self, track: Option<u32>, now: MonoNs) -> Option<Vec<Start>> {
        if track.is_some_and(|track| self.place(track).is_none()) {
            return None;
        }
        let others_play = self.plays();
        let presentation = Arc::clone(&self.presentation);
        let chosen =
            self.streams.iter_mut().filter(|stream| track.is_none_or(|it| it == stream.track));
        let starts = chosen.filter(|stream| !stream.plays).map(|stream| {
            let needs_entry = others_play && presentation.is_entry(stream.track, true);
            stream.begin(needs_entry, now)
        });
        Some(starts.collect())
    }

    /// PLAY of a range, for one track or for all: whatever plays begins anew with it, since all tracks are at one place.
    /// `None`, and nothing is changed, for a track that was not set up.
    pub fn start_anew(&mut self, track: Option<u32>, now: MonoNs) -> Option<Vec<Start>> {
        if track.is_some_and(|track| self.place(track).is_none()) {
            return None;
        }
        let is_chosen =
            |stream: &&mut Stream| stream.plays || track.is_none_or(|track| track == stream.track);
        let chosen = self.streams.iter_mut().filter(is_chosen);
        Some(chosen.map(|stream| stream.begin(false, now)).collect())
    }

    /// PAUSE of one track or of all.
    pub fn pause(&mut self, track: Option<u32>) {
        for stream in &mut self.streams {
            stream.plays &= track.is_some_and(|it| it != stream.track);
        }
    }

    /// Whether any track plays.
    pub fn plays(&self) -> bool {
        self.streams.iter().any(|stream| stream.plays)
    }

    /// Forgets a track; `false`, and nothing is changed, when it is the only one.
    pub fn drop_track(&mut self, track: u32) -> bool {
        let others = self.streams.iter().any(|stream| stream.track != track);
        self.streams.retain(|stream| !others || stream.track != track);
        others
    }

    /// The track whose frames `channel` carries.
    pub fn track_on(&self, channel: u8) -> Option<u32> {
        let has = |place: &Place| match place {
            Place::Interleaved(channels) => [channels.rtp, channels.rtcp].contains(&channel),
            Place::Multicast(_) | Place::Unicast { .. } => false,
        };
        self.streams.iter().find(|stream| has(&stream.place)).map(|stream| stream.track)
    }

    /// Takes note of a compound packet that came for `track`.
    pub fn hear(&mut self, track: u32, packet: &[u8], now: MonoNs) {
        let Some(stream) = self.stream(track) else { return };
        for block in rtcp::blocks(packet) {
            stream.sender.hear(&block, now);
        }
    }

    /// How each stream fares.
    pub fn fares(&self) -> impl Iterator<Item = Fare<'_>> {
        self.streams.iter().map(|stream| Fare {
            track: stream.track,
            packets: stream.sender.counts().0,
            reception: stream.sender.reception(),
        })
    }

    /// Writes `unit`, behind a sender report when one is due. Writes nothing for a track that does not play.
    pub fn write(&mut self, unit: &Unit, now: MonoNs, out: Outlet<'_>) {
        let Some((at, anchor_ns)) = self.taker(unit) else { return };
        let stream = &mut self.streams[at];
        let Some(mut envelope) = out.of(stream.track, &stream.place) else { return };
        if stream.sender.report_due(now) {
            let cname = self.presentation.path();
            stream.sender.report(unit, anchor_ns, now, cname, &mut envelope);
        }
        stream.sender.send(unit, anchor_ns, now, &mut envelope);
    }

    /// As [`Self::write`], of interleaved streams that are sent the same unit one after the other: its frames in `print`,
    /// or in `aside` behind a sender report.
    pub fn print<'a>(
        &mut self,
        unit: &Arc<Unit>,
        now: MonoNs,
        print: &'a mut Print,
        aside: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        let Some((at, anchor_ns)) = self.taker(unit) else { return &[] };
        let stream = &mut self.streams[at];
        let Place::Interleaved(channels) = stream.place else { return &[] };
        if !stream.sender.report_due(now) {
            return stream.sender.print(unit, anchor_ns, now, channels, print);
        }
        aside.clear();
        let cname = self.presentation.path();
        stream.sender.report(unit, anchor_ns, now, cname, &mut Frame::new(aside, channels));
        aside.extend_from_slice(stream.sender.print(unit, anchor_ns, now, channels, print));
        aside
    }

    /// The stream that takes `unit`, and what it counts from; `None` for a track that does not play.
    fn taker(&mut self, unit: &Unit) -> Option<(usize, i64)> {
        let Some(at) = self.streams.iter().position(|stream| stream.takes(unit)) else {
            self.pass_by(unit);
            return None;
        };
        let anchor_ns = self.anchor(at, unit.pts_ns);
        self.streams[at].needs_entry = false;
        Some((at, anchor_ns))
    }

    /// Of a track that pauses while others play.
    fn pass_by(&mut self, unit: &Unit) {
        let has_entries = self.presentation.is_entry(unit.track, true);
        if let Some(stream) = self.stream(unit.track).filter(|stream| !stream.plays) {
            stream.needs_entry = has_entries;
        }
    }

    /// What the stream at `at` counts from; with its first unit, all that began with it.
    fn anchor(&mut self, at: usize, pts_ns: i64) -> i64 {
        let anchor_ns = self.streams[at].anchor_ns.unwrap_or(pts_ns);
        if self.streams[at].anchor_ns.is_none() {
            for stream in self.streams.iter_mut().filter(|stream| stream.plays) {
                stream.anchor_ns.get_or_insert(anchor_ns);
            }
        }
        anchor_ns
    }

    /// When a stream for which no unit comes is due to be reported on.
    pub fn next_report(&self) -> Option<MonoNs> {
        let playing = self.streams.iter().filter(|stream| stream.plays);
        playing.filter_map(|stream| stream.sender.next_report()).min()
    }

    /// Writes the reports of streams for which no unit comes.
    pub fn report(&mut self, now: MonoNs, mut out: Outlet<'_>) {
        let cname = self.presentation.path();
        for stream in &mut self.streams {
            let due = stream.plays && stream.sender.next_report().is_some_and(|at| at <= now);
            if let Some(mut envelope) = out.again().of(stream.track, &stream.place).filter(|_| due)
            {
                stream.sender.report_again(now, cname, &mut envelope);
            }
        }
    }

    /// Writes that all streams are over of which anything was sent (RFC 3550 section 6.3.7).
    pub fn bye(&self, mut out: Outlet<'_>) {
        for stream in self.streams.iter().filter(|stream| stream.sender.counts().0 > 0) {
            if let Some(mut envelope) = out.again().of(stream.track, &stream.place) {
                stream.sender.bye(self.presentation.path(), &mut envelope);
            }
        }
    }

    fn stream(&mut self, track: u32) -> Option<&mut Stream> {
        self.streams.iter_mut().find(|stream| stream.track == track)
    }
}

impl Stream {
    /// What it begins with.
    fn begin(&mut self, needs_entry: bool, now: MonoNs) -> Start {
        (self.plays, self.anchor_ns) = (true, None);
        self.needs_entry |= needs_entry;
        self.sender.resume(now);
        Start {
            track: self.track,
            sequence: self.sender.next_sequence(),
            ticks: self.sender.start_ticks(),
        }
    }

    fn takes(&self, unit: &Unit) -> bool {
        self.plays && self.track == unit.track && (unit.entry || !self.needs_entry)
    }
}

/// The pair asked for if it is free, else the lowest free one.
fn free_channels(others: &[Place], wanted: Option<Channels>) -> Option<Channels> {
    let is_free = |pair: &Channels| {
        others.iter().all(|other| match other {
            Place::Interleaved(taken) => [taken.rtp, taken.rtcp]
                .iter()
                .all(|channel| *channel != pair.rtp && *channel != pair.rtcp),
            Place::Multicast(_) | Place::Unicast { .. } => true,
        })
    };
    let mut pairs = (0..=254).step_by(2).map(|rtp| Channels { rtp, rtcp: rtp + 1 });
    wanted.filter(is_free).or_else(|| pairs.find(is_free))
}

/// Of a group all viewers have one stream, and report on that.
fn ssrc(place: &Place, beginning: Beginning) -> u32 {
    match place {
        Place::Multicast(group) => group.ssrc,
        Place::Interleaved(_) | Place::Unicast { .. } => beginning.ssrc,
    }
}

fn is_free_port(others: &[Place], wanted: Ports) -> bool {
    others.iter().all(|other| match other {
        Place::Unicast { client, .. } => !client.overlap(wanted),
        Place::Interleaved(_) | Place::Multicast(_) => true,
    })
}

/// Where the packets of all streams go.
#[derive(Debug)]
pub enum Outlet<'a> {
    Datagrams(&'a mut Datagrams),
    Interleaved(&'a mut Vec<u8>),
}

impl<'a> Outlet<'a> {
    /// The same one for a shorter time.
    fn again(&mut self) -> Outlet<'_> {
        match self {
            Self::Datagrams(datagrams) => Outlet::Datagrams(datagrams),
            Self::Interleaved(bytes) => Outlet::Interleaved(bytes),
        }
    }

    /// Where the packets of one stream go.
    fn of(self, track: u32, place: &Place) -> Option<Way<'a>> {
        match (self, place) {
            (Self::Interleaved(bytes), Place::Interleaved(channels)) => {
                Some(Way::Frame(Frame::new(bytes, *channels)))
            }
            (Self::Datagrams(datagrams), Place::Multicast(_) | Place::Unicast { .. }) => {
                Some(Way::Stamp(datagrams.of_track(track)))
            }
            (Self::Interleaved(_), _) | (Self::Datagrams(_), Place::Interleaved(_)) => None,
        }
    }
}

/// Where the packets of one stream go.
#[derive(Debug)]
enum Way<'a> {
    Frame(Frame<'a>),
    Stamp(Stamp<'a>),
}

impl Envelope for Way<'_> {
    fn begin(&mut self, part: Part) -> &mut Vec<u8> {
        match self {
            Self::Frame(frame) => frame.begin(part),
            Self::Stamp(stamp) => stamp.begin(part),
        }
    }

    fn end(&mut self) {
        match self {
            Self::Frame(frame) => frame.end(),
            Self::Stamp(stamp) => stamp.end(),
        }
    }
}
