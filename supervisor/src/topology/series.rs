//! `{01..16}` in names and values: one entry that stands for many.
//!
//! All ranges of one entry run together: its third copy has the third number of each.

use std::ops::Range;

use super::problem::ExpandProblem;
use super::written::WORKERS_MAX;

/// More digits than any name or address needs.
const DIGITS_MAX: usize = 9;

/// Which copy of an entry, counted from 0, of how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) index: usize,
    pub(super) length: usize,
    /// The range that says so, as written.
    pub(super) by: String,
}

/// One range in a text.
#[derive(Debug)]
struct Series<'a> {
    seen: &'a str,
    at: Range<usize>,
    first: usize,
    length: usize,
    /// Digits of each number, zeros before it.
    width: usize,
}

/// The copies `text` stands for; empty when it has no range.
pub(super) fn turns(text: &str) -> Result<Vec<Turn>, ExpandProblem> {
    let Some(series) = next(text, 0)? else { return Ok(Vec::new()) };
    let turn = |index| Turn { index, length: series.length, by: series.seen.to_owned() };
    Ok((0..series.length).map(turn).collect())
}

/// `text` with the numbers of one copy.
pub(super) fn at(text: &str, turn: &Turn) -> Result<String, ExpandProblem> {
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    while let Some(series) = next(text, from)? {
        if series.length != turn.length {
            return Err(ExpandProblem::RangeLength {
                seen: series.seen.to_owned(),
                length: series.length,
                expected: turn.length,
                other: turn.by.clone(),
            });
        }
        out.push_str(&text[from..series.at.start]);
        out += &format!("{:0width$}", series.first + turn.index, width = series.width);
        from = series.at.end;
    }
    out.push_str(&text[from..]);
    Ok(out)
}

/// The first range at or behind `from`.
fn next(text: &str, from: usize) -> Result<Option<Series<'_>>, ExpandProblem> {
    let mut start = from;
    while let Some(found) = text[start..].find('{') {
        let open = start + found;
        start = open + 1;
        let Some(close) = text[open..].find('}').map(|length| open + length) else { break };
        let Some((first, last)) = numbers(&text[open + 1..close]) else { continue };
        return series(&text[open..=close], open..close + 1, first, last).map(Some);
    }
    Ok(None)
}

fn numbers(inner: &str) -> Option<(&str, &str)> {
    let (first, last) = inner.split_once("..")?;
    let digits = |text: &str| {
        (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    (digits(first) && digits(last)).then_some((first, last))
}

fn series<'a>(
    seen: &'a str,
    at: Range<usize>,
    first: &str,
    last: &str,
) -> Result<Series<'a>, ExpandProblem> {
    let number = |digits: &str| digits.parse::<usize>().unwrap_or_default();
    let zeros = |digits: &str| digits.len() > 1 && digits.starts_with('0');
    let width = if zeros(first) || zeros(last) { first.len().max(last.len()) } else { 1 };
    let Some(more) = number(last).checked_sub(number(first)) else {
        return Err(ExpandProblem::RangeBackwards { seen: seen.to_owned() });
    };
    if more >= WORKERS_MAX {
        return Err(ExpandProblem::RangeTooLong { seen: seen.to_owned(), max: WORKERS_MAX });
    }
    Ok(Series { seen, at, first: number(first), length: more + 1, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(name: &str, value: &str) -> Vec<String> {
        let turns = turns(name).unwrap();
        turns.iter().map(|turn| at(value, turn).unwrap()).collect()
    }

    #[test]
    fn a_range_counts_with_the_zeros_it_is_written_with() {
        assert_eq!(all("{08..11}", "hall-{08..11}"), ["hall-08", "hall-09", "hall-10", "hall-11"]);
        assert_eq!(all("{8..10}", "c{8..10}"), ["c8", "c9", "c10"]);
        assert_eq!(all("{1..2}", "{001..2}"), ["001", "002"]);
        assert_eq!(turns("plain").unwrap(), []);
    }

    #[test]
    fn ranges_of_one_entry_run_together_in_any_form() {
        assert_eq!(
            all("cam{1..3}", "10.0.1.1{01..03}/{7..9}/x"),
            ["10.0.1.101/7/x", "10.0.1.102/8/x", "10.0.1.103/9/x"]
        );
    }

    #[test]
    fn other_braces_are_left_alone() {
        for text in ["${A}", "{a..c}", "{1.2}", "{", "{}", "{1..}", "{1..2", "{ 1..2 }"] {
            assert_eq!(turns(text).unwrap(), [], "{text}");
        }
    }

    #[test]
    fn ranges_that_cannot_run_say_why() {
        assert!(matches!(turns("{3..1}"), Err(ExpandProblem::RangeBackwards { .. })));
        assert!(matches!(turns("{1..999999}"), Err(ExpandProblem::RangeTooLong { .. })));
        let turn = &turns("{1..3}").unwrap()[0];
        assert!(matches!(at("{1..2}", turn), Err(ExpandProblem::RangeLength { expected: 3, .. })));
    }
}
