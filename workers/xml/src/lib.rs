//! XML of strangers as a tree of local names, within bounds. Namespaces are not looked at: devices disagree on
//! prefixes more than they use one name for two things. Entities but the five of XML, and document types, are
//! refused. Pure.
#![forbid(unsafe_code)]

use quick_xml::Reader;
pub use quick_xml::escape::escape;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Answers of devices are about a dozen deep and have some hundred elements.
const DEPTH_MAX: usize = 64;
const ELEMENTS_MAX: usize = 20_000;
/// Of an element. Each is compared with those before it, so that many would take minutes.
const ATTRIBUTES_MAX: usize = 64;
/// What is longer is no name, address or number.
const TEXT_MAX_BYTES: usize = 4_096;

/// An element with what is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Without its prefix.
    pub name: String,
    pub text: String,
    attributes: Vec<(String, String)>,
    children: Vec<Self>,
}

/// Why bytes are no XML that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("it is no XML")]
    NotXml,
    #[error("it has a document type or entities, which no device needs")]
    Entities,
    #[error("it has too many elements or attributes, too deep, or too long")]
    TooLarge,
}

/// The outermost element of a document.
pub fn read(bytes: &[u8]) -> Result<Element, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::NotXml)?;
    let mut reader = Reader::from_str(text);
    // The outermost is in the first, which is nobody's.
    let mut open = vec![Element::default()];
    let mut elements = 0;
    loop {
        match reader.read_event().map_err(|_| Malformed::NotXml)? {
            Event::Start(tag) => {
                elements += 1;
                if elements > ELEMENTS_MAX || open.len() > DEPTH_MAX {
                    return Err(Malformed::TooLarge);
                }
                open.push(element(&tag)?);
            }
            Event::Empty(tag) => {
                elements += 1;
                if elements > ELEMENTS_MAX {
                    return Err(Malformed::TooLarge);
                }
                let element = element(&tag)?;
                innermost(&mut open)?.children.push(element);
            }
            Event::End(_) => {
                let done = open.pop().ok_or(Malformed::NotXml)?;
                innermost(&mut open)?.children.push(done);
            }
            Event::Text(text) => {
                let text = text.decode().map_err(|_| Malformed::NotXml)?;
                add(&mut innermost(&mut open)?.text, &text)?;
            }
            Event::CData(text) => {
                let text = text.decode().map_err(|_| Malformed::NotXml)?;
                add(&mut innermost(&mut open)?.text, &text)?;
            }
            Event::GeneralRef(reference) => {
                let text = resolved(&reference)?;
                add(&mut innermost(&mut open)?.text, &text)?;
            }
            Event::DocType(_) => return Err(Malformed::Entities),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    let [document] = &mut open[..] else { return Err(Malformed::NotXml) };
    document.children.pop().ok_or(Malformed::NotXml)
}

fn innermost(open: &mut [Element]) -> Result<&mut Element, Malformed> {
    open.last_mut().ok_or(Malformed::NotXml)
}

fn element(tag: &BytesStart<'_>) -> Result<Element, Malformed> {
    let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
    let mut attributes = Vec::new();
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| Malformed::NotXml)?;
        if attributes.len() >= ATTRIBUTES_MAX {
            return Err(Malformed::TooLarge);
        }
        let key = String::from_utf8_lossy(attribute.key.local_name().as_ref()).into_owned();
        let value = String::from_utf8_lossy(&attribute.value);
        let value = quick_xml::escape::unescape(&value).map_err(|_| Malformed::Entities)?;
        let mut kept = String::new();
        add(&mut kept, &value)?;
        attributes.push((key, kept));
    }
    Ok(Element { name, attributes, ..Element::default() })
}

fn resolved(reference: &BytesRef<'_>) -> Result<String, Malformed> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| Malformed::Entities)? {
        return Ok(character.to_string());
    }
    let name = reference.decode().map_err(|_| Malformed::NotXml)?;
    resolve_xml_entity(&name).map(str::to_owned).ok_or(Malformed::Entities)
}

fn add(text: &mut String, more: &str) -> Result<(), Malformed> {
    if text.len() + more.len() > TEXT_MAX_BYTES {
        return Err(Malformed::TooLarge);
    }
    text.push_str(more);
    Ok(())
}

impl Element {
    /// Its children, in order.
    pub fn children(&self) -> &[Self] {
        &self.children
    }

    /// The first of this name, below it at any depth.
    pub fn find(&self, name: &str) -> Option<&Self> {
        self.children
            .iter()
            .find_map(|child| if child.name == name { Some(child) } else { child.find(name) })
    }

    /// All of this name, below it at any depth, those inside another of them apart.
    pub fn all(&self, name: &str) -> Vec<&Self> {
        let mut found = Vec::new();
        for child in &self.children {
            if child.name == name { found.push(child) } else { found.extend(child.all(name)) }
        }
        found
    }

    /// Trimmed text of the first of this name; `None` for an empty one.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.find(name).map(|found| found.text.trim()).filter(|text| !text.is_empty())
    }

    /// The value of its attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn elements_are_found_by_their_local_names_with_text_and_attributes() {
        let text =
            br#"<?xml version="1.0"?><!-- x --><s:a xmlns:s="u"><t:b k="1 &amp; 2"/><b k="3">
            x &lt;&#65;&gt; <![CDATA[<y>]]> </b></s:a>"#;
        let root = read(text).unwrap();
        assert_eq!(root.name, "a");
        let found = root.all("b");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].attribute("k"), Some("1 & 2"));
        assert_eq!(found[1].text.trim(), "x <A> <y>");
        assert_eq!((root.text_of("b"), root.text_of("c")), (None, None));
    }

    #[test]
    fn what_could_blow_up_is_refused() {
        let bomb = b"<!DOCTYPE a [<!ENTITY b \"bbbbbbbb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>";
        assert_eq!(read(bomb), Err(Malformed::Entities));
        assert_eq!(read(b"<a>&own;</a>"), Err(Malformed::Entities));
        assert_eq!(read("<a>".repeat(100_000).as_bytes()), Err(Malformed::TooLarge));
        let wide = format!("<a>{}</a>", "<b/>".repeat(ELEMENTS_MAX + 1));
        assert_eq!(read(wide.as_bytes()), Err(Malformed::TooLarge));
        let attributes: String = (0..100_000).map(|at| format!(" a{at}=''")).collect();
        assert_eq!(read(format!("<a{attributes}/>").as_bytes()), Err(Malformed::TooLarge));
        let long = format!("<a>{}</a>", "x".repeat(TEXT_MAX_BYTES + 1));
        assert_eq!(read(long.as_bytes()), Err(Malformed::TooLarge));
        for none in ["", "no xml", "<a>", "</a>", "<a></b>", "\u{0}"] {
            assert_eq!(read(none.as_bytes()), Err(Malformed::NotXml), "{none}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }

        #[test]
        fn any_tags_are_read_or_refused(text in "(<[ab]?/?[ab ]>?|[&;x]){0,40}") {
            let _ = read(text.as_bytes());
        }
    }
}
