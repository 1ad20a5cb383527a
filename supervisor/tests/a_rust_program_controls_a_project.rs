//! The client crate against a real supervisor.

use std::time::Duration;

use framevisor_client::{Error, Project as Client, WorkerState};

use crate::harness::{Project, SOON};

const TWO: &str = "  a1: {run: [sleep, '1000']}\n  a2: {run: [sleep, '1000']}\n";

#[test]
fn a_program_restarts_workers_and_hears_of_it() {
    let mut project = Project::new(TWO);
    project.up();
    let mut client = Client::at(&project.runtime_dir()).unwrap();
    let mut events = client.events(&["a2"]).unwrap();
    let restarted = client.restart(&["a*"]).unwrap();
    assert_eq!(restarted.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["a1", "a2"]);
    client.wait_until_up(&restarted, SOON).unwrap();
    let first = events.next().unwrap().unwrap();
    assert_eq!((first.worker.as_str(), first.to), ("a2", WorkerState::Stopping));
    let workers = client.workers().unwrap();
    assert!(workers.iter().all(|worker| worker.restarts == 1), "{workers:?}");
    client.down().unwrap();
    assert!(events.all(|event| event.is_ok()), "the end of the project is the end of its events");
}

#[test]
fn a_program_is_told_what_was_wrong() {
    let mut project = Project::new(TWO);
    let absent = Client::at(&project.runtime_dir()).unwrap_err();
    assert!(matches!(absent, Error::NotRunning { .. }), "{absent}");
    project.up();
    let mut client = Client::at(&project.runtime_dir()).unwrap();
    let Err(Error::Refused(refused)) = client.stop(&["a3"]) else { panic!("it was taken") };
    assert_eq!(refused.code, "worker");
    assert_eq!(refused.text, "no worker is named a3");
    let never = client.wait("the impossible", Duration::from_millis(1), |_| false).unwrap_err();
    assert!(never.to_string().contains("a1 running, a2 running"), "{never}");
}
