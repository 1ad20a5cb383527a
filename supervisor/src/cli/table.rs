//! Aligned columns for people.

use std::time::Duration;

/// Columns are as wide as their widest cell; the last one is not padded.
pub(super) fn render(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut text = line(&mut head.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

/// `4s`, `3m12s`, `2h05m`, `3d04h`: two units are enough to judge by.
pub(super) fn span(seconds: f64) -> String {
    // A clock that is shown to the second; anything odd shows as 0.
    let s = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3600),
    }
}

/// `37ms`, `4.2s`, then as [`span`].
pub(super) fn short(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1000 => format!("{ms}ms"),
        1000..10_000 => format!("{:.1}s", time.as_secs_f64()),
        _ => span(time.as_secs_f64()),
    }
}

/// A count for a quotient that people read; beyond 2^53 its last digits do not matter.
#[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

/// `831 B`, `8.0 MiB`.
pub(super) fn bytes(count: u64) -> String {
    let mut value = (count, 0);
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB"] {
        if value.0 < 1024 {
            break;
        }
        value = (value.0 / 1024, value.0 % 1024 * 10 / 1024);
        unit = larger;
    }
    if unit == "B" { format!("{count} B") } else { format!("{}.{} {unit}", value.0, value.1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_loose_end() {
        let rows = vec![vec!["cam1".into(), "x".into()], vec!["a".into(), String::new()]];
        assert_eq!(render(&["NAME", "WHY"], &rows), "NAME  WHY\ncam1  x\na\n");
    }

    #[test]
    fn times_and_sizes_are_short() {
        let spans = [0.4, 59.9, 61.0, 3_725.0, 90_000.0].map(span);
        assert_eq!(spans, ["0s", "59s", "1m01s", "1h02m", "1d01h"]);
        let ages = [37, 4_230, 61_000].map(Duration::from_millis).map(short);
        assert_eq!(ages, ["37ms", "4.2s", "1m01s"]);
        let sizes = [831, 8 << 20, (1 << 20) + (1 << 19)].map(bytes);
        assert_eq!(sizes, ["831 B", "8.0 MiB", "1.5 MiB"]);
    }
}
