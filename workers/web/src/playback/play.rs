//! `/recordings/CAM/...`: a playlist, its segments, and a cut to keep.

use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::time::UtcNs;
use protocol::units::Span;
use recordings::cut::Footage;
use recordings::{Growth, Range, Reel, Stretch, Strip, Timeline};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::guard::forwarded::Asker;
use crate::playback::moment::{Asked, Wanted};
use crate::playback::playlist::{date, playlist};
use crate::playback::shelf::{Ask, NotPlayed, Turn, blocking};
use crate::playback::transfer::{Envelope, send, sum, whole};
use crate::site::Site;

/// A playlist of a day has some 20000 segments.
const PLAYED_MAX: Span = Span::from_millis(86_400_000);
/// A file is held open for each minute of a download.
const CUT_FILES_MAX: usize = 256;
/// Names and places of segments are never used for others.
const CACHE_SEGMENT: &str = "private, max-age=600, immutable";
const CACHE_CUT: &str = "no-cache";
/// A recording that nobody goes on with, or whose end came, is told as ended so long after: a recorder is
/// restarted within seconds, and what it writes is a second or two late.
const ENDED: Duration = Duration::from_secs(30);
const LATE: Duration = Duration::from_secs(10);
/// Who has the playlist of a recording under way has asked once more by then: players ask every few seconds, a
/// page that nobody looks at once a minute.
const ASKED_UNTIL: Duration = Duration::from_secs(180);

type Shared = State<Arc<Site>>;

/// `index.m3u8`. A range that is given relative to now is sent to where it stays what it is.
pub async fn index(
    State(site): Shared,
    Path(camera): Path<String>,
    Ask(asked): Ask<Asked>,
    request: HeaderMap,
) -> Result<Response, NotPlayed> {
    let now = site.now_utc();
    let folder = site.shelf.folder(&camera)?;
    let wanted = asked.range(now, None, PLAYED_MAX)?;
    if !wanted.is_fixed {
        return Ok(moved(&asked, &wanted));
    }
    let turn = site.shelf.turn(Turn::Look).await?;
    let text = blocking(move || {
        let _turn = turn;
        let folder = folder.find()?;
        let growth = growth(&folder, &wanted, now);
        let reel = Reel::read(&folder, wanted.range, growth)?;
        if reel.segments.is_empty() {
            return Err(NotPlayed::Nothing { camera });
        }
        Ok(playlist(&reel, growth))
    });
    Ok(whole(text.await?, "application/vnd.apple.mpegurl", &request))
}

/// The same range by its times.
fn moved(asked: &Asked, wanted: &Wanted) -> Response {
    let mut to = format!("index.m3u8?from={}", date(wanted.range.from));
    if asked.to.is_some() {
        to = format!("{to}&to={}", date(wanted.range.to));
    }
    let headers = [(header::LOCATION, to.as_str()), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::FOUND, headers).into_response()
}

/// What may have been told of a range before. One without an end, or whose end came lately, may have been asked
/// for while it was recorded.
fn growth(folder: &FilePath, wanted: &Wanted, now: UtcNs) -> Growth {
    let is_late = wanted.range.to.0.saturating_add(nanoseconds(ASKED_UNTIL)) < now.0;
    match goes_on(folder, wanted, now) {
        true => Growth::UnderWay,
        false if wanted.is_endless || !is_late => Growth::Ended,
        false => Growth::None,
    }
}

