//! What `/metrics` says of WebRTC.

use whep::{CameraFigures, Figures};

use crate::metrics::Page;

type Figure = fn(&CameraFigures) -> u64;

/// The families, each with its kind and what it says.
const OF_CAMERA: [(&str, &str, &str, Figure); 6] = [
    ("webrtc_viewers", "gauge", "Viewers by WebRTC now.", |it| it.viewers as u64),
    ("webrtc_sessions_total", "counter", "Viewers so far.", |it| it.sessions),
    ("webrtc_units_total", "counter", "Pictures and pieces of sound sent to viewers.", |it| {
        it.units
    }),
    ("webrtc_skipped_units_total", "counter", "Those left out because a viewer was late.", |it| {
        it.skipped
    }),
    ("webrtc_sent_bytes_total", "counter", "Bytes of datagrams to viewers.", |it| it.bytes),
    ("webrtc_key_requests_total", "counter", "How often viewers asked for a key frame.", |it| {
        it.key_requests
    }),
];

/// Lines for the page of metrics.
pub fn text(figures: &Figures) -> String {
    let mut page = Page::default();
    for (name, kind, help, figure) in OF_CAMERA {
        page.family(name, kind, help);
        for (camera, counted) in &figures.cameras {
            page.sample(&[("camera", camera)], figure(counted));
        }
    }
    page.family("webrtc_viewers_max", "gauge", "The most viewers by WebRTC at once.");
    page.sample(&[], figures.viewers_max);
    page.family("webrtc_refused_total", "counter", "Offers that got no viewer.");
    page.sample(&[], figures.refused);
    page.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_are_told_by_camera() {
        let counted = CameraFigures { viewers: 3, skipped: 7, ..CameraFigures::default() };
        let cameras = [("cam1".to_owned(), counted)].into();
        let text = text(&Figures { cameras, viewers_max: 64, refused: 2 });
        for line in [
            "framevisor_webrtc_viewers{camera=\"cam1\"} 3",
            "framevisor_webrtc_skipped_units_total{camera=\"cam1\"} 7",
            "framevisor_webrtc_viewers_max 64",
            "framevisor_webrtc_refused_total 2",
        ] {
            assert!(text.lines().any(|seen| seen == line), "{line} is not in\n{text}");
        }
    }
}
