//! `manifest.json`: what an export holds, for people and programs that were not there.

use std::time::{Duration, UNIX_EPOCH};

use protocol::name::RingName;
use protocol::stream::FrameId;
use protocol::time::UtcNs;
use protocol::verb::{Export, ExportCut, ExportGaps};
use recordings::cut::{ClockSource, Footage, Missing, Part, Point, Why};
use serde::{Serialize, Serializer};

use crate::export::Written;
use crate::hashing::Hash;
use crate::skew::{self, Skew, ms};

/// What it is called in an export.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Of this form; another one gets another number.
const VERSION: u32 = 2;

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manifest {
    pub version: u32,
    pub made_by: String,
    pub made: Time,
    /// The camera or group.
    pub name: String,
    /// As asked for; a cut at key frames begins before and ends behind.
    pub from: Time,
    pub to: Time,
    /// `exact`: pictures were encoded anew, for a cut at any picture; else all is as it was recorded.
    pub cut: ExportCut,
    /// What is shown where nothing was recorded.
    pub gaps: ExportGaps,
    pub cameras: Vec<Camera>,
    /// Between the cameras; `None` for one, or when no two show something together.
    pub skew: Option<Skew>,
    /// What was said of the time, in its order.
    pub comments: Vec<Comment>,
}

/// What a person or a program said of a moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comment {
    pub camera: String,
    pub at: Time,
    /// The picture it is about, when there is one.
    pub frame: Option<FrameId>,
    pub author: String,
    pub text: String,
    pub tags: Vec<String>,
    pub made: Time,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Camera {
    pub name: String,
    pub ring: Option<RingName>,
    pub clock: Option<CameraClock>,
    pub files: Vec<File>,
    pub gaps: Vec<Gap>,
}

/// How well the time of a picture is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CameraClock {
    /// `camera`: its own clock; `arrival`: when the host had it; `both`: it changed.
    pub source: &'static str,
    /// 19 of 20 packets came no later than this after what `clock` of the file says.
    pub jitter_ms: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct File {
    pub file: String,
    pub bytes: u64,
    pub hash: Hash,
    /// When its first picture was captured, and when its last one ends.
    pub from: Time,
    pub to: Time,
    /// Ranges of the ring's packets that it is made of, oldest first.
    pub packets: Vec<Packets>,
    /// When what is shown at `at_s` of the file was captured; it goes on at the same pace.
    pub clock: Vec<Shown>,
    /// Fragments whose checksum differs: the recording is damaged there, and so is this.
    pub damaged: u64,
}

/// Packets of one epoch, without a hole. With the ring's name these are frame ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Packets {
    pub epoch: u64,
    pub first: u64,
    pub last: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shown {
    pub at_s: f64,
    pub utc: Time,
}

/// A time of which there is nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    pub from: Time,
    pub to: Time,
    pub reason: &'static str,
    /// The same in words.
    pub why: &'static str,
    /// That were published and not recorded; `null` when nobody counted.
    pub packets: Option<u64>,
}

/// RFC 3339 in UTC, to the ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub UtcNs);

impl Time {
    /// To the ms, for people.
    pub fn short(self) -> String {
        let time = UNIX_EPOCH + Duration::from_nanos(self.0.0);
        humantime::format_rfc3339_millis(time).to_string()
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = UNIX_EPOCH + Duration::from_nanos(self.0.0);
        serializer.collect_str(&humantime::format_rfc3339_nanos(time))
    }
}

