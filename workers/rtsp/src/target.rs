//! What a request's URL names: `rtsp://host:8554/<camera>[/trackID=<n>]`.
//!
//! Clients build track URLs in many ways from base and control, so empty segments, a trailing slash,
//! a query before or behind the track and any case of `trackID` are taken. The camera is only ever
//! looked up in a list; nothing here becomes a file name. Paths of recordings: [`address`].

use rtsp_types::Url;

use crate::recorded::address;
use crate::sdp;

const TRACK_KEY: &str = "trackid=";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The camera's path, without slashes at its ends.
    pub path: String,
    pub track: Option<u32>,
    base: Url,
}

impl Target {
    /// `None` for a URL without a host.
    pub fn of(url: &Url) -> Option<Self> {
        url.host()?;
        let mut segments: Vec<&str> = url.path().split('/').collect();
        segments.extend(url.query().into_iter().flat_map(|query| query.split('/').skip(1)));
        segments.retain(|segment| !segment.is_empty());
        let track = segments.last().and_then(|last| track_of(last));
        if track.is_some() {
            segments.pop();
        }
        // What follows a slash inside the query belongs to the track only.
        segments.truncate(url.path().split('/').filter(|part| !part.is_empty()).count());
        let path = address::with_times(segments.join("/"), url);
        Some(Self { base: base(url, &path), path, track })
    }

    /// The URL that relative control URLs start from; ends in a slash.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The absolute control URL of a track.
    pub fn track_url(&self, index: u32) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{}", self.path, sdp::control(index)));
        url
    }
}

fn track_of(segment: &str) -> Option<u32> {
    let key = segment.get(..TRACK_KEY.len())?;
    if !key.eq_ignore_ascii_case(TRACK_KEY) {
        return None;
    }
    segment[TRACK_KEY.len()..].parse().ok()
}

/// As the client reached us, without its credentials and query.
fn base(url: &Url, path: &str) -> Url {
    let mut base = url.clone();
    base.set_query(None);
    base.set_fragment(None);
    base.set_path(&format!("{path}/"));
    // Fails only for a URL without a host, which has no credentials either.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::of(&Url::parse(url).unwrap()).unwrap()
    }

    #[test]
    fn every_way_to_write_a_track_names_it() {
        for url in [
            "rtsp://h:8554/cam1/trackID=2",
            "rtsp://h/cam1/trackID=2/",
            "rtsp://h//cam1//trackID=2",
            "rtsp://h/cam1/trackid=2",
            "rtsp://h/cam1/trackID=2?token=x",
            "rtsp://h/cam1?token=x/trackID=2",
            "rtsp://h/cam1/?token=x/trackID=2",
        ] {
            let target = target(url);
            assert_eq!((target.path.as_str(), target.track), ("cam1", Some(2)), "{url}");
        }
    }

    #[test]
    fn a_camera_alone_names_no_track() {
        for url in ["rtsp://h/cam1", "rtsp://h/cam1/", "rtsp://h/cam1?a=b/c", "rtsp://h//cam1"] {
            let target = target(url);
            assert_eq!((target.path.as_str(), target.track), ("cam1", None), "{url}");
        }
        assert_eq!(target("rtsp://h").path, "");
        assert_eq!(target("rtsp://h/trackID=0").path, "");
    }

    #[test]
    fn paths_that_climb_name_nothing_else() {
        assert_eq!(target("rtsp://h/../../etc/passwd").path, "etc/passwd");
        assert_eq!(target("rtsp://h/cam1/trackID=x").path, "cam1/trackID=x");
        assert_eq!(target("rtsp://h/%2e%2e/x").path, "x");
    }

    #[test]
    fn the_base_is_the_clients_own_address_without_its_password() {
        let target = target("rtsp://user:pw@10.0.0.5:554/cam1/trackID=0?token=x");
        assert_eq!(target.base().as_str(), "rtsp://10.0.0.5:554/cam1/");
        assert_eq!(target.track_url(3).as_str(), "rtsp://10.0.0.5:554/cam1/trackID=3");
    }

    #[test]
    fn a_url_without_a_host_names_nothing() {
        assert_eq!(Target::of(&Url::parse("rtsp:cam1").unwrap()), None);
    }
}
