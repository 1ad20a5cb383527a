//! Texts of a topology without what is secret in them; references to secrets stay, because they tell
//! nothing. Pure.

use crate::redact::is_secret_name;

/// `text`, the value of `key`, for people.
pub(super) fn starred(key: &str, text: &str) -> String {
    let mut chars: Vec<Piece> = pieces(text);
    if is_secret_name(key) {
        chars.iter_mut().for_each(Piece::hide);
        return chars.iter().map(|piece| piece.shown).collect();
    }
    hide_users(&mut chars);
    hide_arguments(&mut chars);
    chars.iter().map(|piece| piece.shown).collect()
}

/// One character, and what is known of it.
struct Piece {
    shown: char,
    /// Part of a reference, so no part of the form of a text, but for what stands behind its `:-`.
    of: Of,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Default,
    Reference,
    Text,
}

impl Piece {
    fn is(&self, wanted: &[char]) -> bool {
        self.of == Of::Text && wanted.contains(&self.shown)
    }

    fn hide(&mut self) {
        if self.of != Of::Reference {
            self.shown = '*';
        }
    }
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some(begin) = rest.find("${") {
        let (plain, reference) = rest.split_at(begin);
        let end = reference.find('}').map_or(reference.len(), |at| at + 1);
        let (reference, behind) = reference.split_at(end);
        let default = reference.find(":-").map_or(reference.len(), |at| at + 2);
        all.extend(plain.chars().map(|shown| Piece { shown, of: Of::Text }));
        for (at, shown) in reference.char_indices() {
            let is_default = at >= default && at + 1 < reference.len();
            all.push(Piece { shown, of: if is_default { Of::Default } else { Of::Reference } });
        }
        rest = behind;
    }
    all.extend(rest.chars().map(|shown| Piece { shown, of: Of::Text }));
    all
}

/// What stands between `://` and `@`. A user's name stays when the password is a reference.
fn hide_users(chars: &mut [Piece]) {
    let mut from = 0;
    while let Some(begin) = behind_scheme(chars, from) {
        let rest = &chars[begin..];
        let is_end = |piece: &Piece| piece.is(&['/', '?', ' ', '\'', '"']);
        let end = begin + rest.iter().position(is_end).unwrap_or(rest.len());
        if let Some(user) = chars[begin..end].iter().rposition(|piece| piece.is(&['@'])) {
            hide_user(&mut chars[begin..begin + user]);
        }
        from = end.max(begin);
    }
}

fn behind_scheme(chars: &[Piece], from: usize) -> Option<usize> {
    let is = |at: usize, wanted: char| chars.get(at).is_some_and(|piece| piece.is(&[wanted]));
    let found = (from..chars.len()).find(|&at| is(at, ':') && is(at + 1, '/') && is(at + 2, '/'));
    found.map(|at| at + 3)
}

fn hide_user(chars: &mut [Piece]) {
    let is_reference =
        |chars: &[Piece]| !chars.is_empty() && chars.iter().all(|piece| piece.of != Of::Text);
    let Some(colon) = chars.iter().position(|piece| piece.is(&[':'])) else {
        return chars.iter_mut().for_each(Piece::hide);
    };
    let (user, password) = chars.split_at_mut(colon);
    let password = &mut password[1..];
    if is_reference(password) || is_reference(user) {
        password.iter_mut().for_each(Piece::hide);
    } else {
        // Its length with the colon: where one ends and the other begins is nobody's business.
        chars.iter_mut().for_each(Piece::hide);
    }
}

/// `password=...` and the like, as in the query of a URL.
fn hide_arguments(chars: &mut [Piece]) {
    let mut name = String::new();
    let mut hides = false;
    for piece in chars {
        if piece.is(&['?', '&', ' ', ';', ',', '\'', '"']) {
            name.clear();
            hides = false;
        } else if hides {
            piece.hide();
        } else if piece.is(&['=']) {
            hides = is_secret_name(&name) || matches!(name.as_str(), "pass" | "pw" | "pwd");
        } else {
            name.push(piece.shown.to_ascii_lowercase());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::starred;

    #[test]
    fn passwords_are_starred_wherever_a_url_has_them() {
        for (written, shown) in [
            ("rtsp://admin:s3cret@10.0.0.5/main", "rtsp://************@10.0.0.5/main"),
            ("rtsp://h/x?user=a&password=pw&n=1", "rtsp://h/x?user=a&password=**&n=1"),
            ("rtsp://h/x?USER=a&PWD=pw", "rtsp://h/x?USER=a&PWD=**"),
            ("--url=http://u:p@h/ http://u:p@h/", "--url=http://***@h/ http://***@h/"),
            ("rtsp://h/live@2x?a=b", "rtsp://h/live@2x?a=b"),
            ("a=b://c d@e", "a=b://c d@e"),
        ] {
            assert_eq!(starred("url", written), shown);
        }
    }

    #[test]
    fn references_stay_but_not_what_stands_beside_them_or_for_them() {
        for (written, shown) in [
            ("rtsp://admin:${cred:pw}@h/x", "rtsp://admin:${cred:pw}@h/x"),
            ("rtsp://${USER:-bob}:s3cret@h/x", "rtsp://${USER:-bob}:******@h/x"),
            ("rtsp://${USER}:${PW:-s3cret}@h/x", "rtsp://${USER}:${PW:-******}@h/x"),
            ("rtsp://a:x${PW}y@h/x", "rtsp://***${PW}*@h/x"),
            ("rtsp://${LOGIN}@h/x", "rtsp://${LOGIN}@h/x"),
            ("rtsp://${LOGIN:-a:b}@h/x", "rtsp://${LOGIN:-***}@h/x"),
            ("${cred:front_url}", "${cred:front_url}"),
        ] {
            assert_eq!(starred("url", written), shown);
        }
    }

    #[test]
    fn values_whose_names_say_that_they_are_secret_are_starred_whole() {
        assert_eq!(starred("UPLOAD_TOKEN", "abc d"), "*****");
        assert_eq!(starred("UPLOAD_TOKEN", "${cred:upload}"), "${cred:upload}");
        assert_eq!(starred("PATH", "/usr/bin"), "/usr/bin");
    }
}
