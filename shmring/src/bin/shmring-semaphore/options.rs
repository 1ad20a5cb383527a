//! What the program was asked to do. By hand, because a library that everybody links needs no parser of
//! command lines.

use protocol::name::RingName;

pub(crate) const HELP: &str = "\
Posts a named POSIX semaphore for every item of a ring

For programs that can wait for nothing but a sem_t. One semaphore for each such program.

Usage: shmring-semaphore [OPTIONS] RING /NAME

Arguments:
  RING   a ring of packets, frames or events, such as cam1.frames
  /NAME  the semaphore's name for sem_open(3); it is /dev/shm/sem.NAME, made here if it is not there,
         and removed when this program ends by SIGINT, SIGTERM or SIGHUP

Options:
      --project P         the ring's project [default: $FRAMEVISOR_PROJECT, else the only one that has it]
      --max N             the semaphore is never posted above this value, so that a program that is gone
                          or slow does not make it overflow [default: 64]
      --create-mode MODE  who may use the semaphore, in octal [default: 0600; 0660 for a group]
  -h, --help

Example: shmring-semaphore cam1.frames /cam1 &
         ./count /cam1    # sem_open(\"/cam1\", 0), then sem_wait(3) for each picture

The semaphore says that something came, not what: read the ring, or what else the program knows. Items that
came while its value was at the maximum are not posted later.";

/// Enough for a second and more of any camera.
const MAX: u32 = 64;
/// NAME_MAX less the "sem." that glibc puts before it (sem_overview(7)).
const NAME_MAX_BYTES: usize = 251;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Help,
    Run(Options),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) project: Option<String>,
    pub(crate) ring: RingName,
    /// With its slash.
    pub(crate) semaphore: String,
    pub(crate) max: u32,
    pub(crate) create_mode: u32,
}

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
        let mut arguments = arguments.flat_map(split_value);
        let (mut project, mut max, mut create_mode) = (None, MAX, 0o600);
        let mut names = Vec::new();
        while let Some(argument) = arguments.next() {
            let mut value =
                || arguments.next().ok_or_else(|| format!("{argument}: a value is missing"));
            match argument.as_str() {
                "-h" | "--help" => return Ok(Asked::Help),
                "--project" => project = Some(value()?),
                "--max" => max = parse_max(&value()?)?,
                "--create-mode" => create_mode = parse_mode(&value()?)?,
                option if option.starts_with('-') => {
                    return Err(format!("{option}: no such option"));
                }
                _ => names.push(argument),
            }
        }
        let [ring, semaphore] = names.as_slice() else {
            return Err(format!("expected RING and /NAME, got {} names", names.len()));
        };
        let ring = ring.parse().map_err(|error| format!("{ring}: {error}"))?;
        let semaphore = parse_name(semaphore)?;
        Ok(Asked::Run(Self { project, ring, semaphore, max, create_mode }))
    }
}

/// `--max=3` is `--max 3`.
fn split_value(argument: String) -> Vec<String> {
    match argument.split_once('=') {
        Some((option, value)) if option.starts_with("--") => {
            vec![option.to_owned(), value.to_owned()]
        }
        _ => vec![argument],
    }
}

fn parse_max(text: &str) -> Result<u32, String> {
    // SEM_VALUE_MAX of Linux.
    let limit = i32::MAX.unsigned_abs();
    let max = text.parse().ok().filter(|max| (1..=limit).contains(max));
    max.ok_or_else(|| format!("--max {text}: expected a number from 1 to {limit}"))
}

fn parse_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o666 && mode & 0o111 == 0);
    mode.ok_or_else(|| format!("--create-mode {text}: expected an octal mode such as 0660"))
}

fn parse_name(text: &str) -> Result<String, String> {
    let rest =
        text.strip_prefix('/').filter(|rest| !rest.is_empty() && !rest.contains(['/', '\0']));
    match rest {
        Some(rest) if rest.len() <= NAME_MAX_BYTES => Ok(text.to_owned()),
        _ => Err(format!("{text}: expected a semaphore's name: a slash, then no other one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Asked, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn names_and_options_come_in_any_order() {
        let expected = Options {
            project: Some("demo".to_owned()),
            ring: "cam1.frames".parse().unwrap(),
            semaphore: "/cam1".to_owned(),
            max: 3,
            create_mode: 0o660,
        };
        for line in [
            "--project demo --max 3 --create-mode 0660 cam1.frames /cam1",
            "cam1.frames --max=3 /cam1 --create-mode=660 --project=demo",
        ] {
            assert_eq!(parse(line), Ok(Asked::Run(expected.clone())), "{line}");
        }
        assert_eq!(parse("cam1.frames --help"), Ok(Asked::Help));
    }

    #[test]
    fn a_mistake_is_named() {
        for (line, named) in [
            ("cam1.frames", "got 1 names"),
            ("cam1.pictures /a", "cam1.pictures"),
            ("cam1.frames cam1", "a slash"),
            ("cam1.frames /a/b", "a slash"),
            ("cam1.frames /a --max 0", "--max 0"),
            ("cam1.frames /a --create-mode 999", "--create-mode 999"),
            ("cam1.frames /a --create-mode", "a value is missing"),
            ("cam1.frames /a --mox 1", "--mox: no such option"),
        ] {
            let mistake = parse(line).unwrap_err();
            assert!(mistake.contains(named), "{line}: {mistake}");
        }
    }
}
