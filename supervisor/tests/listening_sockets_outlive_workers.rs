//! A connection is never refused because a worker is being restarted.

use std::net::{SocketAddr, TcpStream};

use nix::sys::signal::Signal;

use crate::harness::{Project, signal, wait_for};

#[test]
fn connecting_works_at_any_moment_of_a_restart() {
    let workers = "  x: {use: ingest, source: 'test:'}\n  \
        good: {use: web, in: x.packets, listen: '127.0.0.1:0', restart: {delay: 0s, limit: none}}\n";
    let workers = workers.replace("  x:", "  good-x:").replace("x.packets", "good-x.packets");
    let mut project = Project::new(&workers);
    project.up();
    let worker = project.wait_for_state("good", "running");
    let address: SocketAddr = worker["listen"][0].as_str().unwrap().parse().unwrap();
    for _ in 0..5 {
        let before = project.wait_for_state("good", "running");
        signal(project.pid("good"), Signal::SIGKILL);
        wait_for("a restart", || {
            TcpStream::connect(address).unwrap();
            project.worker("good")["restarts"] != before["restarts"]
        });
    }
}
