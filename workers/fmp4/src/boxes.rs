//! The walk over boxes that may be torn, foreign or hostile: every length is checked before use. And
//! boxes inside of boxes, written.

use mp4_atom::{Decode, DecodeMaybe, FourCC, Header};

/// The boxes that fill `bytes`. `None` in place of what is no whole box, and nothing after it.
pub(crate) fn children(bytes: &[u8]) -> Children<'_> {
    Children { rest: bytes }
}

pub(crate) struct Children<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Children<'a> {
    type Item = Option<(FourCC, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let mut body = self.rest;
        let child = Header::decode_maybe(&mut body).ok().flatten().and_then(|header| {
            let (content, rest) = body.split_at_checked(header.size?)?;
            self.rest = rest;
            Some((header.kind, content))
        });
        if child.is_none() {
            self.rest = &[];
        }
        Some(child)
    }
}

/// The content of the only child of that kind.
pub(crate) fn only<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    let mut found = None;
    for child in children(bytes) {
        let (seen, content) = child?;
        if seen == FourCC::new(kind) && found.replace(content).is_some() {
            return None;
        }
    }
    found
}

/// Decodes the content of a box of which mp4-atom wants the header too.
pub(crate) fn decode<T: mp4_atom::Atom>(content: &[u8]) -> Option<T> {
    let mut rest = content;
    let atom = T::decode_body(&mut rest).ok()?;
    rest.is_empty().then_some(atom)
}

/// A header at the start of `bytes`: kind, bytes of the header, bytes of the content.
pub(crate) fn header(bytes: &[u8]) -> Option<(FourCC, u64, u64)> {
    let mut rest = bytes;
    let header = Header::decode(&mut rest).ok()?;
    let head = (bytes.len() - rest.len()) as u64;
    Some((header.kind, head, u64::try_from(header.size?).ok()?))
}

/// Appends a box whose content `write` appends.
pub(crate) fn nested(
    bytes: &mut Vec<u8>,
    kind: &[u8; 4],
    write: impl FnOnce(&mut Vec<u8>) -> mp4_atom::Result<()>,
) -> mp4_atom::Result<()> {
    let begin = bytes.len();
    bytes.extend([0; 4]);
    bytes.extend_from_slice(kind);
    write(bytes)?;
    let size = u32::try_from(bytes.len() - begin).unwrap_or(u32::MAX);
    bytes[begin..begin + 4].copy_from_slice(&size.to_be_bytes());
    Ok(())
}
