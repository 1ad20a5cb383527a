//! Who publishes to us is a camera like others, and does not notice when the RTSP server dies.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use tests::framecode::Run;
use tests::project::{Project, free_port};
use tests::{Failure, Outcome, ensure, ffmpeg, processes, wait_for};

const SIZE: (usize, usize) = (320, 192);
const PICTURES: u64 = 100;

/// Two cameras that are published to, a server, and pictures with numbers to publish.
fn topology(port: u16) -> String {
    format!(
        "version: 1
workers:
  src: {{use: ingest, source: 'test:?size=320x192&fps=25&gop=10'}}
  tcp: {{use: ingest, source: 'publish:'}}
  udp: {{use: ingest, source: 'publish:?second=replace'}}
  rtsp: {{use: rtsp, in: [src.packets, tcp.packets, udp.packets], listen: '127.0.0.1:{port}'}}
"
    )
}

/// An ffmpeg that reads one camera and publishes it as another one.
struct Publisher(Child);

impl Publisher {
    fn start(port: u16, transport: &str) -> Outcome<Self> {
        let (from, to) = (
            format!("rtsp://127.0.0.1:{port}/src"),
            format!("rtsp://127.0.0.1:{port}/{transport}"),
        );
        // Ended by `timeout` should the test not come to it.
        let child = Command::new("timeout")
            .args([
                "600",
                "ffmpeg",
                "-nostdin",
                "-v",
                "error",
                "-rtsp_transport",
                "tcp",
                "-i",
                &from,
            ])
            .args(["-c", "copy", "-f", "rtsp", "-rtsp_transport", transport, &to])
            .stdin(Stdio::null())
            .spawn();
        child.map(Self).map_err(|error| Failure(format!("ffmpeg: {error}")))
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        for child in processes::children(self.0.id()) {
            processes::signal(child, Signal::SIGKILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An ffmpeg that has published a file to its end.
fn publish_file(file: &Path, port: u16, camera: &str) -> Outcome<()> {
    let to = format!("rtsp://127.0.0.1:{port}/{camera}");
    let status = Command::new("timeout")
        .args(["120", "ffmpeg", "-nostdin", "-v", "error", "-re", "-i"])
        .arg(file)
        .args(["-c", "copy", "-f", "rtsp", "-rtsp_transport", "tcp", &to])
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        other => Err(Failure(format!("ffmpeg to {to}: {other:?}"))),
    }
}

fn head(project: &Project, ring: &str) -> u64 {
    let rings = shmring::census::rings(project.name());
    rings.iter().filter(|it| it.name.as_str() == ring).map(|it| it.head).sum()
}

fn flows(project: &Project, camera: &str) -> Outcome<()> {
    let ring = format!("{camera}.packets");
    let before = head(project, &ring);
    wait_for(120, &format!("{ring} to flow"), || {
        (head(project, &ring) >= before + 25).then_some(())
    })
    .map(drop)
}

/// Every number, at a reader over TCP.
fn is_exact(port: u16, camera: &str) -> Outcome<()> {
    let url = format!("rtsp://127.0.0.1:{port}/{camera}");
    let codes = ffmpeg::codes(&["-rtsp_transport", "tcp", "-i", &url, "-t", "4"], SIZE.0, SIZE.1)?;
    let run = Run::of(&codes, None);
    ensure(run.is_exact() && run.pictures >= PICTURES / 2, || format!("{camera}: {run:?}"))
}

fn holds(check: impl FnOnce() -> Outcome<()>) {
    let _turn =
        crate::first_light::ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    check().unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn who_publishes_over_tcp_and_udp_is_seen_exactly() {
    holds(|| {
        let port = free_port()?;
        let project = Project::new(&topology(port))?;
        project.succeed(&["up", "-d"])?;
        flows(&project, "src")?;
        let _publishers = [Publisher::start(port, "tcp")?, Publisher::start(port, "udp")?];
        flows(&project, "tcp")?;
        flows(&project, "udp")?;
        is_exact(port, "tcp")?;
        // A datagram may be lost on a busy machine; not each time.
        is_exact(port, "udp")
            .or_else(|_| is_exact(port, "udp"))
            .or_else(|_| is_exact(port, "udp"))?;
        project.down()
    });
}

#[test]
fn a_publisher_goes_on_through_the_death_of_the_server_and_comes_back_after_its_own() {
    holds(|| {
        let port = free_port()?;
        let project = Project::new(&topology(port))?;
        project.succeed(&["up", "-d"])?;
        flows(&project, "src")?;
        let clip = project.dir().join("clip.mp4");
        let from = format!("rtsp://127.0.0.1:{port}/src");
        let seconds = (PICTURES / 25).to_string();
        ffmpeg::make(&[
            "-rtsp_transport",
            "tcp",
            "-i",
            &from,
            "-t",
            &seconds,
            "-c",
            "copy",
            clip.to_str().unwrap_or_default(),
        ])?;
        let pictures = u64::try_from(ffmpeg::packets(&clip)?).unwrap_or(0);
        for time in 0..2 {
            let before = head(&project, "tcp.packets");
            let server = project.pid("rtsp")?;
            std::thread::scope(|scope| {
                let publishing = scope.spawn(|| publish_file(&clip, port, "tcp"));
                wait_for(120, "the publisher's first pictures", || {
                    (head(&project, "tcp.packets") > before).then_some(())
                })?;
                processes::signal(server, Signal::SIGKILL);
                publishing.join().map_err(|_| Failure("a panic".to_owned()))?
            })?;
            project.wait_restarted("rtsp", server)?;
            // Who has sent its last picture does not wait until that is in the ring.
            wait_for(120, &format!("{pictures} pictures, time {time}"), || {
                (head(&project, "tcp.packets") >= before + pictures).then_some(())
            })?;
            wait_for(120, "the camera to be down", || {
                let status = project.worker("tcp").ok()?;
                status.why.contains("ended its stream").then_some(())
            })?;
            let came = head(&project, "tcp.packets") - before;
            ensure(came == pictures, || format!("{came} pictures of {pictures}, time {time}"))?;
        }
        project.down()
    });
}
