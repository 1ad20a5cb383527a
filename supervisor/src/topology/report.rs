//! What is wrong with a topology, for people and for programs.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Source;
use super::problem::Finding;
use super::tree::Place;

/// More than anybody reads; the rest is counted.
const SHOWN_MAX: usize = 50;
const TEXT_MAX_CHARS: usize = 1_000;
/// Longest part of a line that is shown, in characters.
const SHOWN_COLUMNS: usize = 160;

/// The mistakes of one topology, in the order of its files; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    mistakes: Vec<Mistake>,
}

/// One mistake. Lines and columns count from 1; both are absent when the file as a whole is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    pub file: PathBuf,
    pub line: Option<usize>,
    pub column: Option<usize>,
    /// What, which, and what was expected.
    pub text: String,
    /// What to do.
    pub help: String,
    #[serde(skip)]
    excerpt: Option<Excerpt>,
}

/// A source, ready to be shown line by line.
struct Shown<'a> {
    file: &'a Path,
    lines: Vec<&'a str>,
}

impl<'a> Shown<'a> {
    fn new(source: &'a Source) -> Self {
        Self { file: &source.name, lines: source.text.lines().collect() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    line: String,
    /// Spaces (and the line's own tabs) up to the place, then carets.
    marks: String,
}

impl Report {
    /// `findings` lie in `sources`, those without a place in the first of them.
    pub(super) fn new(sources: &[Source], mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| finding.place);
        // One entry that stands for several says its mistake once.
        findings.dedup_by_key(|finding| (finding.place, finding.problem.to_string()));
        let shown: Vec<Shown<'_>> = sources.iter().map(Shown::new).collect();
        let mistakes = findings.iter().map(|finding| Mistake::new(&shown, finding)).collect();
        Self { mistakes }
    }

    /// For files that could not even be read together.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.mistakes.extend(other.mistakes);
        self
    }

    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// A list of {file, line, column, text, help}.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!(self.mistakes)
    }
}

