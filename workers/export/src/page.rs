//! `index.html` beside an export: it plays all cameras on one clock, from a file, without a network. The
//! page is `page/index.html`; what it shows is put into it as JSON.

use serde::Serialize;

use crate::manifest::{Camera, Comment, File, Gap, Manifest, Time};

const TEMPLATE: &str = include_str!("page/index.html");
/// Where the data goes, and the clock that all cameras are played on.
const PLACE: &str = "{/*DATA*/}";
const SYNC: &str = "{/*SYNC*/}";

#[derive(Serialize)]
struct Data<'a> {
    name: &'a str,
    from_ms: f64,
    to_ms: f64,
    cameras: Vec<Shown<'a>>,
    comments: Vec<Note<'a>>,
}

#[derive(Serialize)]
struct Note<'a> {
    camera: &'a str,
    at_ms: f64,
    text: &'a str,
    tags: &'a [String],
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    files: Vec<Played<'a>>,
    gaps: Vec<Hole<'a>>,
}

#[derive(Serialize)]
struct Played<'a> {
    src: &'a str,
    from_ms: f64,
    to_ms: f64,
    /// `[seconds of the file, UTC in ms]`, in the order of time.
    clock: Vec<(f64, f64)>,
}

#[derive(Serialize)]
struct Hole<'a> {
    from_ms: f64,
    to_ms: f64,
    why: &'a str,
    packets: Option<u64>,
}

pub(crate) fn page(manifest: &Manifest) -> String {
    let data = Data {
        name: &manifest.name,
        from_ms: ms(manifest.from),
        to_ms: ms(manifest.to),
        cameras: manifest.cameras.iter().map(shown).collect(),
        comments: manifest.comments.iter().map(note).collect(),
    };
    // Plain types of ours always encode. What could end the script element is written another way.
    let text = serde_json::to_string(&data).unwrap_or_default().replace('<', "\\u003c");
    TEMPLATE.replacen(SYNC, recordings::SYNC_SCRIPT, 1).replacen(PLACE, &text, 1)
}

fn shown(camera: &Camera) -> Shown<'_> {
    let files = camera.files.iter().map(played).collect();
    Shown { name: &camera.name, files, gaps: camera.gaps.iter().map(hole).collect() }
}

fn note(comment: &Comment) -> Note<'_> {
    let Comment { camera, at, text, tags, .. } = comment;
    Note { camera, at_ms: ms(*at), text, tags }
}

fn played(file: &File) -> Played<'_> {
    let clock = file.clock.iter().map(|shown| (shown.at_s, ms(shown.utc))).collect();
    Played { src: &file.file, from_ms: ms(file.from), to_ms: ms(file.to), clock }
}

fn hole(gap: &Gap) -> Hole<'_> {
    Hole { from_ms: ms(gap.from), to_ms: ms(gap.to), why: gap.why, packets: gap.packets }
}

/// UTC in ms, with us behind the point.
fn ms(time: Time) -> f64 {
    crate::skew::ms(time.0.0)
}

#[cfg(test)]
mod tests {
    use protocol::time::UtcNs;
    use protocol::verb::{ExportCut, ExportGaps};

    use super::*;

    #[test]
    fn the_page_has_its_data_and_needs_nothing_from_anywhere() {
        let time = Time(UtcNs(1_800_000_000_123_456_789));
        let gap = Gap { from: time, to: time, reason: "missing", why: "lost", packets: Some(3) };
        let camera = Camera {
            name: "a</script><b>".to_owned(),
            ring: None,
            clock: None,
            files: Vec::new(),
            gaps: vec![gap],
        };
        let manifest = Manifest {
            version: 2,
            made_by: String::new(),
            made: time,
            name: "hall".to_owned(),
            from: time,
            to: time,
            cut: ExportCut::default(),
            gaps: ExportGaps::default(),
            cameras: vec![camera],
            skew: None,
            comments: Vec::new(),
        };
        let page = page(&manifest);
        assert!(page.contains("\"from_ms\":1800000000123.456"), "no data in it");
        assert!(!page.contains(PLACE) && !page.contains(SYNC) && !page.contains("a</script>"));
        let links = ["http:", "https:", "//cdn", "import ", "fetch("];
        assert!(links.iter().all(|link| !page.contains(link)));
    }
}
