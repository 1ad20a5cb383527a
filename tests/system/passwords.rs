//! Users of the RTSP server in a whole project: the right password plays, with TLS and without, a wrong one is told
//! with its address, and what a password is stands nowhere.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use tests::project::{Project, free_port};
use tests::{Failure, Outcome, ensure, processes, wait_for};

const PASSWORD: &str = "horse-battery-7311";

/// Ten pictures, or what ffmpeg says instead.
fn play(scheme: &str, port: u16, password: &str) -> Outcome<Output> {
    let url = format!("{scheme}://anna:{password}@127.0.0.1:{port}/cam1");
    Command::new("timeout")
        .args(["120", "ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", &url])
        .args(["-frames:v", "10", "-f", "null", "-"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure(format!("ffmpeg: {error}")))
}

fn plays(scheme: &str, port: u16) -> Outcome<()> {
    let output = play(scheme, port, PASSWORD)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure(output.status.success(), || format!("{scheme}: {said}"))
}

fn project(plain: u16, secure: u16) -> Outcome<Project> {
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("tls");
    let project = Project::new(&format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=10'}}
  rtsp:
    use: rtsp
    in: cam1.packets
    listen: 127.0.0.1:{plain}
    users: {{anna: {{password: '${{cred:anna}}', play: 'cam*'}}}}
    tls: {{cert: '{cert}', key: '{key}', listen: '127.0.0.1:{secure}'}}
",
        cert = tls.join("server.pem").display(),
        key = tls.join("server.key").display(),
    ))?;
    let folder = project.dir().join("credentials");
    fs::create_dir_all(&folder).map_err(Failure::new)?;
    fs::write(folder.join("anna"), format!("{PASSWORD}\n")).map_err(Failure::new)?;
    fs::set_permissions(folder.join("anna"), Permissions::from_mode(0o600))
        .map_err(Failure::new)?;
    Ok(project)
}

/// What people and other programs of this machine can read of it.
fn shown(project: &Project) -> Outcome<String> {
    let mut all = String::new();
    for verb in [
        &["plan"][..],
        &["-o", "json", "plan"],
        &["config"],
        &["config", "--expanded"],
        &["-o", "json", "ps"],
        &["describe", "rtsp"],
        &["explain", "rtsp"],
        &["graph", "-o", "json"],
        &["events"],
        &["logs"],
    ] {
        let output = project.run(verb)?;
        all.push_str(&String::from_utf8_lossy(&output.stdout));
        all.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    for pid in processes::with_environment("FRAMEVISOR_PROJECT", project.name().as_str()) {
        all.push_str(&processes::command_line(pid));
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        all.push_str(&String::from_utf8_lossy(&environment));
    }
    Ok(all)
}

fn check() -> Outcome<()> {
    let (plain, secure) = (free_port()?, free_port()?);
    let project = project(plain, secure)?;
    project.up()?;
    plays("rtsp", plain)?;
    plays("rtsps", secure)?;

    let wrong = play("rtsp", plain, "guess")?;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    ensure(!wrong.status.success() && said.contains("401"), || format!("let in: {said}"))?;
    let told = || {
        let why = project.worker("rtsp").ok()?.why;
        why.contains("wrong passwords from 127.0.0.1 (1)").then_some(())
    };
    wait_for(60, "the status to tell of a wrong password", told)?;

    let shown = shown(&project)?;
    ensure(shown.contains("cam1"), || format!("nothing is shown: {shown}"))?;
    ensure(!shown.contains(PASSWORD), || format!("the password is shown: {shown}"))?;

    // Both sockets are the supervisor's: the next process has them, and users and certificate too.
    let before = project.pid("rtsp")?;
    processes::signal(before, Signal::SIGKILL);
    project.wait_restarted("rtsp", before)?;
    plays("rtsps", secure)?;
    plays("rtsp", plain)?;
    project.down()
}

#[test]
fn the_right_password_plays_a_wrong_one_is_told_and_none_is_shown() {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}
