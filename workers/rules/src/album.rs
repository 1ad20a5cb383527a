//! Pictures as files: `DIR/CAMERA/20261120T130900.123Z-RULE-SEQUENCE.jpg`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use protocol::time::UtcNs;

/// A file that is being written.
const UNFINISHED: &str = ".new";

/// Where the picture of an event goes. `camera` and `rule` are names, and so no paths.
pub(crate) fn path(dir: &Path, camera: &str, rule: &str, taken: UtcNs, sequence: u64) -> PathBuf {
    let time = Timestamp::from_nanosecond(i128::from(taken.0)).unwrap_or_default();
    let time = time.strftime("%Y%m%dT%H%M%S%.3fZ");
    dir.join(camera).join(format!("{time}-{rule}-{sequence}.jpg"))
}

/// Whole, or not at all.
pub(crate) fn save(path: &Path, jpeg: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = folder.join(format!(".{name}{UNFINISHED}"));
    let written = fs::write(&fresh, jpeg).and_then(|()| fs::rename(&fresh, path));
    written.inspect_err(|_| {
        // A full disk is not made fuller.
        let _ = fs::remove_file(&fresh);
    })
}

/// Removes pictures older than `age`, and what a kill left unfinished; no other files. How many.
pub(crate) fn clear(dir: &Path, age: Duration, now: UtcNs) -> io::Result<usize> {
    let mut removed = 0;
    let cameras = match fs::read_dir(dir) {
        // No picture was kept yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        cameras => cameras?,
    };
    for camera in cameras {
        let camera = camera?;
        if !camera.file_type()?.is_dir() {
            continue;
        }
        for file in fs::read_dir(camera.path())? {
            let file = file?;
            let name = file.file_name();
            if !is_ours(&name.to_string_lossy()) || !is_older(&file.metadata()?, age, now) {
                continue;
            }
            fs::remove_file(file.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn is_older(meta: &fs::Metadata, age: Duration, now: UtcNs) -> bool {
    let written = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    written.is_some_and(|at| at + age < Duration::from_nanos(now.0))
}

/// `20261120T130900.123Z-night-7.jpg`, finished or not.
fn is_ours(name: &str) -> bool {
    let name = name.strip_prefix('.').and_then(|it| it.strip_suffix(UNFINISHED)).unwrap_or(name);
    let Some((time, rest)) = name.split_once('-') else { return false };
    let shape = "00000000T000000.000Z";
    let fits = |(seen, wanted): (u8, u8)| {
        if wanted == b'0' { seen.is_ascii_digit() } else { seen == wanted }
    };
    rest.ends_with(".jpg") && time.len() == shape.len() && time.bytes().zip(shape.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-20T13:09:00.123Z.
    const TAKEN: UtcNs = UtcNs(1_795_180_140_123_000_000);

    #[test]
    fn a_picture_is_called_by_its_time_and_its_rule() {
        let path = path(Path::new("/p"), "front", "night", TAKEN, 7);
        assert_eq!(path, Path::new("/p/front/20261120T130900.123Z-night-7.jpg"));
        assert!(is_ours("20261120T130900.123Z-night-7.jpg"));
        assert!(is_ours(".20261120T130900.123Z-night-7.jpg.new"));
        for other in [
            "holiday.jpg",
            "20261120T130900.123Z-night-7.png",
            "2026-night.jpg",
            "20261120T130900.123Z.jpg",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }

    #[test]
    fn old_pictures_go_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let ours = path(dir.path(), "front", "night", TAKEN, 7);
        save(&ours, b"jpeg").unwrap();
        fs::write(ours.with_file_name("holiday.jpg"), "mine").unwrap();
        fs::write(dir.path().join("20261120T130900.123Z-night-7.jpg"), "not in a camera's folder")
            .unwrap();
        let now = UtcNs(shmring::clock::now().utc.0);
        let hour = Duration::from_secs(3600);
        assert_eq!(clear(dir.path(), hour, now).unwrap(), 0);
        let later = UtcNs(now.0 + 2 * 3_600_000_000_000);
        assert_eq!(clear(dir.path(), hour, later).unwrap(), 1);
        assert!(!ours.exists() && ours.with_file_name("holiday.jpg").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert_eq!(clear(&dir.path().join("none"), hour, later).unwrap(), 0);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("front"), "a file").unwrap();
        let path = path(dir.path(), "front", "night", TAKEN, 7);
        assert!(save(&path, b"jpeg").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