/// Whether more may come: the range reaches into what is being recorded.
fn goes_on(folder: &FilePath, wanted: &Wanted, now: UtcNs) -> bool {
    if !wanted.is_open && wanted.range.to.0.saturating_add(nanoseconds(LATE)) < now.0 {
        return false;
    }
    if is_beyond(folder, wanted.range.to) {
        return false;
    }
    if recordings::is_written(folder) {
        return true;
    }
    let newest = recordings::named(folder).ok().and_then(|mut files| files.pop());
    let changed = newest.and_then(|file| file.path.metadata().ok()?.modified().ok());
    let changed = changed.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    changed.is_some_and(|at| nanoseconds(at).saturating_add(nanoseconds(ENDED)) > now.0)
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Whether something is recorded that began after a time: then all before it is.
fn is_beyond(folder: &FilePath, time: UtcNs) -> bool {
    let later = Range { from: time, to: UtcNs(u64::MAX) };
    let timeline = Timeline::read(folder, later);
    timeline
        .is_ok_and(|timeline| timeline.fragments.iter().any(|place| place.fragment.capture >= time))
}

/// `init/FILE.mp4`: what stands in front of segments, with the codecs that players ask for.
pub async fn init(
    State(site): Shared,
    Extension(asker): Extension<Asker>,
    Path((camera, file)): Path<(String, String)>,
    request: HeaderMap,
) -> Result<Response, NotPlayed> {
    let folder = site.shelf.folder(&camera)?;
    let name = file.strip_suffix(".mp4").and_then(recordings::file_name);
    let name = name.ok_or(NotPlayed::NoSegment)?.to_string();
    let turn = site.shelf.turn(Turn::Segment(asker.address)).await?;
    let (bytes, content_type) = blocking(move || {
        let _turn = turn;
        let file = recordings::RecordingFile::open(&folder.find()?.join(name))?;
        let streams = file.tracks().iter().filter_map(|track| file.stream(track.track));
        let content_type = match fmp4::codecs(streams) {
            Some(codecs) => format!("video/mp4; codecs=\"{codecs}\""),
            None => "video/mp4".to_owned(),
        };
        Ok((file.init_segment()?, content_type))
    })
    .await?;
    let tag = format!("\"{:016x}\"", sum(&bytes));
    let headers = [
        (header::CONTENT_TYPE, content_type.as_str()),
        (header::CACHE_CONTROL, CACHE_SEGMENT),
        (header::ETAG, &tag),
    ];
    let known =
        request.get(header::IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes() == tag.as_bytes());
    if known {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, bytes).into_response())
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Shift {
    #[serde(default)]
    shift: i64,
}

/// A picture of a segment.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SegmentPicture")]
struct Picture {
    epoch: u64,
    sequence: u64,
    key: bool,
    /// Where it is on the playlist's timeline, and how long it is shown, in s.
    at_s: f64,
    lasts_s: f64,
}

/// The pictures of a segment.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SegmentPictures")]
pub struct Pictures {
    ring: Option<String>,
    pictures: Vec<Picture>,
}

/// `segment/FILE/AT-BYTES.m4s`, or `.json` for the pictures that are in it.
pub async fn segment(
    State(site): Shared,
    Extension(asker): Extension<Asker>,
    Path((camera, file, place)): Path<(String, String, String)>,
    Ask(Shift { shift }): Ask<Shift>,
    request: HeaderMap,
) -> Result<Response, NotPlayed> {
    let folder = site.shelf.folder(&camera)?;
    let (place, kind) = place.split_once('.').ok_or(NotPlayed::NoSegment)?;
    let stretch = stretch(&file, place, shift).ok_or(NotPlayed::NoSegment)?;
    let turn = site.shelf.turn(Turn::Segment(asker.address)).await?;
    match kind {
        "m4s" => {
            let cut = blocking(move || {
                Ok((no_segment(Strip::of_segment(&folder.find()?, &stretch))?, turn))
            });
            let (strip, turn) = cut.await?;
            let envelope = Envelope {
                content_type: "video/iso.segment".to_owned(),
                tag: format!("{}-{place}-{shift}", stretch.file.number),
                cache: CACHE_SEGMENT,
                file_name: None,
            };
            Ok(send(strip, &envelope, &request, turn))
        }
        "json" => {
            let told = blocking(move || {
                let _turn = turn;
                no_segment(recordings::pictures(&folder.find()?, &stretch))
            });
            let (ring, shown) = told.await?;
            let pictures = shown.iter().map(Picture::of).collect();
            let told = Pictures { ring: ring.map(|ring| ring.to_string()), pictures };
            Ok(([(header::CACHE_CONTROL, CACHE_SEGMENT)], Json(told)).into_response())
        }
        _ => Err(NotPlayed::NoSegment),
    }
}

/// A place that no playlist names is no fault of the file.
fn no_segment<T>(read: Result<T, recordings::Error>) -> Result<T, NotPlayed> {
    match read {
        Err(recordings::Error::Damaged { .. }) => Err(NotPlayed::NoSegment),
        read => Ok(read?),
    }
}

impl Picture {
    #[expect(clippy::cast_precision_loss, reason = "far less than 2^53 us")]
    fn of(shown: &recordings::Shown) -> Self {
        let seconds = |ns: i64| (ns / 1_000) as f64 / 1e6;
        let (at_s, lasts_s) = (seconds(shown.pts_ns), seconds(shown.duration_ns));
        let recordings::PacketId { epoch, sequence } = shown.id;
        Self { epoch, sequence, key: shown.key, at_s, lasts_s }
    }
}

fn stretch(file: &str, place: &str, shift_ns: i64) -> Option<Stretch> {
    let (at_bytes, bytes) = place.split_once('-')?;
    let number = |digits: &str| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| plain)
    };
    let file = recordings::file_name(file)?;
    Some(Stretch { file, at_bytes: number(at_bytes)?, bytes: number(bytes)?, shift_ns })
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Part {
    part: Option<usize>,
}

