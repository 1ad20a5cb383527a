//! A button of the page that does something: with a token it restarts a worker, without one it is not there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::project::{Project, free_port};
use crate::{Failure, Outcome, ensure, wait_for};

const TOKEN: &str = "staple-correct-9924-staple-correct";
const BUTTON: &str = "document.querySelector('button[aria-label^=\"Restart motion\"]')";

/// Pressed twice, as it asks before it does.
pub fn a_button_restarts_a_worker() -> Outcome<Value> {
    let Some(program) = Browser::find() else {
        return Ok(json!({ "skipped": "no chromium here" }));
    };
    let port = free_port()?;
    let project = Project::new(&format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25'}}
  eyes: {{use: decoder, in: cam1.packets, out: cam1.frames}}
  motion: {{use: motion, in: cam1.frames}}
  web:
    use: web
    in: '*'
    listen: 127.0.0.1:{port}
    tokens: {{ops: {{token: '${{cred:ops}}', may: [restart]}}}}
"
    ))?;
    let folder = project.dir().join("credentials");
    fs::create_dir_all(&folder).map_err(Failure::new)?;
    fs::write(folder.join("ops"), format!("{TOKEN}\n")).map_err(Failure::new)?;
    fs::set_permissions(folder.join("ops"), Permissions::from_mode(0o600)).map_err(Failure::new)?;
    project.up()?;
    let url = format!("http://127.0.0.1:{port}/system");
    let mut browser = Browser::open(program, &url)?;
    until(&mut browser, "document.querySelectorAll('#workers tbody tr').length === 4")?;
    let buttons = browser.evaluate(&format!("{BUTTON} === null"))?;
    ensure(buttons == true, || "a restart button without a token".into())?;
    let before = project.pid("motion")?;
    browser.go("about:blank")?;
    browser.go(&format!("{url}#token={TOKEN}"))?;
    until(&mut browser, &format!("{BUTTON} !== null"))?;
    browser.evaluate(&format!("{BUTTON}.click()"))?;
    until(&mut browser, &format!("{BUTTON}.dataset.state === 'asks'"))?;
    let asked = project.pid("motion")?;
    ensure(asked == before, || "pressed once it has restarted already".into())?;
    browser.evaluate(&format!("{BUTTON}.click()"))?;
    until(&mut browser, &format!("{BUTTON}.dataset.state === 'done'"))?;
    let again = project.wait_restarted("motion", before)?;
    drop(browser);
    project.down()?;
    Ok(json!({ "worker": "motion", "pid_before": before, "pid_after": again.pid }))
}

fn until(browser: &mut Browser, expression: &str) -> Outcome<()> {
    let holds = || (browser.evaluate(expression).ok()? == Value::Bool(true)).then_some(());
    wait_for(60, expression, holds).map(drop)
}
