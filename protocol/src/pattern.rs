//! Names and words as people select them: a star stands for any characters.

/// Each `*` of `pattern` stands for any number of characters.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(rest) = text.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let Some(last) = pieces.next_back() else { return rest.is_empty() };
    let mut rest = rest;
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (glob, text) in [
            ("*.events", "motion1.events"),
            ("*", "cam1.packets"),
            ("cam*.fr*s", "cam1.small.frames"),
            ("cam1.*", "cam1.frames"),
            ("a**b", "ab"),
        ] {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in
            [("*.events", "cam1.frames"), ("cam1.*", "cam10.frames"), ("ab*ba", "aba")]
        {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }
}
