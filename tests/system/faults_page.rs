//! docs/faults.md and the tests it names stay in step.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tests::project::source_root;

#[test]
fn the_page_of_faults_names_every_fault_test_and_no_other() {
    let page = fs::read_to_string(source_root().join("docs/faults.md")).unwrap();
    let named = words(&page).into_iter().filter(|word| is_test(word)).collect::<BTreeSet<_>>();
    let mut written = BTreeSet::new();
    for folder in ["supervisor/tests", "tests/system"] {
        tests_in(&source_root().join(folder), &mut written);
    }
    assert!(written.len() >= 20, "{written:?}");
    let missing: Vec<_> = written.difference(&named).collect();
    let gone: Vec<_> = named.difference(&written).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "not on the page: {missing:?}; no such test: {gone:?}"
    );
}

#[test]
fn each_row_of_the_page_has_the_number_of_its_tests() {
    let page = fs::read_to_string(source_root().join("docs/faults.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
    let mut numbers = Vec::new();
    for row in rows.filter(|row| row.starts_with(|first: char| first.is_ascii_digit())) {
        let number: u32 = row.split(' ').next().unwrap().parse().unwrap();
        let prefix = format!("fault_{number:02}_");
        let tests: Vec<_> = words(row).into_iter().filter(|word| is_test(word)).collect();
        assert!(!tests.is_empty(), "row {number} names no test");
        assert!(tests.iter().all(|test| test.starts_with(&prefix)), "row {number}: {tests:?}");
        numbers.push(number);
    }
    assert!(numbers.is_sorted() && numbers.len() >= 19, "{numbers:?}");
}

fn words(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).map(str::to_owned).collect()
}

/// `fault_`, two digits, `_` and more.
fn is_test(word: &str) -> bool {
    let rest = word.strip_prefix("fault_").unwrap_or_default().as_bytes();
    rest.len() > 3 && rest[..2].iter().all(u8::is_ascii_digit) && rest[2] == b'_'
}

fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let functions = text.lines().filter_map(|line| line.strip_prefix("fn "));
        let names = functions.filter_map(|line| line.split('(').next());
        found.extend(names.filter(|name| is_test(name)).map(str::to_owned));
    }
}
