//! `top` in a real terminal: tmux draws it, its keys are typed there.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::project::{Project, binary};
use tests::{Failure, Outcome, ensure, processes, wait_for};

const TOPOLOGY: &str = "version: 1
workers:
  cam1: {use: ingest, source: 'test:?size=320x192&fps=25'}
  cam2: {use: ingest, source: 'test:?size=320x192&fps=25&mode=loop'}
  decode1: {use: decoder, in: cam1.packets}
  motion: {use: motion, in: cam1.frames}
  recorder: {use: recorder, in: '*.packets', dir: recordings}
  script: {run: [sleep, infinity]}
";

/// A tmux server of its own, with one window.
struct Tmux<'a> {
    project: &'a Project,
}

impl<'a> Tmux<'a> {
    /// `None` where there is no tmux.
    fn start(project: &'a Project, width: u16, height: u16) -> Option<Self> {
        let tmux = Self { project };
        let (x, y) = (width.to_string(), height.to_string());
        // What is printed after the end of `top` is seen only if the shell goes on.
        let start = tmux.command(&["new-session", "-d", "-x", &x, "-y", &y, "sh"]).output();
        if let Err(error) = start {
            println!("skipped: tmux: {error}");
            return None;
        }
        Some(tmux)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.project.dir().join("tmux")).args(["-f", "/dev/null"]);
        command.args(arguments).env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
        command
    }

    fn type_in(&self, keys: &[&str]) -> Outcome<()> {
        let typed = self.command(&[&["send-keys"], keys].concat()).status();
        ensure(typed.is_ok_and(|status| status.success()), || format!("keys {keys:?}"))
    }

    fn top(&self) -> Outcome<()> {
        let (program, file) = (binary("framevisor"), self.project.file());
        let rt = self.project.dir().join("run");
        let show = Path::display;
        let (program, file, rt) = (show(&program), show(&file), show(&rt));
        let line = format!("{program} -f {file} --runtime-dir {rt} top");
        self.type_in(&[&line, "Enter"])
    }

    fn screen(&self) -> String {
        let captured = self.command(&["capture-pane", "-p"]).output();
        captured
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default()
    }

    fn wait_until(&self, what: &str, shows: impl Fn(&str) -> bool) -> Outcome<String> {
        let seen = || Some(self.screen()).filter(|screen| shows(screen));
        let found = wait_for(60, what, seen);
        Ok(found.map_err(|Failure(text)| Failure(format!("{text}\n{}", self.screen())))?.0)
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}

fn holds(check: impl FnOnce(&Project) -> Outcome<()>) {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let tried = Project::new(TOPOLOGY).and_then(|project| {
        project.up()?;
        check(&project)
    });
    tried.unwrap_or_else(|failure| panic!("{failure}"));
}

fn restarts(project: &Project, worker: &str) -> u64 {
    project.worker(worker).map_or(0, |worker| worker.restarts)
}

#[test]
fn the_screen_shows_every_worker_and_r_restarts_the_chosen_one() {
    holds(|project| {
        let Some(tmux) = Tmux::start(project, 160, 45) else { return Ok(()) };
        tmux.top()?;
        let workers = project.ps()?;
        let lists = |screen: &str| {
            workers.iter().all(|worker| screen.contains(&format!("  {} ", worker.name)))
        };
        let screen = tmux.wait_until("every worker on the screen", lists)?;
        ensure(screen.contains(" 6 workers"), || screen.clone())?;
        tmux.wait_until("a rate", |screen| screen.contains("25.0/s"))?;
        tmux.type_in(&["/", "motion", "Enter"])?;
        tmux.wait_until("motion alone", |screen| !screen.contains("  decode1 "))?;
        let before = restarts(project, "motion");
        tmux.type_in(&["r"])?;
        wait_for(60, "a restart of motion", || {
            (restarts(project, "motion") > before).then_some(())
        })?;
        tmux.type_in(&["w"])?;
        tmux.wait_until("why", |screen| {
            screen.contains("LAST DEATHS") && screen.contains("motion")
        })?;
        tmux.type_in(&["Escape"])?;
        // Two keys that come as one are read as Alt and the second.
        tmux.wait_until("the tree again", |screen| !screen.contains("LAST DEATHS"))?;
        tmux.type_in(&["s"])?;
        tmux.wait_until("motion stopped", |screen| screen.contains("1 stopped"))?;
        tmux.type_in(&["s"])?;
        project.wait_restarted("motion", 0)?;
        Ok(())
    });
}

