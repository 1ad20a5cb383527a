//! `${cred:NAME}`: the worker gets the value, and nothing else ever prints it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Project, text, wait_for};

const VALUE: &str = "tok3n-of-nobody";

#[test]
fn a_credential_reaches_its_worker_and_no_output() {
    let mut project = Project::new(
        "  own:
    run: [sh, -c, 'printf %s \"$TOKEN\" > got; exec sleep 1000']
    env: {TOKEN: '${cred:token}'}
  cam: {use: ingest, source: 'rtsp://user:${cred:token}@127.0.0.1:9/x?key=${cred:token}'}\n",
    );
    let folder = project.dir.join("credentials");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("token");
    fs::write(&file, format!("{VALUE}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = project.run(&["check"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(text(&refused.stderr).contains("others can read"), "{}", text(&refused.stderr));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    project.up();
    let got = project.dir.join("got");
    wait_for("the worker to get it", || fs::read_to_string(&got).is_ok_and(|got| got == VALUE));
    for verb in [
        &["plan"][..],
        &["plan", "-o", "json"],
        &["ps", "-o", "json"],
        &["check", "-o", "json"],
        &["graph"],
        &["why", "cam"],
        &["why", "own"],
        &["events"],
        &["logs"],
    ] {
        let output = project.run(verb);
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!said.contains(VALUE), "{verb:?}: {said}");
    }
    assert!(!project.said().contains(VALUE), "{}", project.said());
    for worker in project.ps() {
        let Some(pid) = worker["pid"].as_u64() else { continue };
        let argv = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!argv.contains(VALUE), "{argv}");
    }
}