impl Manifest {
    /// `written`: the files of each camera, in the order of `footage`.
    pub(crate) fn of(
        wanted: &Export,
        footage: &[Footage],
        written: &[Vec<Written>],
        now: UtcNs,
    ) -> Self {
        let captures: Vec<Vec<u64>> = footage.iter().map(Footage::captures).collect();
        let captures: Vec<&[u64]> = captures.iter().map(Vec::as_slice).collect();
        let uncertain_ns = footage.iter().map(|of| of.clock.jitter_ns).max().unwrap_or(0);
        Self {
            version: VERSION,
            made_by: format!("framevisor {}", env!("CARGO_PKG_VERSION")),
            made: Time(now),
            name: wanted.name.clone(),
            from: Time(wanted.from),
            to: Time(wanted.to),
            cut: wanted.cut,
            gaps: wanted.gaps,
            cameras: footage.iter().zip(written).map(|(of, files)| camera(of, files)).collect(),
            skew: skew::between(&captures, uncertain_ns),
            comments: comments(footage),
        }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &File> {
        self.cameras.iter().flat_map(|camera| &camera.files)
    }
}

fn comments(footage: &[Footage]) -> Vec<Comment> {
    let of_camera = |footage: &Footage| {
        let camera = footage.camera.clone();
        let comments = footage.timeline.comments.clone();
        comments.into_iter().map(move |comment| Comment::of(camera.clone(), comment))
    };
    let mut all: Vec<Comment> = footage.iter().flat_map(of_camera).collect();
    all.sort_by_key(|comment| comment.at);
    all
}

impl Comment {
    fn of(camera: String, comment: recordings::Comment) -> Self {
        let recordings::Comment { made_utc_ns, remark, .. } = comment;
        let recordings::Remark { utc_ns, frame, author, text, tags } = remark;
        Self { camera, at: Time(utc_ns), frame, author, text, tags, made: Time(made_utc_ns) }
    }
}

fn camera(footage: &Footage, written: &[Written]) -> Camera {
    let clock = footage.source.map(|source| CameraClock {
        source: match source {
            ClockSource::Arrival => "arrival",
            ClockSource::Camera => "camera",
            ClockSource::Both => "both",
        },
        jitter_ms: ms(u64::try_from(footage.clock.jitter_ns).unwrap_or(0)),
    });
    Camera {
        name: footage.camera.clone(),
        ring: footage.timeline.ring.clone(),
        clock,
        files: written.iter().map(|written| file(footage, written)).collect(),
        gaps: footage.missing.iter().map(Gap::of).collect(),
    }
}

fn file(footage: &Footage, written: &Written) -> File {
    let Written { zero_ns, end_ns, .. } = *written;
    let shown = |point: Point| Shown {
        at_s: seconds(point.pts_ns.saturating_sub(zero_ns)),
        utc: Time(footage.clock.utc(point.pts_ns)),
    };
    File {
        file: written.name.clone(),
        bytes: written.sum.bytes,
        hash: written.sum.hash.clone(),
        from: Time(footage.clock.utc(zero_ns)),
        to: Time(footage.clock.utc(end_ns)),
        packets: packets(&footage.parts[written.part]),
        clock: footage.clock.points(zero_ns, end_ns).into_iter().map(shown).collect(),
        damaged: written.damaged,
    }
}

/// To the us: finer than any clock is known.
fn seconds(ns: i64) -> f64 {
    ms(u64::try_from(ns).unwrap_or(0)) / 1000.0
}

fn packets(part: &Part) -> Vec<Packets> {
    let mut all: Vec<Packets> = Vec::new();
    for piece in &part.pieces {
        let recordings::Fragment { epoch, first, last, .. } = piece.fragment;
        match all.last_mut() {
            Some(before) if before.epoch == epoch && before.last + 1 == first => before.last = last,
            _ => all.push(Packets { epoch, first, last }),
        }
    }
    all
}

impl Gap {
    fn of(missing: &Missing) -> Self {
        let (reason, why) = words(missing.why);
        let Missing { from, to, packets, .. } = *missing;
        Self { from: Time(from), to: Time(to), reason, why, packets }
    }
}

fn words(why: Why) -> (&'static str, &'static str) {
    match why {
        Why::Gap(reason) => (reason.as_str(), reason.in_words()),
        Why::NotRecorded => ("not_recorded", "nothing was recorded"),
        Why::Undecodable => ("undecodable", "there is no key frame to begin with"),
    }
}
