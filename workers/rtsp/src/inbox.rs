//! Bytes from a client, cut into messages: requests and interleaved frames (RFC 2326 sections 6 and
//! 10.12). Sans-IO, bounded, and quick to see that the peer does not speak RTSP at all.
//!
//! A message is parsed only when it is whole, so a client that sends byte by byte costs one scan.

use protocol::time::MonoNs;
use rtsp_types::{Message, ParseError, Request};

/// Longest line of a request: the longest real ones are digest headers of a few hundred bytes.
pub const LINE_MAX_BYTES: usize = 8 << 10;
/// Largest request, body included, and largest interleaved frame (its length has 16 bits).
pub const MESSAGE_MAX_BYTES: usize = 64 << 10;
/// Longest method: GET_PARAMETER has 13 letters, so this leaves room for extensions.
const METHOD_MAX_BYTES: usize = 32;
/// Largest request of who has not been let in: a thousand of them half sent are 32 MiB at most.
pub const STRANGER_MAX_BYTES: usize = 16 << 10;
const INTERLEAVED: u8 = b'$';
const INTERLEAVED_HEADER_BYTES: usize = 4;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub enum Inbound {
    Request(Request<Vec<u8>>),
    /// RTP or RTCP from the client.
    Frame {
        channel: u8,
        payload: Vec<u8>,
    },
}

/// Why the connection cannot go on: where the next message begins is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("what it sends is no RTSP request")]
    NotRtsp,
    #[error("its request has a line above {LINE_MAX_BYTES} bytes")]
    LongLine,
    #[error(
        "its request is above {MESSAGE_MAX_BYTES} bytes, or {STRANGER_MAX_BYTES} before it was let in"
    )]
    LongMessage,
}

/// Invariant: `start <= scanned <= bytes.len()`.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    /// Where the message in progress begins.
    start: usize,
    /// How far the end of its head was looked for.
    scanned: usize,
    /// Where its current line begins.
    line: usize,
    /// Bytes it needs in all, once known.
    needs: usize,
    /// When its first byte came.
    begun: Option<MonoNs>,
    /// Bytes a request may have.
    most: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        let most = MESSAGE_MAX_BYTES;
        Self { bytes: Vec::new(), start: 0, scanned: 0, line: 0, needs: 0, begun: None, most }
    }
}

impl Inbox {
    /// Of a client that has not been let in.
    pub fn of_a_stranger() -> Self {
        Self { most: STRANGER_MAX_BYTES, ..Self::default() }
    }

    /// The client was let in.
    pub fn trust(&mut self) {
        self.most = MESSAGE_MAX_BYTES;
    }

    pub fn push(&mut self, bytes: &[u8], now: MonoNs) {
        self.bytes.drain(..self.start);
        self.scanned -= self.start;
        self.line -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
        self.begun.get_or_insert(now);
    }

    /// When the first byte of an unfinished message came.
    pub fn begun(&self) -> Option<MonoNs> {
        self.begun
    }

    /// The next whole message. `frames` says whether interleaved frames are expected at all.
    pub fn next(&mut self, frames: bool, now: MonoNs) -> Result<Option<Inbound>, Broken> {
        self.skip_empty_lines();
        let message = match self.rest().first() {
            None => None,
            Some(&INTERLEAVED) if frames => self.frame(),
            Some(_) => self.request()?,
        };
        // What is left begins now: it came while the message before it was handled.
        if self.rest().is_empty() {
            self.begun = None;
        } else if message.is_some() {
            self.begun = Some(now);
        }
        Ok(message)
    }

