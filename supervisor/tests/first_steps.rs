//! From nothing to a topology, and what it means, without starting anything.

use std::fs;

use crate::harness::{Project, text};

#[test]
fn init_writes_a_topology_that_check_and_graph_take_and_never_over_a_file() {
    let project = Project::new("  a: {run: [sleep, '1']}\n");
    let file = project.dir.join("framevisor.yml");
    let before = fs::read_to_string(&file).unwrap();
    let refused = project.run(&["init"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("is there already"), "{}", text(&refused.stderr));
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
    let schema = project.dir.join("framevisor.schema.json");
    assert!(!schema.exists(), "a refused init leaves nothing");
    for template in ["demo", "rtsp"] {
        fs::remove_file(&file).unwrap();
        let written = project.run(&["init", template]);
        assert!(written.status.success(), "{}", text(&written.stderr));
        let first = fs::read_to_string(&file).unwrap().lines().next().unwrap().to_owned();
        assert_eq!(first, "# yaml-language-server: $schema=framevisor.schema.json");
        let printed = project.run(&["schema"]).stdout;
        assert_eq!(fs::read(&schema).unwrap(), printed, "beside the topology");
        let checked = project.run(&["check"]);
        assert!(checked.status.success(), "{template}: {}", text(&checked.stderr));
    }
    let graph = text(&project.run(&["graph"]).stdout);
    assert!(graph.starts_with("yard (ingest)\n└─ yard.packets\n"), "{graph}");
    let chart = text(&project.run(&["graph", "--mermaid"]).stdout);
    assert!(chart.starts_with("flowchart LR\n"), "{chart}");
    let data = text(&project.run(&["graph", "-o", "json"]).stdout);
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(data["rings"][0]["writer"], "yard");
}

#[test]
fn init_leaves_a_schema_that_is_there() {
    let project = Project::new("  a: {run: [sleep, '1']}\n");
    let schema = project.dir.join("framevisor.schema.json");
    fs::write(&schema, "{}").unwrap();
    let other = project.dir.join("other.yml");
    let written = project.run(&["init", "-f", other.to_str().unwrap()]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    assert_eq!(fs::read_to_string(&schema).unwrap(), "{}");
}

#[test]
fn init_says_where_it_cannot_write() {
    let project = Project::new("  a: {run: [sleep, '1']}\n");
    let refused = project.run(&["init", "file", "-f", "/proc/nowhere/framevisor.yml"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("cannot write /proc/nowhere/framevisor.yml"), "{said}");
}
