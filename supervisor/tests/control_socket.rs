//! The control socket as any program may use it, well or badly.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use crate::harness::{Project, SOON, lines_of, text};

fn connect(project: &Project) -> BufReader<UnixStream> {
    let stream = UnixStream::connect(project.runtime_dir().join("control.sock")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    BufReader::new(stream)
}

fn ask(stream: &mut BufReader<UnixStream>, line: &str) -> Value {
    writeln!(stream.get_mut(), "{line}").unwrap();
    let mut reply = String::new();
    stream.read_line(&mut reply).unwrap();
    serde_json::from_str(&reply).unwrap()
}

fn project() -> Project {
    let mut project =
        Project::new("  a: {run: [sh, -c, 'echo one; echo two >&2; exec sleep 1000']}\n");
    project.up();
    project
}

#[test]
fn requests_are_answered_by_number_and_nonsense_is_told_so() {
    let project = project();
    let mut stream = connect(&project);
    let reply = ask(&mut stream, r#"{"v":1,"id":7,"verb":"ps"}"#);
    assert_eq!((&reply["id"], &reply["ok"][0]["name"]), (&json!(7), &json!("a")));
    let code = |reply: Value| reply["error"]["code"].as_str().unwrap().to_owned();
    assert_eq!(code(ask(&mut stream, "nonsense")), "request");
    assert_eq!(code(ask(&mut stream, r#"{"v":1,"id":1,"verb":"dance"}"#)), "verb");
    assert_eq!(code(ask(&mut stream, r#"{"v":9,"id":1,"verb":"ps"}"#)), "version");
    let names = r#"{"v":1,"id":1,"verb":"restart","args":{"names":["b"]}}"#;
    assert_eq!(code(ask(&mut stream, names)), "worker");
    let run = r#"{"v":1,"id":1,"verb":"restart","args":{"names":["a"],"run":["sh"]}}"#;
    assert_eq!(code(ask(&mut stream, run)), "args");
}

#[test]
fn a_line_without_end_is_cut_off_and_others_are_served() {
    let project = project();
    let mut endless = connect(&project);
    let block = vec![b'x'; 256 * 1024];
    let cut = (0..64).any(|_| endless.get_mut().write_all(&block).is_err());
    assert!(cut, "16 MiB without a line end were taken");
    assert_eq!(project.ps().len(), 1);
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    let project = project();
    let mut stream = connect(&project);
    writeln!(stream.get_mut(), r#"{{"v":1,"id":3,"verb":"ps"}}"#).unwrap();
    stream.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    let mut reply = String::new();
    stream.read_line(&mut reply).unwrap();
    assert!(reply.contains(r#""id":3"#), "{reply}");
}

#[test]
fn logs_show_both_streams_and_follow_what_comes() {
    let project = project();
    crate::harness::wait_for("both lines", || {
        let logs = lines_of(&project.run(&["logs", "a"]));
        logs == ["a | one", "a | two"] || logs == ["a | two", "a | one"]
    });
    assert_eq!(text(&project.run(&["logs", "a", "-n", "1"]).stdout).lines().count(), 1);
    let mut stream = connect(&project);
    let past = ask(&mut stream, r#"{"v":1,"id":1,"verb":"logs","args":{"lines":0,"follow":true}}"#);
    assert_eq!(past["ok"], json!([]));
    assert!(project.run(&["restart", "a"]).status.success());
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["event"]["worker"], "a");
}

#[test]
fn an_unknown_worker_is_answered_with_the_nearest_name() {
    let mut project = Project::new("  motion: {run: [sleep, '1000']}\n");
    project.up();
    let refused = project.run(&["restart", "montion"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("no worker is named montion; did you mean motion?"), "{said}");
}
