//! `restart: {delay: 0.25s..30s, limit: 5 in 60s}`, as people write it.

use protocol::config::RestartConfig;
use protocol::units::Span;

use super::problem::KeyProblem;
use super::section::Section;

pub(super) const KEYS: [&str; 2] = ["delay", "limit"];

const DELAY: &str = "a span such as 0.25s..30s, or 0s for none";
const LIMIT: &str = "a count in a time such as 5 in 60s, or none";

/// Longer is a worker nobody waits for.
const DELAY_MAX: Span = Span::from_millis(3_600_000);
const WINDOW_MAX: Span = Span::from_millis(86_400_000);
const DEATHS_MAX: u32 = 1_000;

/// The section's keys over the defaults; what is wrong keeps its default.
pub(super) fn read(worker: &mut Section<'_>) -> RestartConfig {
    let mut restart = RestartConfig::default();
    let Some(mut section) = worker.below("restart") else { return restart };
    section.refuse_others(&KEYS);
    if let Some((delay, delay_max)) = value(&mut section, "delay", DELAY, delay) {
        (restart.delay, restart.delay_max) = (delay, delay_max);
    }
    if let Some((limit, window)) = value(&mut section, "limit", LIMIT, limit) {
        restart.limit = limit;
        restart.limit_window = window.unwrap_or(restart.limit_window);
    }
    restart
}

fn value<T>(
    section: &mut Section<'_>,
    key: &str,
    expected: &str,
    parse: fn(&str) -> Option<T>,
) -> Option<T> {
    let text = section.text(key, expected)?;
    let parsed = parse(text.value);
    if parsed.is_none() {
        let (key, seen) = (format!("restart.{key}"), format!("'{}'", text.value));
        section.complain(text.place, KeyProblem::NotA { key, seen, expected: expected.to_owned() });
    }
    parsed
}

/// `A..B` doubles from A to B; one span alone is the same each time.
fn delay(text: &str) -> Option<(Span, Span)> {
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let (low, high) = (span(low)?, span(high)?);
    (low <= high && high <= DELAY_MAX).then_some((low, high))
}

fn limit(text: &str) -> Option<(Option<u32>, Option<Span>)> {
    if text == "none" {
        return Some((None, None));
    }
    let (deaths, window) = text.split_once(" in ")?;
    let deaths = deaths.trim().parse().ok().filter(|deaths| (1..=DEATHS_MAX).contains(deaths))?;
    let window = span(window).filter(|window| *window > Span(0) && *window <= WINDOW_MAX)?;
    Some((Some(deaths), Some(window)))
}

fn span(text: &str) -> Option<Span> {
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_a_range_one_span_or_none() {
        let ms = Span::from_millis;
        assert_eq!(delay("0.25s..30s"), Some((ms(250), ms(30_000))));
        assert_eq!(delay("2s"), Some((ms(2_000), ms(2_000))));
        assert_eq!(delay("0s"), Some((ms(0), ms(0))));
        for bad in ["", "5", "30s..1s", "1s..", "2d", "-1s"] {
            assert_eq!(delay(bad), None, "{bad:?} was taken");
        }
    }

    #[test]
    fn a_limit_is_a_count_in_a_time_or_none() {
        assert_eq!(limit("5 in 60s"), Some((Some(5), Some(Span::from_millis(60_000)))));
        assert_eq!(limit("none"), Some((None, None)));
        for bad in ["", "5", "0 in 60s", "5 in 0s", "5 in 60", "x in 1s", "in 60s"] {
            assert_eq!(limit(bad), None, "{bad:?} was taken");
        }
    }
}
