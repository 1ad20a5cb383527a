//! The page about topologies tells the truth.

use protocol::config::ingest::Source;

use super::*;

#[test]
fn the_examples_are_topologies() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/topologies");
    let mut count = 0;
    let paths = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    // Who tries an example here leaves its recordings here.
    for path in paths.filter(|path| path.is_file()) {
        let topology = load(std::slice::from_ref(&path), &Overrides::default())
            .unwrap_or_else(|report| panic!("{report}"));
        assert!(!topology.rings.is_empty(), "{}", path.display());
        count += 1;
    }
    assert!(count >= 4, "only {count} examples in {}", folder.display());
}

#[test]
fn the_pages_examples_print_what_the_page_says() {
    let blocks = page_blocks();
    assert!(blocks.len() > 18);
    for (yaml, expected) in blocks {
        let read = parse(yaml, Path::new("/srv/yard/framevisor.yml"), &Overrides::default());
        let printed = match (read, expected) {
            (Err(report), _) => report.to_string(),
            (Ok(topology), Some(_)) => probe::check(&topology).expect_err(yaml).to_string(),
            (Ok(_), None) => String::new(),
        };
        assert_eq!(printed, expected.unwrap_or_default(), "{yaml}");
    }
}

#[test]
fn the_rows_of_what_goes_wrong_are_real_texts() {
    let outputs: String = page_blocks().into_iter().filter_map(|(_, output)| output).collect();
    let rows: Vec<_> = PAGE.lines().filter(|line| line.contains(" | 3 | `")).collect();
    assert!(rows.len() > 15);
    for row in rows {
        let cells: Vec<_> = row.trim_matches(['|', ' ']).split(" | ").collect();
        for cell in &cells[2..4] {
            assert!(outputs.contains(cell.trim_matches('`')), "{cell}");
        }
    }
}

#[test]
fn the_page_has_a_row_for_every_key() {
    use protocol::config::*;
    let sections = [
        serde_json::json!(DecoderConfig::default()),
        serde_json::json!(IngestConfig::of(Source::File("x".into()))),
        serde_json::json!(MotionConfig::default()),
        serde_json::json!(DetectConfig::of("x.onnx".into())),
        serde_json::json!(RecorderConfig::at("x".into())),
        serde_json::json!(RtspConfig::default()),
        serde_json::json!(WebConfig::default()),
        serde_json::json!(RingConfig::default()),
    ];
    for key in sections.iter().flat_map(|section| section.as_object().unwrap().keys()) {
        assert!(PAGE.contains(&format!("\n| `{key}` |")), "{key}");
    }
}
