//! `/api/v1/recordings`: what is recorded of all cameras, and of one with all that is told of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use protocol::name::RingName;
use protocol::time::UtcNs;
use protocol::units::Span;
use recordings::{Comment, Gap, GapReason, Outline, Range, Timeline};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::answer::fresh;
use crate::guard::sight::Sight;
use crate::playback::moment::Asked;
use crate::playback::shelf::{Ask, NotPlayed, Shelf, Turn, blocking};
use crate::site::Site;

/// The list covers a day when nobody says otherwise, and a month at most.
const LISTED: Span = Span::from_millis(86_400_000);
const LISTED_MAX: Span = Span::from_millis(31 * 86_400_000);
/// A camera's own list names every stretch with its packets.
const TOLD_MAX: Span = Span::from_millis(86_400_000);

/// `/api/v1/recordings`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Recordings")]
pub struct List {
    from_utc_ns: UtcNs,
    to_utc_ns: UtcNs,
    cameras: Vec<Row>,
    groups: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RecordedCamera")]
struct Row {
    camera: String,
    /// A recorder has it open.
    recording: bool,
    /// Of all that is there, whatever the range.
    files: u64,
    bytes: u64,
    from_utc_ns: Option<UtcNs>,
    to_utc_ns: Option<UtcNs>,
    /// Of the range.
    ranges: Vec<Stretch>,
    gaps: Vec<Hole>,
    comments: Vec<Comment>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "RecordedRange")]
struct Stretch {
    from_utc_ns: UtcNs,
    to_utc_ns: UtcNs,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[schemars(rename = "RecordedGap")]
struct Hole {
    from_utc_ns: UtcNs,
    to_utc_ns: UtcNs,
    reason: GapReason,
    /// The reason for people.
    why: &'static str,
    /// Packets that were published and no file holds.
    missing: u64,
}

/// `/api/v1/recordings/CAM`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Recording")]
pub struct Told {
    camera: String,
    ring: Option<RingName>,
    recording: bool,
    from_utc_ns: UtcNs,
    to_utc_ns: UtcNs,
    spans: Vec<Spanned>,
    gaps: Vec<Hole>,
    comments: Vec<Comment>,
    /// Records of the event rings that this page still knows, oldest first.
    events: Vec<Value>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RecordedSpan")]
struct Spanned {
    from_utc_ns: UtcNs,
    to_utc_ns: UtcNs,
    first: recordings::PacketId,
    last: recordings::PacketId,
    packets: u64,
    bytes: u64,
}

pub async fn all(
    State(site): State<Arc<Site>>,
    Extension(sight): Extension<Sight>,
    Ask(asked): Ask<Asked>,
) -> Result<Response, NotPlayed> {
    site.shelf.root()?;
    let range = asked.range(site.now_utc(), Some(LISTED), LISTED_MAX)?.range;
    let turn = site.shelf.turn(Turn::Look).await?;
    let shelf = Arc::clone(&site.shelf);
    let list = blocking(move || {
        let _turn = turn;
        list(&shelf, range, &sight)
    });
    Ok(fresh(Json(list.await?)).into_response())
}

/// Of the cameras that may be seen; a group without any is not told to who does not see all.
fn list(shelf: &Shelf, range: Range, sight: &Sight) -> Result<List, NotPlayed> {
    let mut names = shelf.cameras()?;
    names.retain(|camera| sight.sees(camera));
    let mut groups = shelf.groups(&names);
    groups.retain(|_, cameras| sight.sees_all() || !cameras.is_empty());
    let groups = groups.into_iter().map(|(name, cameras)| (name.to_owned(), cameras)).collect();
    let cameras = names.into_iter().map(|camera| row(shelf, camera, range));
    let (from_utc_ns, to_utc_ns) = (range.from, range.to);
    Ok(List { from_utc_ns, to_utc_ns, cameras: cameras.collect::<Result<_, _>>()?, groups })
}

fn row(shelf: &Shelf, camera: String, range: Range) -> Result<Row, NotPlayed> {
    let folder = shelf.folder(&camera)?.find()?;
    let outline = Outline::read(&folder, range)?;
    let is_wanted =
        |comment: &Comment| range.from <= comment.remark.utc_ns && comment.remark.utc_ns < range.to;
    let mut comments = recordings::comments(&folder)?;
    comments.retain(is_wanted);
    Ok(Row {
        camera,
        recording: recordings::is_written(&folder),
        files: outline.files,
        bytes: outline.bytes,
        from_utc_ns: outline.from,
        to_utc_ns: outline.to,
        ranges: outline.ranges.iter().map(Stretch::of).collect(),
        gaps: outline.gaps.iter().map(Hole::of).collect(),
        comments,
    })
}

pub async fn one(
    State(site): State<Arc<Site>>,
    Path(camera): Path<String>,
    Ask(asked): Ask<Asked>,
) -> Result<Response, NotPlayed> {
    let folder = site.shelf.folder(&camera)?;
    let range = asked.range(site.now_utc(), Some(LISTED), TOLD_MAX)?.range;
    let turn = site.shelf.turn(Turn::Look).await?;
    let timeline = blocking(move || {
        let _turn = turn;
        let folder = folder.find()?;
        let recording = recordings::is_written(&folder);
        let mut timeline = Timeline::read(&folder, range)?;
        // Not told, and by far the most of it.
        timeline.fragments = Vec::new();
        Ok((timeline, recording))
    });
    let (timeline, recording) = timeline.await?;
    let events = events(&site, &camera, range);
    let told = Told {
        camera,
        ring: timeline.ring,
        recording,
        from_utc_ns: range.from,
        to_utc_ns: range.to,
        spans: timeline.spans.iter().map(Spanned::of).collect(),
        gaps: timeline.gaps.iter().map(Hole::of).collect(),
        comments: timeline.comments,
        events,
    };
    Ok(fresh(Json(told)).into_response())
}

fn events(site: &Site, camera: &str, range: Range) -> Vec<Value> {
    let records = serde_json::to_value(site.events.newest_first()).unwrap_or_default();
    let is_wanted = |record: &Value| {
        let at = record["time_utc_ns"].as_u64().unwrap_or(0);
        record["camera"] == camera && range.from.0 <= at && at < range.to.0
    };
    let all = records.as_array().into_iter().flatten().rev();
    all.filter(|record| is_wanted(record)).cloned().collect()
}

impl Stretch {
    fn of((from, to): &(UtcNs, UtcNs)) -> Self {
        Self { from_utc_ns: *from, to_utc_ns: *to }
    }
}

impl Hole {
    fn of(gap: &Gap) -> Self {
        let Gap { from, to, missing, reason, .. } = *gap;
        Self { from_utc_ns: from, to_utc_ns: to, reason, why: reason.in_words(), missing }
    }
}

impl Spanned {
    fn of(span: &recordings::Span) -> Self {
        let recordings::Span { from, to, first, last, packets, bytes } = *span;
        Self { from_utc_ns: from, to_utc_ns: to, first, last, packets, bytes }
    }
}
