//! What a worker's input can do to it: kill it again and again.

use serde_json::{Value, json};

use crate::harness::{Project, text, wait_for};

fn why(project: &Project, name: &str) -> Value {
    let output = project.run(&["why", name, "-o", "json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_item_that_killed_twice_is_not_given_again_and_opens_no_breaker() {
    let mut project = Project::new(
        "  good-cam: {use: ingest, source: 'test:', out: cam1.packets}\n  \
         poisoned: {use: decoder, in: cam1.packets, restart: {limit: 3 in 60s, delay: 0s}}\n",
    );
    project.up();
    let worker = project.wait_for_state("poisoned", "running");
    wait_for("two deaths and a third life", || project.worker("poisoned")["restarts"] == 2);
    assert_ne!(worker["state"], "held");
    project.wait_for_state("poisoned", "running");
    let told = why(&project, "poisoned");
    assert_eq!(told["passed_over"], json!([{"epoch": 7, "sequence": 42}]));
    let reasons: Vec<&Value> =
        told["deaths"].as_array().unwrap().iter().map(|death| &death["reason"]).collect();
    assert!(reasons.iter().all(|reason| reason.as_str().unwrap().starts_with("SIGABRT")));
    let screen = text(&project.run(&["why", "poisoned"]).stdout);
    assert!(screen.contains("passes over 42 of epoch 7"), "{screen}");
}
