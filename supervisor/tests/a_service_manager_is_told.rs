//! Under systemd: readiness, a watchdog that a supervisor which stands still does not feed, the stop.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{Project, SOON, is_alive, signal, wait_for};

fn next(socket: &UnixDatagram, patience: Duration) -> Option<String> {
    socket.set_read_timeout(Some(patience)).unwrap();
    let mut bytes = [0; 200];
    let length = socket.recv(&mut bytes).ok()?;
    Some(String::from_utf8(bytes[..length].to_vec()).unwrap())
}

#[test]
fn readiness_beats_and_the_stop_are_told() {
    let project = Project::new("  a: {run: [sleep, '1000']}\n");
    let path = project.dir.join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut up = project.command(&["up"]);
    // A queue holds ten messages (net.unix.max_dgram_qlen): at two a second nothing is lost while this
    // test is not scheduled.
    up.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000");
    let mut guard = up.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(next(&manager, SOON).unwrap(), "READY=1\nSTATUS=1 workers");
    for _ in 0..3 {
        assert_eq!(next(&manager, SOON).unwrap(), "WATCHDOG=1");
    }
    let supervisor = project.supervisor();
    signal(supervisor, Signal::SIGSTOP);
    while next(&manager, Duration::from_millis(1500)).is_some() {}
    signal(supervisor, Signal::SIGCONT);
    assert_eq!(next(&manager, SOON).unwrap(), "WATCHDOG=1");
    let mut down = project.command(&["down"]).spawn().unwrap();
    // Read all the time: a manager never hears what its full queue had no place for.
    while next(&manager, SOON).expect("the stop is told") != "STOPPING=1" {}
    assert!(down.wait().unwrap().success());
    wait_for("the end of up", || guard.try_wait().unwrap().is_some());
    assert!(!is_alive(supervisor));
}
