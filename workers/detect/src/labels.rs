//! Names of classes: those of the topology, else those in the model. Pure.

/// In the order of a model's classes; a class without a name is called by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Vec<String>);

impl Labels {
    /// `said` by the topology, else by the model's own `names`.
    pub fn of(said: &[String], names: Option<&str>) -> Self {
        if !said.is_empty() {
            return Self(said.to_vec());
        }
        Self(names.and_then(parse).unwrap_or_default())
    }

    /// How many there are; `None` when nobody says.
    pub fn count(&self) -> Option<usize> {
        (!self.0.is_empty()).then_some(self.0.len())
    }

    pub fn name(&self, class: usize) -> String {
        let named = self.0.get(class).filter(|name| !name.is_empty());
        named.cloned().unwrap_or_else(|| class.to_string())
    }

    /// The class of this name or number.
    pub fn class(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|label| label == name).or_else(|| {
            let number = name.parse().ok()?;
            self.0.get::<usize>(number).is_none_or(String::is_empty).then_some(number)
        })
    }

    pub fn all(&self) -> &[String] {
        &self.0
    }
}

/// The `names` that Ultralytics writes into a model: a dictionary as Python prints it, `{0: 'person', 1: "it's"}`,
/// or a list, `['person', 'car']`. `None` for anything else.
fn parse(text: &str) -> Option<Vec<String>> {
    let text = text.trim();
    let (inside, is_dict) = match text.strip_prefix('{') {
        Some(rest) => (rest.strip_suffix('}')?, true),
        None => (text.strip_prefix('[')?.strip_suffix(']')?, false),
    };
    let mut names: Vec<String> = Vec::new();
    let mut rest = inside.trim_start();
    while !rest.is_empty() {
        let mut class = names.len();
        if is_dict {
            let (key, after) = rest.split_once(':')?;
            class = key.trim().parse().ok()?;
            rest = after.trim_start();
        }
        let (name, after) = quoted(rest)?;
        // Far more classes than any model has, or a number out of thin air.
        if class > 100_000 {
            return None;
        }
        if names.len() <= class {
            names.resize(class + 1, String::new());
        }
        names[class] = name;
        let after = after.trim_start();
        rest = if after.is_empty() { after } else { after.strip_prefix(',')?.trim_start() };
    }
    Some(names)
}

/// A text in quotes of either kind, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| *c == '\'' || *c == '"')?;
    let mut name = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.push(letters.next()?.1),
            letter if letter == quote => return Some((name, &text[at + 1..])),
            letter => name.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(names: &str) -> Labels {
        Labels::of(&[], Some(names))
    }

    #[test]
    fn a_models_own_names_are_read_in_both_forms() {
        let dict = labels(r#"{0: 'person', 1: "it's", 2: 'a\'b', 4: 'car, red'}"#);
        let names: Vec<String> = (0..6).map(|class| dict.name(class)).collect();
        assert_eq!(names, ["person", "it's", "a'b", "3", "car, red", "5"]);
        assert_eq!(labels("['a', 'b']").all(), ["a", "b"]);
        assert_eq!((labels("{}").count(), labels("nonsense").count()), (None, None));
    }

    #[test]
    fn the_topologys_names_come_before_them() {
        let said = Labels::of(&["cat".to_owned()], Some("{0: 'person'}"));
        assert_eq!((said.name(0), said.count()), ("cat".to_owned(), Some(1)));
    }

    #[test]
    fn a_class_is_found_by_name_and_by_number_where_it_has_none() {
        let labels = labels("{0: 'person', 1: 'car'}");
        assert_eq!(
            (labels.class("car"), labels.class("cat"), labels.class("0")),
            (Some(1), None, None)
        );
        assert_eq!(Labels::default().class("7"), Some(7));
    }

    proptest! {
        #[test]
        fn nothing_in_a_model_makes_it_panic(text in "[{}\\[\\]0-9:'\",\\\\ a-z]{0,40}") {
            let _ = parse(&text);
        }
    }
}
