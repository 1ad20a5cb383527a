//! `${cred:NAME}`: passwords and URLs that stand in no topology.
//!
//! Looked for in systemd's `$CREDENTIALS_DIRECTORY`, then in `credentials/` beside the topology,
//! then in the environment. What belongs here: finding them. Where one may stand is said here too.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Source;
use super::problem::{CredentialProblem, Finding, Subject};
use super::tree::{Node, Value};

pub(super) const PREFIX: &str = "cred:";
/// systemd sets it for a service with `LoadCredential=`.
const SYSTEMD: &str = "CREDENTIALS_DIRECTORY";
const FOLDER: &str = "credentials";
const VARIABLE: &str = "FRAMEVISOR_CRED_";
/// A password, URL or token has less; systemd's own limit is higher.
const MAX_BYTES: u64 = 64 * 1024;

/// A credential's value: nothing prints it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

pub(crate) type Found = BTreeMap<String, Result<Secret, CredentialProblem>>;

/// A name that is also a file's name: no separator, no leading dot.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= 100
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// Looks up every credential that `sources` name.
pub(super) fn find(
    sources: &[Source],
    folder: &Path,
    variables: &BTreeMap<String, String>,
) -> Found {
    let names = sources.iter().flat_map(|source| {
        source.text.split("${cred:").skip(1).filter_map(|rest| rest.split('}').next())
    });
    names
        .filter(|name| is_name(name))
        .map(|name| (name.to_owned(), one(name, folder, variables)))
        .collect()
}

fn one(
    name: &str,
    folder: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<Secret, CredentialProblem> {
    let systemd = variables.get(SYSTEMD).map(|folder| Path::new(folder).join(name));
    let own = folder.join(FOLDER).join(name);
    let variable = variable_of(name);
    if let Some(path) = &systemd
        && let Some(secret) = in_file(name, path)?
    {
        return Ok(secret);
    }
    if let Some(secret) = in_file(name, &own)? {
        let mode = fs::metadata(&own).map_or(0o777, |found| found.permissions().mode());
        // The folder of a topology may be anybody's to read; systemd's is its own business.
        return if mode & 0o077 == 0 {
            Ok(secret)
        } else {
            Err(CredentialProblem::Open { name: name.to_owned(), path: own })
        };
    }
    if let Some(value) = variables.get(&variable) {
        return Ok(Secret(value.clone()));
    }
    let systemd = systemd.map(|path| path.display().to_string());
    let looked = [systemd, Some(own.display().to_string()), Some(format!("${variable}"))];
    let looked = looked.into_iter().flatten().collect();
    Err(CredentialProblem::NotThere { name: name.to_owned(), looked })
}

/// `front-url` is `FRAMEVISOR_CRED_FRONT_URL`.
fn variable_of(name: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{VARIABLE}{}", name.chars().map(upper).collect::<String>())
}

/// Without the line end that editors and `echo` leave behind it; `None` when there is no file.
fn in_file(name: &str, path: &PathBuf) -> Result<Option<Secret>, CredentialProblem> {
    let unreadable = |reason: String| CredentialProblem::Unreadable {
        name: name.to_owned(),
        path: path.clone(),
        reason,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let mut text = String::new();
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| unreadable(error.to_string()))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() || text.len() as u64 > MAX_BYTES || text.contains('\0') {
        return Err(unreadable("it is empty, too long or no text".to_owned()));
    }
    Ok(Some(Secret(text.to_owned())))
}

/// Complains of every credential that stands where its value would be seen: command lines, names
/// of files and rings, addresses.
pub(super) fn only_where_hidden(root: &mut Node, findings: &mut Vec<Finding>) {
    walk(root, &mut Vec::new(), findings);
}

fn walk(node: &mut Node, path: &mut Vec<String>, findings: &mut Vec<Finding>) {
    match &mut node.value {
        Value::Broken | Value::Null => {}
        Value::List(items) => {
            // An item is no value of its key.
            path.push(String::new());
            items.iter_mut().for_each(|item| walk(item, path, findings));
            path.pop();
        }
        Value::Map(entries) => {
            for entry in entries {
                path.push(entry.key.text.clone());
                walk(&mut entry.value, path, findings);
                path.pop();
            }
        }
        Value::Text(text) if text.is_secret && !is_hidden(path) => {
            let problem = CredentialProblem::NotHere { written: text.written().to_owned() };
            let (place, subject) = (Some(node.place), Subject::Topology);
            findings.push(Finding { place, subject, problem: problem.into() });
            node.value = Value::Broken;
        }
        Value::Text(_) => {}
    }
}

fn is_hidden(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(
        path[..],
        ["cameras", _, "push" | "sub" | "url"]
            | ["cameras", _, "push", "to"]
            | ["workers", _, "source"]
            | ["workers", _, "env", _]
            | ["workers", _, "credentials" | "secret" | "to" | "url"]
            | ["workers", _, "users", _, "password"]
            | ["workers", _, "tokens", _, "token"]
            | ["defaults", "uploader", "credentials"]
            | ["defaults", "notify", "secret" | "url"]
            | ["defaults", "rtsp" | "web", "users", _, "password"]
            | ["defaults", "web", "tokens", _, "token"]
            | ["defaults", "rtsp-push", "to"]
            | ["defaults", "cameras", "push" | "sub" | "url"]
            | ["defaults", "cameras", "push", "to"]
            | ["defaults", "ingest", "source"]
            | ["defaults", "run", "env", _]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Vec<Source> {
        vec![Source { name: "/x/framevisor.yml".into(), text: text.to_owned() }]
    }

    #[test]
    fn the_first_place_that_has_it_counts_and_files_of_others_eyes_are_refused() {
        let folder = std::env::temp_dir().join(format!("framevisor-cred-{}", std::process::id()));
        let (own, systemd) = (folder.join(FOLDER), folder.join("systemd"));
        for dir in [&own, &systemd] {
            fs::create_dir_all(dir).unwrap();
        }
        let write = |path: PathBuf, text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        write(systemd.join("a"), "of systemd", 0o440);
        write(own.join("a"), "own a", 0o600);
        write(own.join("b"), "own b\n", 0o600);
        write(own.join("open"), "seen by all", 0o640);
        write(own.join("empty"), "\n", 0o600);
        let variables = [
            (SYSTEMD, systemd.to_str().unwrap()),
            ("FRAMEVISOR_CRED_B", "of the environment"),
            ("FRAMEVISOR_CRED_C_URL", "c"),
        ];
        let variables = variables.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let text =
            "${cred:a} ${cred:b}:${cred:c-url} ${cred:open} ${cred:empty} ${cred:d} ${cred:../x}";
        let found = find(&sources(text), &folder, &variables);
        let held = |name: &str| found[name].as_ref().map(Secret::reveal).ok();
        assert_eq!(held("a"), Some("of systemd"));
        assert_eq!(held("b"), Some("own b"));
        assert_eq!(held("c-url"), Some("c"));
        assert!(matches!(found["open"], Err(CredentialProblem::Open { .. })));
        assert!(matches!(found["empty"], Err(CredentialProblem::Unreadable { .. })));
        let Err(CredentialProblem::NotThere { looked, .. }) = &found["d"] else { panic!() };
        assert_eq!(looked.len(), 3);
        assert!(!found.contains_key("../x"), "no name leads out of the folder");
        fs::remove_dir_all(&folder).unwrap();
    }
}