impl Mistake {
    fn new(sources: &[Shown<'_>], finding: &Finding) -> Self {
        let Shown { file, lines } = &sources[finding.place.map_or(0, |place| place.source)];
        let place = finding.place.map(|place| within(lines, place));
        let other = finding.problem.other().map(|(word, other)| {
            let elsewhere = finding.place.is_none_or(|place| place.source != other.source);
            let file = sources[other.source].file.display();
            let file = if elsewhere { format!("{file}, ") } else { String::new() };
            format!(" ({word}{file}line {})", other.line)
        });
        let other = other.unwrap_or_default();
        let excerpt = place.and_then(|place| {
            let line = lines.get(place.line - 1)?;
            Some(Excerpt::new(line, place.column, place.width))
        });
        Self {
            file: (*file).to_owned(),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            text: shortened(without_secrets(&format!(
                "{}{}{other}",
                finding.subject, finding.problem
            ))),
            help: shortened(finding.problem.help()),
            excerpt,
        }
    }
}

/// What is missing at the end of the text is missed behind its last line.
fn within(lines: &[&str], place: Place) -> Place {
    match lines.last() {
        Some(last) if place.line > lines.len() => {
            Place { line: lines.len(), column: last.chars().count() + 1, width: 1, ..place }
        }
        _ => place,
    }
}

impl Excerpt {
    fn new(line: &str, column: usize, width: usize) -> Self {
        let line = without_secrets(line);
        // Of a very long line, what is around the place.
        let skipped = if column > SHOWN_COLUMNS { column - SHOWN_COLUMNS / 2 } else { 0 };
        let line: String = line.chars().skip(skipped).take(SHOWN_COLUMNS).collect();
        let column = column - skipped;
        let before = line.chars().take(column - 1);
        let mut marks: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let left = line.chars().count().saturating_sub(column - 1);
        marks.push_str(&"^".repeat(width.min(left).max(1)));
        Self { line, marks }
    }
}

/// A value may be as long as the file; what is said of it is not.
fn shortened(text: String) -> String {
    match text.char_indices().nth(TEXT_MAX_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// `rtsp://user:pw@host` with user and password starred out, at the same length, and so what stands behind
/// `password:` or `token:` without being the name of a credential.
pub(super) fn without_secrets(text: &str) -> String {
    let text = without_logins(text);
    ["password:", "token:"].iter().fold(text, |text, key| without_values(&text, key))
}

fn without_values(text: &str, key: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(key) {
        let is_word = rest[..at].trim_end_matches(' ').ends_with(char::is_alphanumeric);
        let (before, after) = rest.split_at(at + key.len());
        if is_word {
            // `credential token: others can read ...` is a sentence.
            out.push_str(before);
            rest = after;
            continue;
        }
        let value = after.trim_start();
        let (blank, value) = after.split_at(after.len() - value.len());
        out.extend([before, blank]);
        let bare = value.trim_start_matches(['\'', '"']);
        let end = value.find([',', '}', '\n', '#']).unwrap_or(value.len());
        match bare.starts_with("${") {
            true => out.push_str(&value[..end]),
            false => out.extend(value[..end].chars().map(|_| '*')),
        }
        rest = &value[end..];
    }
    out.push_str(rest);
    out
}

fn without_logins(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(['/', '?', ' ', '\'', '"']).unwrap_or(after.len());
        let secret = after[..end].rfind('@').or_else(|| split_secret(after, end)).unwrap_or(0);
        out.extend(after[..secret].chars().map(|_| '*'));
        rest = &after[secret..];
    }
    out.push_str(rest);
    out
}

/// Where a secret ends that has a '/' or '?' in it, which should have been written otherwise: what looks like
/// a port and is no number is its begin.
fn split_secret(after: &str, authority_end: usize) -> Option<usize> {
    let (_, port) = after[..authority_end].rsplit_once(':')?;
    let word_end = after.find([' ', '\'', '"']).unwrap_or(after.len());
    port.parse::<u16>().is_err().then(|| after[..word_end].rfind('@'))?
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in self.mistakes.iter().take(SHOWN_MAX) {
            writeln!(f, "{mistake}")?;
        }
        match self.mistakes.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}:")?;
        }
        writeln!(f, " error: {}", self.text)?;
        if let Some(excerpt) = &self.excerpt {
            writeln!(f, "    {}\n    {}", excerpt.line, excerpt.marks)?;
        }
        write!(f, "help: {}", self.help)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place_behind_tabs_and_wide_letters() {
        let excerpt = Excerpt::new("\tü: wrong", 5, 99);
        assert_eq!(excerpt.marks, "\t   ^^^^^");
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let line = format!("{}X{}", "a".repeat(1_000), "b".repeat(1_000));
        let excerpt = Excerpt::new(&line, 1_001, 1);
        assert_eq!(excerpt.line.chars().nth(excerpt.marks.find('^').unwrap()), Some('X'));
        assert_eq!(excerpt.line.chars().count(), SHOWN_COLUMNS);
    }

    #[test]
    fn credentials_are_starred_out_without_moving_the_caret() {
        assert_eq!(
            without_secrets("  source: rtsp://admin:p@ss@10.0.0.5/main?a=b@c"),
            "  source: rtsp://**********@10.0.0.5/main?a=b@c"
        );
        assert_eq!(without_secrets("a://b c@d"), "a://b c@d");
        assert_eq!(without_secrets("to: 's3://K1:a/b@cam' x@y"), "to: 's3://******@cam' x@y");
        assert_eq!(without_secrets("http://h:80/a@b"), "http://h:80/a@b");
        assert_eq!(without_secrets("{password: 'a b', play: x}"), "{password: *****, play: x}");
        let token = "tokens: {ci: {token: abc, may: read}}";
        assert_eq!(without_secrets(token), "tokens: {ci: {token: ***, may: read}}");
        let named = "users: {anna: {password: '${cred:anna}', play: '*'}}";
        assert_eq!(without_secrets(named), named);
        let sentence = "credential token: others can read it";
        assert_eq!(without_secrets(sentence), sentence);
    }
}
