//! A topology's texts, from files and stdin: the one place here that reads anything.

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::problem::{Finding, Subject, TextProblem};
use super::{FILE_MAX_BYTES, Report, Source};

/// `-f -`.
const STDIN: &str = "-";
/// How its text is called; relative to no folder.
const STDIN_NAME: &str = "<stdin>";

/// The texts, and the folder where relative paths start: that of the first file, or where the
/// command was called if that is no file.
pub(super) fn read(files: &[PathBuf]) -> Result<(Vec<Source>, PathBuf), Report> {
    let mut sources = Vec::new();
    let mut unreadable = Vec::new();
    for file in files {
        let name = if is_stream(file) { STDIN_NAME.into() } else { absolute(file) };
        match text_of(file) {
            Ok(text) => sources.push(Source { name, text }),
            Err(problem) => {
                let (place, subject) = (None, Subject::Topology);
                let finding = Finding { place, subject, problem: problem.into() };
                let source = Source { name: file.clone(), text: String::new() };
                unreadable.push(Report::new(&[source], vec![finding]));
            }
        }
    }
    match unreadable.into_iter().reduce(Report::and) {
        Some(report) => Err(report),
        None => Ok((sources, folder_of(&files[0]))),
    }
}

/// Whether it is no file that could be read once more.
pub(crate) fn is_stream(file: &Path) -> bool {
    file == Path::new(STDIN) || file.starts_with("/proc") || file.starts_with("/dev/fd")
}

/// The path under which a process that this one starts can read stdin's text as often as it likes,
/// while this one lives.
pub(crate) fn stdin_path() -> PathBuf {
    format!("/proc/{}/fd/0", std::process::id()).into()
}

fn text_of(file: &Path) -> Result<String, TextProblem> {
    let read = if file == Path::new(STDIN) {
        limited(io::stdin().lock()).and_then(|bytes| keep_stdin(&bytes).map(|()| bytes))
    } else {
        File::open(file).and_then(limited)
    };
    let bytes = read.map_err(|error| TextProblem::CannotRead { reason: error.to_string() })?;
    if bytes.len() > FILE_MAX_BYTES {
        return Err(TextProblem::TooLarge);
    }
    let text = String::from_utf8(bytes).map_err(|_| TextProblem::NotUtf8)?;
    // Editors of other systems begin a file with a byte order mark.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// One byte more than a topology may have.
fn limited(from: impl Read) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(FILE_MAX_BYTES + 1).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    from.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts what was read in stdin's place, at its beginning: guard and supervisor read it again.
fn keep_stdin(text: &[u8]) -> io::Result<()> {
    let memory = rustix::fs::memfd_create("framevisor.yml", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut memory = File::from(memory);
    memory.write_all(text)?;
    memory.rewind()?;
    rustix::stdio::dup2_stdin(&memory)?;
    Ok(())
}

fn folder_of(file: &Path) -> PathBuf {
    let here = || std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    if is_stream(file) {
        return here();
    }
    absolute(file).parent().map_or_else(here, Path::to_path_buf)
}

/// The folder without links and `..`: it names the project. The file's own name stays.
fn absolute(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (Some(folder), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return absolute;
    };
    folder.canonicalize().map(|folder| folder.join(name)).unwrap_or(absolute)
}
