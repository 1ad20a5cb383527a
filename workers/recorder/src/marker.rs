//! Marks recordings with something in them that an event asked for, where everything is recorded anyway: retention
//! may keep those longer. Which ones is decided from spans and the times at which files begin.

use std::collections::BTreeSet;
use std::path::Path;

use protocol::time::UtcNs;
use recordings::Named;

/// What an event asked for, by the clock that recordings have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: UtcNs,
    /// Not included.
    pub(crate) to: UtcNs,
    pub(crate) event: String,
}

/// Files that an event may still reach: events are told minutes late at most.
const NEWEST: usize = 32;

/// What is marked already, so that it is written once.
#[derive(Debug, Default)]
pub(crate) struct Marker {
    marked: Option<BTreeSet<u64>>,
}

impl Marker {
    /// Marks those of a camera's files that a span reaches into, as far as there are pictures: up to `latest`.
    /// Gives the numbers of those that are new.
    pub(crate) fn mark(
        &mut self,
        folder: &Path,
        files: &[Named],
        spans: &[Span],
        latest: UtcNs,
    ) -> Result<Vec<u64>, recordings::Error> {
        let marked = match &mut self.marked {
            Some(marked) => marked,
            none => none.insert(recordings::marks(folder)?.into_keys().collect()),
        };
        let mut fresh = Vec::new();
        for (number, event) in reached(files, spans, latest) {
            if marked.insert(number) {
                recordings::mark(folder, number, event)?;
                fresh.push(number);
            }
        }
        // Those that are gone, when they are many.
        if marked.len() > 2 * files.len() + 1000 {
            let there: BTreeSet<u64> = files.iter().map(|file| file.number).collect();
            recordings::forget_marks(folder, |number| there.contains(&number))?;
            marked.retain(|number| there.contains(number));
        }
        Ok(fresh)
    }
}

/// A file lasts until the next one begins.
fn reached<'a>(
    files: &'a [Named],
    spans: &'a [Span],
    latest: UtcNs,
) -> impl Iterator<Item = (u64, &'a str)> + 'a {
    let first = files.len().saturating_sub(NEWEST);
    let newest = files[first..].iter().enumerate();
    newest.filter_map(move |(at, file)| {
        let from = file.capture?;
        let to = files.get(first + at + 1).and_then(|next| next.capture).unwrap_or(latest);
        // The pictures of a file that has just begun are none yet.
        let to = to.max(UtcNs(from.0 + 1));
        let span = spans.iter().find(|span| span.from < to && from < span.to)?;
        Some((file.number, span.event.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn file(number: u64, second: u64) -> Named {
        let path = format!("/r/{number}.mp4").into();
        Named { number, capture: Some(UtcNs(second * SECOND)), path }
    }

    fn span(from: u64, to: u64) -> Span {
        Span { from: UtcNs(from * SECOND), to: UtcNs(to * SECOND), event: "motion".to_owned() }
    }

    fn numbers(spans: &[Span], latest: u64) -> Vec<u64> {
        let files = [file(7, 0), file(8, 60), file(9, 120)];
        reached(&files, spans, UtcNs(latest * SECOND)).map(|(number, _)| number).collect()
    }

    #[test]
    fn a_file_is_marked_by_what_reaches_into_it_so_far() {
        assert_eq!(numbers(&[span(10, 20)], 130), [7]);
        assert_eq!(numbers(&[span(50, 70)], 130), [7, 8]);
        assert_eq!(numbers(&[span(60, 120)], 130), [8]);
        // It goes on, and nobody knows what comes: only what is there is marked.
        assert_eq!(numbers(&[span(100, 900)], 130), [8, 9]);
        assert!(numbers(&[span(200, 900)], 130).is_empty() && numbers(&[], 130).is_empty());
    }

    #[test]
    fn each_is_written_once_also_by_another_life() {
        let dir = tempfile::tempdir().unwrap();
        let files = [file(7, 0), file(8, 60)];
        let mark = |marker: &mut Marker, spans: &[Span]| {
            marker.mark(dir.path(), &files, spans, UtcNs(90 * SECOND)).unwrap()
        };
        let mut marker = Marker::default();
        assert_eq!(mark(&mut marker, &[span(1, 2)]), [7]);
        assert!(mark(&mut marker, &[span(1, 2)]).is_empty());
        let mut again = Marker::default();
        assert_eq!(mark(&mut again, &[span(1, 70)]), [8]);
        assert_eq!(recordings::marks(dir.path()).unwrap().len(), 2);
    }
}
