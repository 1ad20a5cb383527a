//! The result on stdout: as JSON, or in words.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use protocol::verb::{Export, ExportVerify};
use worker::verb::{VerbError, answer};

use crate::export::Exported;
use crate::manifest::{Camera, Comment, File, Gap, Manifest};
use crate::verify::{Checked, Found, Verified};

pub(crate) fn tell(wanted: &Export, exported: &Exported) -> Result<(), VerbError> {
    for unread in &exported.unread {
        // Without a stderr the manifest tells it all the same.
        let _ = writeln!(io::stderr(), "warning: {unread}");
    }
    if wanted.json {
        return answer(exported);
    }
    print(&in_words(exported))
}

fn print(text: &str) -> Result<(), VerbError> {
    match io::stdout().write_all(text.as_bytes()) {
        // A reader that has seen enough (`| head`) is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(VerbError::failed(format!("stdout: {error}")))
        }
        _ => Ok(()),
    }
}

/// What is not as it was is an error too, after the result.
pub(crate) fn tell_verified(wanted: &ExportVerify, seen: &Verified) -> Result<(), VerbError> {
    match wanted.json {
        true => answer(seen)?,
        false => print(&verified_in_words(seen))?,
    }
    let harmed = seen.files.iter().filter(|file| file.found.is_harm()).count();
    match harmed {
        0 => Ok(()),
        harmed => Err(VerbError::failed(format!(
            "{}: {harmed} files are not as they were exported",
            seen.path.display()
        ))),
    }
}

fn verified_in_words(Verified { path, files, .. }: &Verified) -> String {
    let mut text = String::new();
    let same = || files.iter().filter(|file| file.found == Found::Same);
    let all: u64 = same().map(|file| file.bytes).sum();
    let (path, count) = (path.display(), same().count());
    let _ = writeln!(text, "{path}: {count} files as they were exported, {}", bytes(all));
    for Checked { file, found, .. } in files {
        let what = match found {
            Found::Same => continue,
            Found::Differs => "differs from what was exported",
            Found::Disputed => "manifest.json and the sums say different things of it",
            Found::Missing => "is not there",
            Found::Unknown => "is not part of the export",
        };
        let _ = writeln!(text, "  {file}: {what}");
    }
    text
}

fn in_words(Exported { out, manifest, .. }: &Exported) -> String {
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