#[test]
fn it_follows_the_terminals_size_and_gives_the_terminal_back_however_it_ends() {
    holds(|project| {
        let Some(tmux) = Tmux::start(project, 160, 45) else { return Ok(()) };
        let file = project.file().display().to_string();
        for end in ["q", "SIGTERM"] {
            tmux.top()?;
            tmux.wait_until("the screen", |screen| screen.contains("q quit"))?;
            let small = tmux.command(&["resize-window", "-x", "60", "-y", "12"]).status();
            ensure(small.is_ok_and(|status| status.success()), || "resize".to_owned())?;
            tmux.wait_until("the smaller screen", |screen| screen.contains("cam1"))?;
            let _ = tmux.command(&["resize-window", "-x", "160", "-y", "45"]).status();
            if end == "q" {
                tmux.type_in(&["q"])?;
            } else {
                let tops = top_processes(&file);
                ensure(tops.len() == 1, || format!("{tops:?}"))?;
                processes::signal(tops[0], Signal::SIGTERM);
            }
            wait_for(60, "its end", || top_processes(&file).is_empty().then_some(()))?;
            tmux.wait_until("the shell", |screen| !screen.contains("6 workers"))?;
            // Typed text is echoed and carried out only when the terminal is as it was.
            tmux.type_in(&["echo back $((40 + 2))", "Enter"])?;
            tmux.wait_until("the shell's answer", |screen| {
                screen.contains("echo back") && screen.contains("back 42")
            })?;
            tmux.type_in(&["clear", "Enter"])?;
        }
        Ok(())
    });
}

fn top_processes(file: &str) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let line = processes::command_line(*pid);
        line.contains(file) && line.trim_end().ends_with(" top") && line.contains("framevisor -f")
    })
    .collect()
}

#[test]
fn scripts_get_it_once_as_json_with_rates_and_cameras() {
    holds(|project| {
        let worker = |told: &Value, name: &str| {
            let workers = told["workers"].as_array().into_iter().flatten();
            workers.clone().find(|worker| worker["name"] == name).cloned().unwrap_or_default()
        };
        let mut last = String::new();
        // It looks for a second, in which a worker of a busy machine may have stood still.
        let shown = wait_for(60, "rates of a camera and of the recorder", || {
            last = match project.succeed(&["top", "--once", "-o", "json"]) {
                Ok(text) => text,
                Err(failure) => return Some(Err(failure)),
            };
            let told: Value = match serde_json::from_str(&last) {
                Ok(told) => told,
                Err(error) => return Some(Err(Failure(format!("{last}: {error}")))),
            };
            let flows =
                |name| worker(&told, name)["rate_hz"].as_f64().is_some_and(|rate| rate > 1.0);
            (flows("cam1") && flows("recorder")).then_some(Ok(told))
        });
        let told = shown.map_err(|failure| Failure(format!("{failure}: {last}")))?.0?;
        let of = |name: &str| worker(&told, name);
        let ensure_is = |holds| ensure(holds, || told.to_string());
        ensure_is(of("motion")["camera"] == "cam1" && of("recorder")["camera"].is_null())?;
        ensure_is(of("cam1")["private_bytes"].as_u64().is_some_and(|bytes| bytes > 0))?;
        ensure_is(told["rings"].as_array().is_some_and(|rings| rings.len() == 4))?;
        let refused = project.run(&["top"])?;
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure(refused.status.code() == Some(2) && said.contains("--once"), || said)
    });
}
