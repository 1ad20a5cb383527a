//! Users and tokens of the page in a whole project: who has none sees nothing, a token restarts a worker, comments on
//! what is recorded and ends recording, a second web process goes on with both, and no secret stands anywhere.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::project::{Project, free_port};
use tests::{Failure, Outcome, ensure, processes, wait_for};

use crate::exports::wait_for_packets;

const PASSWORD: &str = "horse-battery-7311";
const TOKEN: &str = "staple-correct-9924-staple-correct";

/// A running project, and where its page is.
struct Site {
    project: Project,
    plain: String,
    secure: String,
    ca: String,
}

impl Site {
    fn begin() -> Outcome<Self> {
        let (plain, secure) = (free_port()?, free_port()?);
        let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("tls");
        let project = Project::new(&format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=10'}}
  cam1-decode: {{use: decoder, in: cam1.packets, out: cam1.frames}}
  rec: {{use: recorder, in: cam1.packets, dir: recordings}}
  web:
    use: web
    in: [cam1.frames, cam1.packets]
    listen: 127.0.0.1:{plain}
    users: {{anna: {{password: '${{cred:anna}}', play: '*'}}}}
    tokens: {{ops: {{token: '${{cred:ops}}', may: [restart, comment, record]}}}}
    tls: {{cert: '{cert}', key: '{key}', listen: '127.0.0.1:{secure}'}}
",
            cert = tls.join("server.pem").display(),
            key = tls.join("server.key").display(),
        ))?;
        let folder = project.dir().join("credentials");
        fs::create_dir_all(&folder).map_err(Failure::new)?;
        for (name, secret) in [("anna", PASSWORD), ("ops", TOKEN)] {
            fs::write(folder.join(name), format!("{secret}\n")).map_err(Failure::new)?;
            fs::set_permissions(folder.join(name), Permissions::from_mode(0o600))
                .map_err(Failure::new)?;
        }
        project.up()?;
        let ca = tls.join("ca.pem").display().to_string();
        let (plain, secure) =
            (format!("http://127.0.0.1:{plain}"), format!("https://localhost:{secure}"));
        Ok(Self { project, plain, secure, ca })
    }

    /// Status and text of an answer; secrets go to curl by its standard input, as its configuration.
    fn ask(&self, config: &str, url: &str, more: &[&str]) -> Outcome<(u16, String)> {
        let file = self.project.dir().join("curl.conf");
        fs::write(&file, config).map_err(Failure::new)?;
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "60", "--cacert", &self.ca, "-w", "\n%{http_code}", "-K"])
            .arg(&file)
            .args(more)
            .arg(url)
            .output()
            .map_err(|error| Failure(format!("curl: {error}")))?;
        fs::remove_file(&file).map_err(Failure::new)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure(output.status.success(), || format!("{url}: {said}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", &text));
        Ok((status.parse().map_err(Failure::new)?, body.to_owned()))
    }

    fn change(&self, path: &str, body: &str) -> Outcome<(u16, Value)> {
        let config = format!("header = \"Authorization: Bearer {TOKEN}\"\n");
        let json = ["-X", "POST", "-H", "Content-Type: application/json", "-d", body];
        let (status, text) = self.ask(&config, &format!("{}{path}", self.plain), &json)?;
        Ok((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    /// By a digest without TLS, and as it is with TLS.
    fn anna_sees_the_camera(&self) -> Outcome<()> {
        let login = format!("user = \"anna:{PASSWORD}\"\n");
        for (base, how) in [(&self.plain, "--digest"), (&self.secure, "--basic")] {
            let (status, text) = self.ask(&login, &format!("{base}/api/v1/cameras"), &[how])?;
            ensure(status == 200 && text.contains("cam1"), || format!("{how}: {status} {text}"))?;
        }
        Ok(())
    }

    /// What people and other programs of this machine can read of the project.
    fn shown(&self) -> Outcome<String> {
        let mut all = String::new();
        for verb in [
            &["plan"][..],
            &["-o", "json", "plan"],
            &["config", "--expanded"],
            &["-o", "json", "ps"],
            &["describe", "web"],
            &["explain", "web"],
            &["events"],
            &["logs"],
        ] {
            let output = self.project.run(verb)?;
            all.push_str(&String::from_utf8_lossy(&output.stdout));
            all.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        let project = self.project.name().as_str();
        for pid in processes::with_environment("FRAMEVISOR_PROJECT", project) {
            all.push_str(&processes::command_line(pid));
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            all.push_str(&String::from_utf8_lossy(&environment));
        }
        Ok(all)
    }
}

fn check() -> Outcome<()> {
    let site = Site::begin()?;
    wait_for_packets(&site.project, "cam1.packets", 50)?;
    let (status, text) = site.ask("", &format!("{}/api/v1/cameras", site.plain), &[])?;
    ensure(status == 401 && !text.contains("cam1"), || format!("let in: {status} {text}"))?;
    site.anna_sees_the_camera()?;

    let before = site.project.pid("cam1-decode")?;
    let (status, told) = site.change("/api/v1/workers/cam1-decode/restart", "null")?;
    ensure(status == 202, || format!("restart: {status} {told}"))?;
    site.project.wait_restarted("cam1-decode", before)?;

    let said = r#"{"text": "the red car", "tags": ["parcel"]}"#;
    let (status, noted) = site.change("/api/v1/cameras/cam1/comments", said)?;
    ensure(status == 201 && noted["camera"] == "cam1", || format!("comment: {status} {noted}"))?;
    let login = format!("user = \"anna:{PASSWORD}\"\n");
    let is_there = || {
        let url = format!("{}/api/v1/recordings/cam1", site.plain);
        let (_, text) = site.ask(&login, &url, &["--digest"]).ok()?;
        (text.contains("the red car") && text.contains("\"ops\"")).then_some(())
    };
    wait_for(60, "the comment, signed by its token", is_there)?;

    let (status, told) = site.change("/api/v1/cameras/cam1/recording", r#"{"order": "stop"}"#)?;
    ensure(status == 200 && told[0]["order"] == "stop", || format!("record: {status} {told}"))?;
    let (status, refused) = site.change("/api/v1/workers/nobody/restart", "null")?;
    ensure(status == 404, || format!("nobody: {status} {refused}"))?;

    let shown = site.shown()?;
    ensure(shown.contains("cam1"), || format!("nothing is shown: {shown}"))?;
    for secret in [PASSWORD, TOKEN] {
        ensure(!shown.contains(secret), || format!("{secret} is shown: {shown}"))?;
    }

    // Both sockets are the supervisor's: the next process has them, and users, tokens and certificate too.
    let before = site.project.pid("web")?;
    processes::signal(before, Signal::SIGKILL);
    site.project.wait_restarted("web", before)?;
    site.anna_sees_the_camera()?;
    let (status, told) = site.change("/api/v1/cameras/cam1/recording", r#"{"order": "auto"}"#)?;
    ensure(status == 200, || format!("record: {status} {told}"))?;
    site.project.down()
}

#[test]
fn a_page_shows_itself_to_its_users_and_a_token_changes_what_it_may() {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}