/// `cut.mp4`: the range as one file, from the key frame before it on, by copy.
pub async fn cut(
    State(site): Shared,
    Extension(asker): Extension<Asker>,
    Path(camera): Path<String>,
    Ask(asked): Ask<Asked>,
    Ask(Part { part }): Ask<Part>,
    request: HeaderMap,
) -> Result<Response, NotPlayed> {
    let now = site.now_utc();
    let folder = site.shelf.folder(&camera)?;
    let range = asked.range(now, None, PLAYED_MAX)?.range;
    let turn = site.shelf.turn(Turn::Cut(asker.address)).await?;
    let look = site.shelf.turn(Turn::Look).await?;
    let name = match part {
        None => format!("{camera}-{}.mp4", compact(range.from)),
        Some(part) => format!("{camera}-{}-{part}.mp4", compact(range.from)),
    };
    let (strip, held, turn) = blocking(move || {
        let _look = look;
        let folder = folder.find()?;
        let files = Timeline::read(&folder, range)?.files.len();
        if files > CUT_FILES_MAX {
            return Err(NotPlayed::ManyFiles { files, most: CUT_FILES_MAX });
        }
        let footage = Footage::read(&camera, &folder, range)?;
        let parts = footage.parts.len();
        let strip = match part {
            _ if parts == 0 => return Err(NotPlayed::Nothing { camera }),
            None if parts > 1 => return Err(NotPlayed::Parts { camera, parts }),
            None => Strip::of_cut(&footage, 0)?,
            Some(part) => {
                part.checked_sub(1).map(|at| Strip::of_cut(&footage, at)).transpose()?.flatten()
            }
        };
        let none = NotPlayed::NoPart { part: part.unwrap_or(1), parts };
        Ok((strip.ok_or(none)?, footage, turn))
    })
    .await?;
    let envelope = Envelope {
        content_type: "video/mp4".to_owned(),
        tag: format!("{:016x}", strip.identity()),
        cache: CACHE_CUT,
        file_name: Some(name),
    };
    // The files stay until the last byte is sent.
    let response = send(strip, &envelope, &request, turn);
    Ok(response.map(|body| kept(body, held)))
}

/// A body that keeps something until it is sent, or nobody reads it any more.
fn kept<T: Send + 'static>(body: axum::body::Body, what: T) -> axum::body::Body {
    use futures_util::StreamExt;
    let stream = body.into_data_stream();
    axum::body::Body::from_stream(stream.inspect(move |_| {
        let _held = &what;
    }))
}

/// As in names of exports: `20261120T130900Z`.
fn compact(utc: UtcNs) -> String {
    let text = date(utc);
    let seconds = text.split_once('.').map_or(text.as_str(), |(seconds, _)| seconds);
    format!("{}Z", seconds.replace(['-', ':'], ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_a_file_of_ours_and_a_place_in_it() {
        let name = "20261120T130900.123Z-00000042";
        let found = stretch(name, "100-2000", -5).unwrap();
        assert_eq!(found.file.to_string(), format!("{name}.mp4"));
        assert_eq!((found.at_bytes, found.bytes, found.shift_ns), (100, 2000, -5));
        for (file, place) in [
            ("../20261120T130900.123Z-00000042", "1-2"),
            ("20261120T130900.123Z-00000042.mp4", "1-2"),
            ("20261120T130900.123Z-42", "1-2"),
            ("x/20261120T130900.123Z-00000042", "1-2"),
            ("", "1-2"),
            (name, "1"),
            (name, "-1-2"),
            (name, "+1-2"),
            (name, "1-99999999999999999999"),
        ] {
            assert_eq!(stretch(file, place, 0), None, "{file} {place}");
        }
    }

    #[test]
    fn a_cut_is_called_after_its_camera_and_its_begin() {
        assert_eq!(compact(UtcNs(1_795_180_140_123_000_000)), "20261120T130900Z");
    }
}
