//! A project with a camera and its page, for the checks of what the page serves.

use nix::sys::signal::Signal;
use protocol::time::Stamp;
use shmring::clock;

use crate::project::{Project, free_port};
use crate::{Failure, Outcome, ensure, http, processes, wait_for};

/// Of its pictures.
pub const SIZE: (usize, usize) = (640, 480);
/// A camera whose numbers never begin anew, a key frame each second.
pub const SOURCE: &str = "test:?size=640x480&fps=25&gop=25&mode=live";
/// Killed, it is back at once, as often as wanted.
pub const AT_ONCE: &str = "restart: {delay: 0s, limit: none}";

/// A running project, and where its page is.
#[derive(Debug)]
pub struct Site {
    pub project: Project,
    pub port: u16,
}

impl Site {
    /// `cam1` and `web`, and what else there is, as lines of `workers`. `{port}` in them is the page's.
    pub fn begin(more: &str) -> Outcome<Self> {
        let port = free_port()?;
        let text = format!(
            "version: 1
workers:
  cam1: {{use: ingest, source: '{SOURCE}', {AT_ONCE}}}
{more}"
        );
        let project = Project::new(&text.replace("{port}", &port.to_string()))?;
        project.up()?;
        Ok(Self { project, port })
    }

    /// Nothing but the camera and its page.
    pub fn plain() -> Outcome<Self> {
        Self::begin(&format!(
            "  web: {{use: web, in: cam1.packets, listen: '127.0.0.1:{{port}}', {AT_ONCE}}}\n"
        ))
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn playlist(&self) -> String {
        format!("{}/hls/cam1/index.m3u8", self.base())
    }

    /// Waits until there is a list with as many segments as players like to begin with.
    pub fn wait_for_segments(&self) -> Outcome<()> {
        let listed = || {
            let answer = http::get(self.port, "/hls/cam1/live.m3u8").ok()?;
            (answer.text().matches("#EXTINF").count() >= 4).then_some(())
        };
        wait_for(60, "four segments", listed).map(drop)
    }

    /// The body of an answer that must be 200.
    pub fn text(&self, path: &str) -> Outcome<String> {
        let answer = http::get(self.port, path).map_err(Failure::new)?;
        ensure(answer.status == 200, || format!("{path}: {} {}", answer.status, answer.text()))?;
        Ok(answer.text())
    }

    /// A figure of `/metrics`, by its name and labels as they stand there.
    pub fn metric(&self, name: &str) -> Outcome<f64> {
        let text = self.text("/metrics")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok())
            .ok_or_else(|| Failure(format!("no {name}:\n{text}")))
    }

    /// Kills a worker; it need not be back. Its process, and when it was killed.
    pub fn kill(&self, worker: &str) -> Outcome<(u32, Stamp)> {
        let pid = self.project.pid(worker)?;
        processes::signal(pid, Signal::SIGKILL);
        Ok((pid, clock::now()))
    }
}

/// The value below which so many of a hundred lie; infinite without any.
pub fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(at).copied().unwrap_or(f64::INFINITY)
}

/// To a tenth, for people.
pub fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut values: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!((percentile(&mut values, 50), percentile(&mut values, 95)), (50.0, 95.0));
        assert!(percentile(&mut [], 50).is_infinite());
        assert_eq!(percentile(&mut [3.0], 95), 3.0);
    }
}
