//! Where an export goes: everything is made in a hidden folder beside the target and put in its place at
//! the very end, over nothing that is there. What does not end well leaves nothing behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use protocol::time::UtcNs;
use protocol::verb::Export;

use crate::error::ExportError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Of one camera; more than one where its tracks change.
    File,
    Folder,
    Zip,
}

/// An export under way.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) form: Form,
    target: PathBuf,
    work: PathBuf,
}

impl Output {
    pub(crate) fn begin(wanted: &Export) -> Result<Self, ExportError> {
        let (form, target) = target_of(wanted)?;
        refuse_existing(&target)?;
        let (folder, name) = (folder_of(&target), name_of(&target));
        if !folder.is_dir() {
            let source = std::io::ErrorKind::NotFound.into();
            return Err(ExportError::io("write to the folder", &folder)(source));
        }
        let work = folder.join(format!(".{name}.part-{}", std::process::id()));
        fs::create_dir(&work).map_err(ExportError::io("create", &work))?;
        Ok(Self { form, target, work })
    }

    /// A file of the export, while it is made.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// What the files of a camera are called: `cam1.mp4`, `cam1-2.mp4`.
    pub(crate) fn name(&self, camera: &str, part: usize, ending: &str) -> String {
        let name = match self.form {
            Form::File => {
                self.target.file_stem().unwrap_or_default().to_string_lossy().into_owned()
            }
            Form::Folder | Form::Zip => camera.to_owned(),
        };
        match part {
            0 => format!("{name}.{ending}"),
            part => format!("{name}-{}.{ending}", part + 1),
        }
    }

    /// The archive, while it is made.
    pub(crate) fn archive(&self) -> PathBuf {
        self.work.join(name_of(&self.target))
    }

