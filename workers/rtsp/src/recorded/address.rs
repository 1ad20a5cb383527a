//! What a path of a recording names: `recordings/CAMERA`, and between which times:
//! `recordings/CAMERA/from=20261120T130900Z/to=20261120T131000Z`. Pure.
//!
//! People write the times behind a question mark. Clients build the URLs of tracks from the base that
//! DESCRIBE states, without its query, and so the times are part of the path there.

use protocol::name::{RingKind, RingName};
use protocol::time::UtcNs;
use rtsp_types::Url;

use super::moment;

/// First part of every such path. No camera is called so: a ring's name has no slash.
const FOLDER: &str = "recordings";

/// What is wanted of which camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Name of the directory, which is a ring's name without its last part: nothing that climbs.
    pub camera: String,
    pub from: Option<UtcNs>,
    pub to: Option<UtcNs>,
}

impl Asked {
    /// `None` for every other path, and for one that says something else.
    pub fn of(path: &str) -> Option<Self> {
        let mut segments = path.split('/');
        if segments.next()? != FOLDER {
            return None;
        }
        let camera = folder_name(segments.next()?)?;
        let (mut from, mut to) = (None, None);
        for segment in segments {
            match segment.split_once('=')? {
                ("from", time) if from.is_none() => from = Some(moment::utc(time)?),
                ("to", time) if to.is_none() => to = Some(moment::utc(time)?),
                _ => return None,
            }
        }
        Some(Self { camera, from, to })
    }
}

/// The path with the times of the URL's query in it. Other paths stay as they are.
pub fn with_times(path: String, url: &Url) -> String {
    if path.split('/').next() != Some(FOLDER) {
        return path;
    }
    let mut path = path;
    for (key, value) in url.query_pairs() {
        // Clients append tracks to a query, too.
        let value = value.split('/').next().unwrap_or_default();
        if matches!(&*key, "from" | "to") {
            // What is no time stays as it is, and names nothing.
            let time = moment::utc(value).map_or_else(|| value.to_owned(), moment::to_clock);
            path = format!("{path}/{key}={time}");
        }
    }
    path
}

/// What rules of users are about: the path of a recording without its times. Other paths stay as they are.
pub fn without_times(path: &str) -> &str {
    let mut slashes = path.match_indices('/').map(|(at, _)| at);
    match (path.split('/').next(), slashes.nth(1)) {
        (Some(FOLDER), Some(end)) => &path[..end],
        _ => path,
    }
}

/// Directories are called as packet rings are, without the last part.
fn folder_name(camera: &str) -> Option<String> {
    let ring: RingName = format!("{camera}.packets").parse().ok()?;
    let name = ring.as_str().rsplit_once('.')?.0.to_owned();
    (ring.kind() == RingKind::Packets).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Target;

    const FROM: UtcNs = UtcNs(1_795_180_140_000_000_000);
    const TO: UtcNs = UtcNs(1_795_180_200_500_000_000);

    fn asked(url: &str) -> Option<Asked> {
        Asked::of(&Target::of(&Url::parse(url).unwrap()).unwrap().path)
    }

    #[test]
    fn times_are_read_from_the_query_and_from_the_path() {
        let whole = Asked { camera: "cam1".to_owned(), from: None, to: None };
        let cut = Asked { from: Some(FROM), to: Some(TO), ..whole.clone() };
        for url in [
            "rtsp://h/recordings/cam1",
            "rtsp://h/recordings/cam1/",
            "rtsp://h//recordings/cam1/trackID=0",
        ] {
            assert_eq!(asked(url), Some(whole.clone()), "{url}");
        }
        for url in [
            "rtsp://h/recordings/cam1?from=2026-11-20T13:09:00Z&to=20261120T131000.5Z",
            "rtsp://h/recordings/cam1?from=2026-11-20T13%3A09%3A00Z&to=20261120T131000.5Z&x=1",
            "rtsp://h/recordings/cam1?from=2026-11-20T13:09:00Z&to=20261120T131000.5Z/trackID=1",
            "rtsp://h/recordings/cam1/trackID=1?from=2026-11-20T13:09:00Z&to=20261120T131000.5Z",
            "rtsp://h/recordings/cam1/from=20261120T130900Z/to=20261120T131000.5Z/trackID=0",
        ] {
            assert_eq!(asked(url), Some(cut.clone()), "{url}");
        }
    }

    #[test]
    fn the_base_has_the_times_so_that_a_track_has_them() {
        let url = "rtsp://h:1/recordings/cam1?from=2026-11-20T13:09:00Z";
        let target = Target::of(&Url::parse(url).unwrap()).unwrap();
        let base = "rtsp://h:1/recordings/cam1/from=20261120T130900Z/";
        assert_eq!(target.base().as_str(), base);
        assert_eq!(target.track_url(1).as_str(), format!("{base}trackID=1"));
        let track = Target::of(&target.track_url(1)).unwrap();
        assert_eq!((track.path, track.track), (target.path, Some(1)));
    }

    #[test]
    fn rules_are_about_a_path_without_its_times() {
        for (path, ruled) in [
            ("recordings/cam1/from=20261120T130900Z/to=20261120T131000Z", "recordings/cam1"),
            ("recordings/cam1", "recordings/cam1"),
            ("recordings", "recordings"),
            ("cam1", "cam1"),
            ("cam1/from=20261120T130900Z/x", "cam1/from=20261120T130900Z/x"),
            ("", ""),
        ] {
            assert_eq!(without_times(path), ruled);
        }
    }

    #[test]
    fn what_is_no_recording_is_none() {
        for url in [
            "rtsp://h/cam1",
            "rtsp://h/recordings",
            "rtsp://h/recordings/..",
            "rtsp://h/recordings/a%2Fb",
            "rtsp://h/recordings/Cam",
            "rtsp://h/recordings/.lock",
            "rtsp://h/recordings/cam1/x",
            "rtsp://h/recordings/cam1?from=yesterday",
            "rtsp://h/recordings/cam1/from=20261120T130900Z?from=20261120T130900Z",
        ] {
            assert_eq!(asked(url), None, "{url}");
        }
        let live = Target::of(&Url::parse("rtsp://h/cam1?from=20261120T130900Z").unwrap()).unwrap();
        assert_eq!(live.path, "cam1");
    }
}