    /// What came and was not taken yet.
    pub fn unread(&self) -> &[u8] {
        self.rest()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Some clients end a body with a line end that its length does not count.
    fn skip_empty_lines(&mut self) {
        if self.scanned == self.start {
            let empty = self.rest().iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.advance(empty);
        }
    }

    fn frame(&mut self) -> Option<Inbound> {
        let &[_, channel, high, low] = self.rest().first_chunk::<INTERLEAVED_HEADER_BYTES>()?;
        let end = INTERLEAVED_HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
        let payload = self.rest().get(INTERLEAVED_HEADER_BYTES..end)?.to_vec();
        self.advance(end);
        Some(Inbound::Frame { channel, payload })
    }

    fn request(&mut self) -> Result<Option<Inbound>, Broken> {
        if self.needs == 0 && !self.head_is_whole()? {
            return Ok(None);
        }
        if self.rest().len() < self.needs {
            return Ok(None);
        }
        match Message::<Vec<u8>>::parse(self.rest()) {
            Ok((Message::Request(request), bytes)) => {
                self.advance(bytes);
                Ok(Some(Inbound::Request(request)))
            }
            Err(ParseError::Incomplete(Some(missing))) => {
                self.needs = self.rest().len().saturating_add(missing.get());
                if self.needs > self.most { Err(Broken::LongMessage) } else { Ok(None) }
            }
            _ => Err(Broken::NotRtsp),
        }
    }

    /// Looks for the empty line that ends the head, from where the last look ended.
    fn head_is_whole(&mut self) -> Result<bool, Broken> {
        while let Some(end) = self.line_end()? {
            let line = &self.bytes[self.line..end];
            if self.line == self.start && !is_request_line(line) {
                return Err(Broken::NotRtsp);
            }
            let last = line.is_empty() || line == b"\r";
            self.line = end + 1;
            self.scanned = end + 1;
            if last {
                return Ok(true);
            }
            if self.scanned - self.start > self.most {
                return Err(Broken::LongMessage);
            }
        }
        if self.line == self.start && !may_become_request_line(self.rest()) {
            return Err(Broken::NotRtsp);
        }
        if self.rest().len() > self.most {
            return Err(Broken::LongMessage);
        }
        Ok(false)
    }

    fn line_end(&mut self) -> Result<Option<usize>, Broken> {
        let found = self.bytes[self.scanned..].iter().position(|byte| *byte == b'\n');
        let seen = found.map_or(self.bytes.len(), |at| self.scanned + at);
        if seen - self.line > LINE_MAX_BYTES {
            return Err(Broken::LongLine);
        }
        if found.is_none() {
            self.scanned = seen;
        }
        Ok(found.map(|_| seen))
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.scanned = self.start;
        self.line = self.start;
        self.needs = 0;
    }
}

/// Whether a line has the shape `METHOD url RTSP/x.y`.
fn is_request_line(line: &[u8]) -> bool {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|byte| *byte == b' ');
    let (method, url, version, rest) = (words.next(), words.next(), words.next(), words.next());
    may_become_request_line(line)
        && method.is_some_and(|method| !method.is_empty())
        && url.is_some_and(|url| !url.is_empty())
        && version.is_some_and(|version| version.starts_with(b"RTSP/"))
        && rest.is_none()
}