    /// Puts everything in its place: the files of these names, or the folder, or the archive.
    pub(crate) fn publish(self, names: &[String]) -> Result<Vec<PathBuf>, ExportError> {
        let folder = folder_of(&self.target);
        match self.form {
            Form::File => {
                let targets: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
                targets.iter().try_for_each(|target| refuse_existing(target))?;
                for (name, target) in names.iter().zip(&targets) {
                    move_to(&self.work.join(name), target)?;
                }
                Ok(targets)
            }
            Form::Folder => move_to(&self.work, &self.target).map(|()| vec![self.target.clone()]),
            Form::Zip => {
                move_to(&self.archive(), &self.target)?;
                Ok(vec![self.target.clone()])
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // A folder that is the result by now is not there any more under this name.
        let _ = fs::remove_dir_all(&self.work);
    }
}

/// Written data is on the disk where that is wanted, or an error: some file systems tell a full disk only now.
pub(crate) fn settle(path: &Path, sync: bool) -> Result<(), ExportError> {
    if !sync {
        return Ok(());
    }
    let file = File::open(path).map_err(ExportError::io("open", path))?;
    file.sync_all().map_err(ExportError::io("write", path))
}

fn target_of(wanted: &Export) -> Result<(Form, PathBuf), ExportError> {
    let is_zip = |path: &Path| path.extension().is_some_and(|ending| ending == "zip");
    let many = wanted.cameras.len() > 1 || wanted.manifest;
    let ending = wanted.format.ending();
    let Some(out) = &wanted.out else {
        let name = format!("{}-{}", wanted.name, compact(wanted.from));
        return Ok(match many {
            true => (Form::Folder, name.into()),
            false => (Form::File, format!("{name}.{ending}").into()),
        });
    };
    let has_ending = out.extension().is_some_and(|seen| seen == ending);
    let wrong = |seen, expected| Err(ExportError::Out { path: out.clone(), seen, expected });
    match (is_zip(out), many) {
        (true, _) => Ok((Form::Zip, out.clone())),
        (false, true) if has_ending => wrong(
            "the name of one file",
            "the name of a folder, or of a .zip file, for what has a manifest".to_owned(),
        ),
        (false, true) => Ok((Form::Folder, out.clone())),
        (false, false) if has_ending => Ok((Form::File, out.clone())),
        (false, false) => {
            wrong("no name of this format", format!("a name that ends in .{ending} or .zip"))
        }
    }
}

/// `20261120T130900Z`, for names.
fn compact(time: UtcNs) -> String {
    let time = UNIX_EPOCH + Duration::from_nanos(time.0);
    humantime::format_rfc3339_seconds(time).to_string().replace(['-', ':'], "")
}

fn folder_of(target: &Path) -> PathBuf {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or_else(|| Path::new(".")).to_owned()
}

fn name_of(target: &Path) -> String {
    target.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn refuse_existing(target: &Path) -> Result<(), ExportError> {
    match target.symlink_metadata() {
        Ok(_) => Err(ExportError::Exists(target.to_owned())),
        Err(_) => Ok(()),
    }
}

/// In one step, and never over what is there.
fn move_to(from: &Path, to: &Path) -> Result<(), ExportError> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EEXIST) => Err(ExportError::Exists(to.to_owned())),
        // A file system that cannot do both at once.
        Err(Errno::EINVAL | Errno::ENOSYS) => {
            refuse_existing(to)?;
            fs::rename(from, to).map_err(ExportError::io("create", to))
        }
        Err(errno) => Err(ExportError::io("create", to)(errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use protocol::verb::{ExportCamera, ExportCut, ExportFormat, ExportGaps, ExportHash};

    use super::*;

    fn wanted(cameras: usize, out: Option<&Path>) -> Export {
        let camera = |at| ExportCamera { name: format!("cam{at}"), folder: "recordings".into() };
        Export {
            name: "hall".to_owned(),
            cameras: (1..=cameras).map(camera).collect(),
            from: UtcNs(1_795_180_140_500_000_000),
            to: UtcNs(1_795_180_200_000_000_000),
            out: out.map(Path::to_owned),
            format: ExportFormat::Mp4,
            cut: ExportCut::default(),
            gaps: ExportGaps::default(),
            manifest: false,
            hash: ExportHash::default(),
            sync: true,
            pin: None,
            json: false,
        }
    }

    #[test]
    fn what_has_no_name_is_called_after_what_it_is_of() {
        let name = |cameras| target_of(&wanted(cameras, None)).unwrap();
        assert_eq!(name(1), (Form::File, "hall-20261120T130900Z.mp4".into()));
        assert_eq!(name(2), (Form::Folder, "hall-20261120T130900Z".into()));
    }

    #[test]
    fn the_name_says_whether_it_is_a_file_a_folder_or_an_archive() {
        let form =
            |cameras, out: &str| target_of(&wanted(cameras, Some(Path::new(out)))).map(|it| it.0);
        assert_eq!(form(1, "a.mp4").unwrap(), Form::File);
        assert_eq!(form(1, "a.zip").unwrap(), Form::Zip);
        assert_eq!(form(2, "a.zip").unwrap(), Form::Zip);
        assert_eq!(form(2, "a").unwrap(), Form::Folder);
        let refused = |cameras, out: &str| form(cameras, out).unwrap_err().to_string();
        assert!(refused(2, "a.mp4").contains("a folder"), "{}", refused(2, "a.mp4"));
        assert!(refused(1, "a.avi").contains(".mp4 or .zip"), "{}", refused(1, "a.avi"));
    }

    #[test]
    fn nothing_is_there_before_the_end_and_nothing_is_left_of_what_did_not_end() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.mp4");
        let visible = || {
            let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| !name.to_string_lossy().starts_with('.')).count()
        };
        let all = || fs::read_dir(dir.path()).unwrap().count();
        let begun = Output::begin(&wanted(1, Some(&target))).unwrap();
        fs::write(begun.file("a.mp4"), b"x").unwrap();
        assert_eq!((visible(), all()), (0, 1));
        drop(begun);
        assert_eq!(all(), 0);
        let begun = Output::begin(&wanted(1, Some(&target))).unwrap();
        fs::write(begun.file("a.mp4"), b"x").unwrap();
        assert_eq!(begun.publish(&["a.mp4".to_owned()]).unwrap(), [target]);
        assert_eq!(all(), 1);
    }

    #[test]
    fn what_came_meanwhile_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        for cameras in [1, 2] {
            let target = dir.path().join(if cameras == 1 { "a.mp4" } else { "folder" });
            let begun = Output::begin(&wanted(cameras, Some(&target))).unwrap();
            fs::write(begun.file("a.mp4"), b"new").unwrap();
            fs::write(&target, b"old").unwrap();
            let refused = begun.publish(&["a.mp4".to_owned()]).unwrap_err().to_string();
            assert!(refused.contains("is there already"), "{refused}");
            assert_eq!(fs::read(&target).unwrap(), b"old");
            let again = Output::begin(&wanted(cameras, Some(&target))).unwrap_err().to_string();
            assert!(again.contains("is there already"), "{again}");
        }
    }
}
