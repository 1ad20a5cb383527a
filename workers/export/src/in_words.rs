//! The result on stdout: as JSON, or in words.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use protocol::verb::Export;
use worker::verb::{VerbError, answer};

use crate::export::Exported;
use crate::manifest::{Camera, Comment, File, Gap, Manifest};

pub(crate) fn tell(wanted: &Export, exported: &Exported) -> Result<(), VerbError> {
    if wanted.json {
        return answer(exported);
    }
    match io::stdout().write_all(in_words(exported).as_bytes()) {
        // A reader that has seen enough (`| head`) is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(VerbError::failed(format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

fn in_words(Exported { out, manifest }: &Exported) -> String {
    let mut text = String::new();
    for path in out {
        let _ = writeln!(text, "{}", path.display());
    }
    for camera in &manifest.cameras {
        camera.files.iter().for_each(|file| line_of_file(&mut text, camera, file));
        camera.gaps.iter().for_each(|gap| line_of_gap(&mut text, camera, gap));
    }
    for Comment { camera, at, text: said, tags, .. } in &manifest.comments {
        let tags: String = tags.iter().map(|tag| format!(" #{tag}")).collect();
        let _ = writeln!(text, "  {camera}: {}: {said}{tags}", at.short());
    }
    line_of_skew(&mut text, manifest);
    text
}

fn line_of_file(text: &mut String, camera: &Camera, file: &File) {
    let lasts = (file.to.0.0.saturating_sub(file.from.0.0)) / 1_000_000;
    let (from, to) = (file.from.short(), file.to.short());
    let _ = write!(
        text,
        "  {}: {from} to {to}, {}.{:03} s, {}",
        camera.name,
        lasts / 1000,
        lasts % 1000,
        bytes(file.bytes)
    );
    if file.damaged > 0 {
        let _ = write!(text, ", {} damaged fragments", file.damaged);
    }
    text.push('\n');
}

fn line_of_gap(text: &mut String, camera: &Camera, gap: &Gap) {
    let (from, to) = (gap.from.short(), gap.to.short());
    let _ = write!(text, "  {}: gap {from} to {to}: {}", camera.name, gap.why);
    if let Some(packets) = gap.packets.filter(|packets| *packets > 0) {
        let _ = write!(text, ", {packets} packets");
    }
    text.push('\n');
}

fn line_of_skew(text: &mut String, manifest: &Manifest) {
    let Some(skew) = manifest.skew else { return };
    let mut sources: Vec<&str> =
        manifest.cameras.iter().filter_map(|camera| Some(camera.clock.as_ref()?.source)).collect();
    sources.sort_unstable();
    sources.dedup();
    let _ = writeln!(
        text,
        "  pictures shown together are {:.1} ms apart, at most {:.1} ms; known to {:.1} ms (clock: {})",
        skew.median_ms,
        skew.max_ms,
        skew.uncertain_ms,
        sources.join(", ")
    );
}

fn bytes(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{} kB", count / 1000),
        _ => format!("{}.{} MB", count / 1_000_000, count / 100_000 % 10),
    }
}
