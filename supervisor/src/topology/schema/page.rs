//! What the page about topologies says of a key: the one place where that is written.

const PAGE: &str = include_str!("../../../../docs/topology.md");

/// A row of one of the page's tables.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: &'static str,
    unit: &'static str,
    default: &'static str,
    effect: &'static str,
}

/// The keys in the table under `heading`.
pub(super) fn rows(heading: &str) -> Vec<Row> {
    let is_it =
        |line: &&str| line.starts_with('#') && line.trim_start_matches('#').trim() == heading;
    let below = PAGE.lines().skip_while(|line| !is_it(line)).skip(1);
    let own = below.take_while(|line| !line.starts_with('#'));
    own.skip_while(|line| *line != "| key | unit | default | effect |")
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(Row::read)
        .collect()
}

/// For people who stand on `key` in their editor.
pub(super) fn says(heading: &str, key: &str) -> Option<String> {
    rows(heading).iter().find(|row| row.key == key).map(Row::text)
}

impl Row {
    fn read(line: &'static str) -> Option<Self> {
        let mut cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim);
        let key = cells.next()?.trim_matches('`');
        let (unit, default, effect) = (cells.next()?, cells.next()?, cells.next()?);
        Some(Self { key, unit, default, effect })
    }

    fn text(&self) -> String {
        let of_the_page =
            |cell: &&str| cell.is_empty() || *cell == "section" || cell.starts_with("see [");
        let unit = Some(self.unit).filter(|it| !of_the_page(it)).map(str::to_owned);
        let default = Some(self.default).filter(|it| !of_the_page(it)).map(|default| {
            if default.contains("required") { default.into() } else { format!("default {default}") }
        });
        let value: Vec<String> = unit.into_iter().chain(default).collect();
        let value =
            if value.is_empty() { String::new() } else { format!(" ({})", value.join("; ")) };
        without_links(&format!("{}{value}", self.effect))
    }
}

/// `[text](target)` as `text`; a bracket that only says where to look goes.
fn without_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, words, after)) = link(rest) {
        match (before.strip_suffix(" ("), after.strip_prefix(')')) {
            (Some(before), Some(after)) => {
                out.push_str(before);
                rest = after;
            }
            _ => {
                out.push_str(before);
                out.push_str(words);
                rest = after;
            }
        }
    }
    out + rest
}

fn link(text: &str) -> Option<(&str, &str, &str)> {
    let middle = text.find("](")?;
    let open = text[..middle].rfind('[')?;
    let close = middle + text[middle..].find(')')?;
    Some((&text[..open], &text[open + 1..middle], &text[close + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_described_in_plain_words_with_its_unit_and_default() {
        assert_eq!(
            says("decoder", "threads").unwrap(),
            "decoding threads; each beyond the first holds one more picture of the ring (1 to 16; default `1`)"
        );
        assert_eq!(
            without_links("who goes on ([below](#x)), a [source](#ingest), [a] (b)"),
            "who goes on, a source, [a] (b)"
        );
        assert_eq!(says("decoder", "thread"), None);
    }
}
