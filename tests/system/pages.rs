//! What the pages say of each other: that a link leads to a page, and to a heading of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tests::project::source_root;

/// Headings as links name them, of each page that was looked at.
#[derive(Default)]
struct Headings(BTreeMap<PathBuf, BTreeSet<String>>);

impl Headings {
    fn has(&mut self, page: &Path, anchor: &str) -> bool {
        let named = || fs::read_to_string(page).map(|text| anchors(&text)).unwrap_or_default();
        self.0.entry(page.to_owned()).or_insert_with(named).contains(anchor)
    }
}

#[test]
fn every_link_of_a_page_leads_to_something_that_is_there() {
    let root = source_root();
    let mut pages: Vec<_> =
        ["README.md", "CHANGELOG.md", "shmring/LAYOUT.md"].map(|page| root.join(page)).into();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|it| it == "md")));
    let mut headings = Headings::default();
    let (mut looked_at, mut dead) = (0, Vec::new());
    for page in &pages {
        for link in links(&fs::read_to_string(page).unwrap()) {
            looked_at += 1;
            if !leads_somewhere(page, &link, &mut headings) {
                dead.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(looked_at > 300, "{looked_at} links of {} pages", pages.len());
    assert!(dead.is_empty(), "lead nowhere:\n{}", dead.join("\n"));
}

#[test]
fn the_readme_leads_to_every_page() {
    let root = source_root();
    let readme = links(&fs::read_to_string(root.join("README.md")).unwrap());
    let named: BTreeSet<_> = readme.iter().filter_map(|link| link.split('#').next()).collect();
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_page = name.ends_with(".md");
        assert!(!is_page || named.contains(&*format!("docs/{name}")), "docs/{name} is not named");
    }
}

fn leads_somewhere(page: &Path, link: &str, headings: &mut Headings) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { page.to_owned() } else { page.with_file_name(path) };
    target.exists() && (anchor.is_empty() || headings.has(&target, anchor))
}

/// Where the links of a page lead, but for those to the world.
fn links(text: &str) -> Vec<String> {
    let targets = prose(text).flat_map(|line| line.split("](").skip(1));
    let targets = targets.filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// As GitHub makes them: small letters, digits, `-` and `_`, with `-` for spaces.
fn anchors(text: &str) -> BTreeSet<String> {
    let titles = prose(text).filter(|line| line.starts_with('#'));
    let titles = titles.filter_map(|line| line.trim_start_matches('#').strip_prefix(' '));
    let anchor = |title: &str| {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        title.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    titles.map(anchor).collect()
}

/// Lines outside blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}
