//! Workers that need each other at the start.

use std::fs;

use serde_json::{Value, json};

use crate::project::{Project, free_port};
use crate::{Failure, Outcome, ensure, wait_for};

/// Opens its port two seconds after its start; writes down how many bytes a publisher sent it.
const LATE_SERVER: &str = "\
import socket, sys, time
time.sleep(2)
with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as server:
    while True:
        with server.accept()[0] as peer:
            received = 0
            while chunk := peer.recv(65536):
                received += len(chunk)
                if received > 10000:
                    with open(sys.argv[2], 'w') as file:
                        file.write(f'{received}\\n')
                    received = -1 << 40
";

/// A publisher that gives up when nobody listens, behind a server that listens late: it starts right, so
/// many times of so many.
pub fn a_publisher_waits_for_its_late_server(times: u32) -> Outcome<Value> {
    let port = free_port()?;
    let project = Project::new(&format!(
        "version: 1
workers:
  publisher:
    run: [ffmpeg, -nostdin, -v, error, -re, -f, lavfi, -i, 'testsrc2=s=320x192:r=25', -c:v, mpeg2video, -f, mpegts, 'tcp://127.0.0.1:{port}']
    restart: {{limit: 1 in 60s}}
    after: server
  server:
    run: [python3, '{{dir}}/server.py', '{port}', '{{dir}}/received']
    ready: tcp {port}
"
    ))?;
    let received = project.dir().join("received");
    fs::write(project.dir().join("server.py"), LATE_SERVER).map_err(Failure::new)?;
    for time in 1..=times {
        project.succeed(&["up", "-d"])?;
        let arrived = || received.exists().then_some(());
        wait_for(60, &format!("the publisher's bytes, start {time} of {times}"), arrived)?;
        let publisher = project.worker("publisher")?;
        ensure(publisher.restarts == 0, || {
            format!("start {time} of {times}: it was started too early: {publisher:?}")
        })?;
        project.down()?;
        fs::remove_file(&received).map_err(Failure::new)?;
    }
    Ok(json!({ "starts": times, "right": times }))
}