/// Whether the beginning of a line could still be a request's: a method in letters, printable after.
fn may_become_request_line(text: &[u8]) -> bool {
    let method = text.split(|byte| *byte == b' ').next().unwrap_or(text);
    let rest = &text[method.len()..];
    method.len() <= METHOD_MAX_BYTES
        && method.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && rest.iter().all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: MonoNs = MonoNs(1);
    const OPTIONS: &[u8] = b"OPTIONS rtsp://h/cam1 RTSP/1.0\r\nCSeq: 1\r\n\r\n";

    fn after(bytes: &[u8]) -> Result<Option<Inbound>, Broken> {
        let mut inbox = Inbox::default();
        inbox.push(bytes, NOW);
        inbox.next(false, NOW)
    }

    fn is_request(next: &Result<Option<Inbound>, Broken>) -> bool {
        matches!(next, Ok(Some(Inbound::Request(_))))
    }

    #[test]
    fn a_request_sent_byte_by_byte_is_one_request() {
        let mut inbox = Inbox::default();
        for (at, byte) in OPTIONS.iter().enumerate() {
            inbox.push(&[*byte], MonoNs(at as u64));
            assert_eq!(is_request(&inbox.next(false, NOW)), at + 1 == OPTIONS.len());
        }
        assert_eq!(inbox.begun(), None);
    }

    #[test]
    fn pipelined_requests_come_out_in_order() {
        let mut inbox = Inbox::default();
        let second = b"PLAY rtsp://h/cam1 RTSP/1.0\r\nCSeq: 2\r\n\r\n";
        inbox.push(&[OPTIONS, b"\r\n", second, b"OPT"].concat(), NOW);
        let methods: Vec<_> = std::iter::from_fn(|| match inbox.next(false, NOW) {
            Ok(Some(Inbound::Request(request))) => Some(request.method().clone()),
            _ => None,
        })
        .collect();
        assert_eq!(methods, [rtsp_types::Method::Options, rtsp_types::Method::Play]);
        assert_eq!(inbox.begun(), Some(NOW), "OPT is unfinished");
    }

    #[test]
    fn a_body_belongs_to_its_request() {
        let head = b"SET_PARAMETER rtsp://h/cam1 RTSP/1.0\r\nCSeq: 1\r\ncontent-length: 4\r\n\r\n";
        let mut inbox = Inbox::default();
        inbox.push(&[&head[..], b"a: "].concat(), NOW);
        assert_eq!(inbox.next(false, NOW), Ok(None));
        inbox.push(b"b", NOW);
        let Ok(Some(Inbound::Request(request))) = inbox.next(false, NOW) else {
            panic!("no request")
        };
        assert_eq!(request.body(), b"a: b");
    }

    #[test]
    fn garbage_is_seen_at_once() {
        for garbage in [
            &[0x16, 3, 1, 2, 0][..], // TLS
            b"GET /cam1 HTTP/1.1\r\n",
            b"hello there\r\n",
            b"\x00\x00\x00",
            &[b'A'; 600],
            b"$\x00\x00\x04abcd",
            b"OPTIONS rtsp://h/\xff",
            b" RTSP/1.0\r\n",
            b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
        ] {
            assert_eq!(after(garbage), Err(Broken::NotRtsp), "{garbage:?}");
        }
    }

    #[test]
    fn a_long_header_is_refused_with_bounded_memory() {
        let mut inbox = Inbox::default();
        inbox.push(b"OPTIONS rtsp://h/cam1 RTSP/1.0\r\nCSeq: 1\r\nX: ", NOW);
        let mut sent = 0;
        let broken = loop {
            inbox.push(&[b'x'; 1000], NOW);
            sent += 1000;
            match inbox.next(false, NOW) {
                Ok(next) => assert_eq!(next, None),
                Err(broken) => break broken,
            }
        };
        assert_eq!(broken, Broken::LongLine);
        assert!(sent <= 10_000);
    }

    #[test]
    fn endless_headers_and_huge_bodies_are_refused() {
        let line = [b"X: ", &[b'x'; 4000][..], b"\r\n"].concat();
        let head = b"OPTIONS rtsp://h/cam1 RTSP/1.0\r\n".to_vec();
        assert_eq!(after(&[head, line.repeat(20)].concat()), Err(Broken::LongMessage));
        for length in ["70000", "18446744073709551615", "99999999999999999999", "-1", "x"] {
            let request = format!(
                "OPTIONS rtsp://h/cam1 RTSP/1.0\r\nCSeq: 1\r\nContent-Length: {length}\r\n\r\n"
            );
            assert!(after(request.as_bytes()).is_err(), "{length}");
        }
    }

    #[test]
    fn a_stranger_may_send_less_than_who_was_let_in() {
        let request = |bytes: usize| {
            let head = format!(
                "ANNOUNCE rtsp://h/x RTSP/1.0\r\nCSeq: 1\r\nContent-Length: {bytes}\r\n\r\n"
            );
            [head.into_bytes(), vec![b'x'; bytes]].concat()
        };
        let mut inbox = Inbox::of_a_stranger();
        inbox.push(&request(STRANGER_MAX_BYTES - 200), NOW);
        assert!(is_request(&inbox.next(false, NOW)));
        inbox.push(&request(STRANGER_MAX_BYTES)[..200], NOW);
        assert_eq!(inbox.next(false, NOW), Err(Broken::LongMessage), "its length alone says so");
        let mut inbox = Inbox::of_a_stranger();
        inbox.trust();
        inbox.push(&request(STRANGER_MAX_BYTES), NOW);
        assert!(is_request(&inbox.next(false, NOW)));
    }

    #[test]
    fn frames_are_cut_from_between_requests() {
        let mut inbox = Inbox::default();
        inbox.push(&[b"$\x01\x00\x03abc", OPTIONS, b"$\x01\x00"].concat(), NOW);
        let frame = Inbound::Frame { channel: 1, payload: b"abc".to_vec() };
        assert_eq!(inbox.next(true, NOW), Ok(Some(frame)));
        assert!(is_request(&inbox.next(true, NOW)));
        assert_eq!(inbox.next(true, NOW), Ok(None));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_never_pile_up(
            chunks in proptest::collection::vec(
                proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b'$')], 0..60),
                0..10,
            ),
            frames in any::<bool>(),
        ) {
            let mut inbox = Inbox::default();
            for chunk in chunks {
                inbox.push(&chunk, NOW);
                loop {
                    match inbox.next(frames, NOW) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
                prop_assert!(inbox.rest().len() <= MESSAGE_MAX_BYTES);
            }
        }

        #[test]
        fn almost_requests_never_panic(
            line in "(OPTIONS|SETUP|X) [a-z:/*]{0,12} RTSP/[12].0",
            headers in proptest::collection::vec("[A-Za-z-]{0,8}:? ?[ -~]{0,12}", 0..6),
            tail in "[ -~]{0,8}",
        ) {
            let text = format!("{line}\r\n{}\r\n\r\n{tail}", headers.join("\r\n"));
            let _ = after(text.as_bytes());
        }
    }
}
