//! The promises of the first milestone, each a function that runs the real thing and tells what it
//! saw. Small in the tests, at length in `framevisor-verify`.

pub mod clean;
pub mod errors;
pub mod faults;
pub mod kills;
pub mod pages;
pub mod python;
pub mod rings;

use crate::Outcome;
use crate::project::{Project, free_port};

/// Size of the pictures of [`two_cameras`].
pub const SIZE: (usize, usize) = (320, 192);
/// Pictures a second.
pub const FPS: u64 = 25;
/// What a looped source counts to before it begins again: one minute.
pub const LOOP_PICTURES: u32 = 60 * 25;

/// A project with everything in it, and where it listens.
#[derive(Debug)]
pub struct Running {
    pub project: Project,
    pub rtsp_port: u16,
    pub web_port: u16,
}

/// Two synthetic cameras, live and looped, with every worker kind. `restart` is put into each
/// worker's section.
pub fn two_cameras(restart: &str) -> Outcome<Running> {
    let (rtsp_port, web_port) = (free_port()?, free_port()?);
    let text = format!(
        "version: 1
workers:
  cam1: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=live'{restart}}}
  cam2: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=25&mode=loop'{restart}}}
  cam1-decoder: {{use: decoder, in: cam1.packets{restart}}}
  cam2-decoder: {{use: decoder, in: cam2.packets{restart}}}
  motion: {{use: motion, in: cam1.frames{restart}}}
  recorder: {{use: recorder, in: [cam1.packets, cam2.packets], dir: '{{dir}}/recordings'{restart}}}
  rtsp: {{use: rtsp, in: [cam1.packets, cam2.packets], listen: '127.0.0.1:{rtsp_port}'{restart}}}
  web: {{use: web, in: [cam1.frames, cam2.frames, motion.events], listen: '127.0.0.1:{web_port}'{restart}}}
"
    );
    Ok(Running { project: Project::new(&text)?, rtsp_port, web_port })
}

/// Back-off and hold off: what kill tests need, said openly.
pub const RESTART_AT_ONCE: &str = ", restart: {delay: 0s, limit: none}";

impl Running {
    pub fn rtsp_url(&self, camera: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{camera}", self.rtsp_port)
    }

    pub fn web_url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.web_port)
    }
}
