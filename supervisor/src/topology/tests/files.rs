//! Formats, several files, and what `config` prints.

use super::*;

fn together(files: &[(&str, &str)]) -> Result<Topology, Report> {
    let source = |(name, text): &(&str, &str)| crate::topology::Source {
        name: Path::new("/srv/yard").join(name),
        text: (*text).to_owned(),
    };
    let sources = files.iter().map(source).collect();
    read(sources, Path::new("/srv/yard"), &Overrides::default())
}

const YAML: &str = "version: 1
cameras:
  hall-{1..2}: {url: 'rtsp://10.0.0.{1..2}/x', record: {segment: 5m}}
workers:
  counter: {run: [sh, -c, \"a\\tb\"], in: hall-1.packets, env: {A: '1'}}
";

const JSON: &str = "{\t\"version\": 1,
\t\"cameras\": {\"hall-{1..2}\": {\"url\": \"rtsp:\\/\\/10.0.0.{1..2}/x\", \"record\": {\"segment\": \"5m\"}}},
\t\"workers\": {\"counter\": {\"run\": [\"sh\", \"-c\", \"a\\tb\"], \"in\": \"hall-1.packets\", \"env\": {\"A\": 1}}}}
";

const TOML: &str = "version = 1
[cameras.'hall-{1..2}']
url = 'rtsp://10.0.0.{1..2}/x'
record.segment = '5m'
[workers.counter]
run = ['sh', '-c', \"a\\tb\"]
in = 'hall-1.packets'
env = {A = 1}
";

#[test]
fn a_topology_means_the_same_in_each_format() {
    let of = |name: &str, text: &str| {
        let topology = together(&[(name, text)]).unwrap_or_else(|report| panic!("{report}"));
        (topology.workers, topology.rings)
    };
    let yaml = of("framevisor.yml", YAML);
    assert_eq!(of("framevisor.json", JSON), yaml);
    assert_eq!(of("framevisor.toml", TOML), yaml);
    assert_eq!(of("<stdin>", JSON.replace('\t', " ").as_str()), yaml, "JSON from stdin");
}

#[test]
fn a_mistake_has_its_place_in_each_format() {
    let found = |name: &str, text: &str| {
        let report = together(&[(name, text)]).unwrap_err();
        let mistake = &report.mistakes()[0];
        (mistake.line.unwrap(), mistake.column.unwrap(), mistake.text.clone())
    };
    let text = "worker a: unknown key 'lop'".to_owned();
    let json = "{\"version\": 1,\n\t\"workers\": {\"a\": {\"use\": \"ingest\", \"source\": \"test:\",\n\"lop\": true}}}";
    assert_eq!(found("a.json", json), (3, 1, text.clone()));
    let toml = "version = 1\n[workers.a]\nuse = 'ingest'\nsource = 'test:'\n lop = true";
    assert_eq!(found("a.toml", toml), (5, 2, text));
    let twice =
        found("a.json", "{\"version\": 1,\n \"version\": 1,\"workers\":{\"a\":{\"run\":[\"x\"]}}}");
    assert_eq!(twice, (2, 2, "key 'version' is written twice (first in line 1)".into()));
    let comma = found("a.json", "{\"version\": 1,\n}");
    assert_eq!((comma.0, comma.2), (2, "not valid JSON: key must be a string".into()));
    assert_eq!(found("a.toml", "version = 1\nworkers = \n").0, 2);
    assert!(together(&[("a.json", "# x\nversion: 1")]).is_err(), "YAML is no JSON");
}

#[test]
fn several_files_add_to_each_other() {
    let topology = together(&[
        ("base.yml", "version: 1\nworkers: {a: {use: ingest, source: 'test:'}}"),
        ("more.toml", "version = 1\n[workers.b]\nuse = 'web'\nin = '*.packets'"),
        ("site.yml", "workers: {a: {restart: {limit: none}}}\nproject: site\nrings:\n"),
        ("empty.yml", ""),
    ])
    .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(topology.project.as_str(), "site");
    assert_eq!(names(&topology), ["a", "b"]);
    assert_eq!(worker(&topology, "a").restart.limit, None);
    assert_eq!(topology.file, Path::new("/srv/yard/base.yml"));
}

#[test]
fn files_that_contradict_each_other_are_told_with_both_places() {
    let report = together(&[
        ("base.yml", "version: 1\nworkers:\n  a: {use: ingest, source: 'test:'}\n  b: {run: [x]}"),
        ("site.yml", "workers:\n  a: {source: 'test:?fps=5'}\n  b: 5\n  c: {use: ingst}"),
    ])
    .unwrap_err();
    let expected = "/srv/yard/site.yml:2:15: error: source has another value already (/srv/yard/base.yml, line 3)
      a: {source: 'test:?fps=5'}
                  ^^^^^^^^^^^^^
help: keep one of the two: files add to each other, none overrides another
/srv/yard/site.yml:3:6: error: b has another value already (/srv/yard/base.yml, line 4)
      b: 5
         ^
help: keep one of the two: files add to each other, none overrides another
/srv/yard/site.yml:4:12: error: worker c: unknown kind 'ingst'
      c: {use: ingst}
               ^^^^^
help: did you mean 'ingest'?
";
    assert_eq!(report.to_string(), expected);
    let twice = together(&[("a.yml", "version: 1\n"), ("b.yml", "a: 1\n\na: 2")]).unwrap_err();
    let twice = twice.to_string();
    assert!(
        twice.contains("b.yml:3:1: error: key 'a' is written twice (first in line 1)"),
        "{twice}"
    );
}

#[test]
fn what_config_prints_means_the_same_with_nothing_short_left() {
    let folder = std::env::temp_dir().join(format!("framevisor-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let first = file(
        "framevisor.yml",
        "version: 1
defaults: {rings: {spare_readers: 3}, decoder: {threads: 2, limits: {nice: 5}}}
hooks:
  tell: {on: worker.held, run: [./tell, '${PART:-main}']}
templates: {indoor: {motion: true, serve: web}}
cameras:
  hall-{1..2}: {like: indoor, url: 'rtsp://10.0.0.{1..2}/${PART:-main}'}
  door: '${cred:url}'
",
    );
    let second = file("more.toml", "workers.own.run = ['sh', '-c', 'echo \\t']\n");
    let variables =
        [("FRAMEVISOR_CRED_URL".to_owned(), "rtsp://u:s3cret@10.0.0.9/".to_owned())].into();
    let overrides = Overrides { variables, ..Overrides::default() };
    let files = [first, second];
    let meant = load(&files, &overrides).unwrap_or_else(|report| panic!("{report}"));
    for is_expanded in [false, true] {
        let text = config(&files, &overrides, is_expanded).unwrap();
        assert!(text.contains("${cred:url}") && !text.contains("s3cret"), "{text}");
        assert!(text.contains("${PART:-main}"), "{text}");
        for short in ["cameras:", "templates:", "like:", "{1..2}", "decoder:"] {
            assert_eq!(text.contains(short), !is_expanded, "{short}: {text}");
        }
        let printed = file("printed.yml", &text);
        let again = load(&[printed], &overrides).unwrap_or_else(|report| panic!("{report}"));
        let limited = again.workers.iter().filter(|worker| worker.limits.nice == Some(5));
        assert_eq!(limited.count(), 2, "{text}");
        assert_eq!(again.hooks, meant.hooks);
        assert_eq!((again.workers, again.rings), (meant.workers.clone(), meant.rings.clone()));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
