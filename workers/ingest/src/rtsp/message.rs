//! What the other end of a connection sends: answers, requests, and packets between them. Pure.
//!
//! Written for cameras as they are, whether they are asked or send by themselves: blanks behind values, bare line feeds, missing headers and bytes
//! that belong to nothing are passed over. Only what cannot be bounded is an error.

/// Longest head of a message; cameras send some hundred bytes.
const HEAD_MAX_BYTES: usize = 64 << 10;
/// Longest body: a description with many tracks has some KiB.
const BODY_MAX_BYTES: usize = 256 << 10;
/// Taken from the connection at once.
const READ_BYTES: usize = 64 << 10;
/// Bytes that belong to nothing, in a row, after which this is no RTSP.
const STRAY_MAX_BYTES: usize = 64 << 10;
/// Of a reason or a name: those of cameras have some words.
const SHOWN_MAX_CHARS: usize = 80;

/// One thing that a camera says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming<'a> {
    Answer(Answer),
    /// We are asked.
    Request(Request),
    /// A packet of an interleaved channel (RFC 2326 section 10.12).
    Packet {
        channel: u8,
        payload: &'a [u8],
    },
}

/// An answer to a request of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.first(name)
    }

    pub(crate) fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.all(name)
    }
}

/// A request of the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.first(name)
    }

    /// Its CSeq, which the answer repeats; empty when it has none.
    pub(crate) fn sequence(&self) -> &str {
        self.header("CSeq").unwrap_or_default()
    }
}

/// Names and values as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Headers(Vec<(String, String)>);

impl Headers {
    fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let pairs = lines.filter_map(|line| line.split_once(':'));
        Self(pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect())
    }

    fn first(&self, name: &str) -> Option<&str> {
        let of_name = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        self.0.iter().find(of_name).map(|(_, value)| value.as_str())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let of_name = move |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        self.0.iter().filter(of_name).map(|(_, value)| value.as_str())
    }
}

/// Why what a camera sends cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    TooLong,
    NotRtsp,
}

/// Bytes as they came, not yet understood.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    /// What stands before is done with.
    at: usize,
    stray: usize,
}

impl Inbox {
    /// Where what comes next is to be appended.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.reserve(READ_BYTES);
        &mut self.bytes
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.room().extend_from_slice(bytes);
    }

    /// The next whole message or packet; `None` until more bytes came.
    pub(crate) fn next(&mut self) -> Result<Option<Incoming<'_>>, Unreadable> {
        self.pass_over_strays()?;
        match self.bytes.get(self.at) {
            None => Ok(None),
            Some(b'$') => Ok(self.packet()),
            Some(_) => self.message(),
        }
    }

    fn packet(&mut self) -> Option<Incoming<'_>> {
        let rest = &self.bytes[self.at..];
        let [_, channel, high, low, ..] = *rest else { return None };
        let end = 4 + usize::from(u16::from_be_bytes([high, low]));
        if rest.len() < end {
            return None;
        }
        let begin = self.at + 4;
        self.at += end;
        Some(Incoming::Packet { channel, payload: &self.bytes[begin..self.at] })
    }

    fn message(&mut self) -> Result<Option<Incoming<'_>>, Unreadable> {
        let rest = &self.bytes[self.at..];
        let Some(head_bytes) = head_end(rest) else {
            return if rest.len() > HEAD_MAX_BYTES { Err(Unreadable::TooLong) } else { Ok(None) };
        };
        let head = String::from_utf8_lossy(&rest[..head_bytes]).into_owned();
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default();
        let headers = Headers::of(lines);
        let length = headers.first("Content-Length");
        let body_bytes = length.and_then(|text| text.parse().ok()).unwrap_or(0);
        if body_bytes > BODY_MAX_BYTES {
            return Err(Unreadable::TooLong);
        }
        let Some(body) = rest.get(head_bytes..head_bytes + body_bytes) else { return Ok(None) };
        let body = body.to_vec();
        self.at += head_bytes + body_bytes;
        let Some(line) = first.strip_prefix("RTSP/") else {
            let mut words = first.split_whitespace().map(str::to_owned);
            let method = words.next().unwrap_or_default();
            let url = words.next().unwrap_or_default();
            return Ok(Some(Incoming::Request(Request { method, url, headers, body })));
        };
        let mut words = line.splitn(3, ' ').skip(1);
        let status = words.next().and_then(|word| word.trim().parse().ok()).unwrap_or(0);
        let reason = plain(words.next().unwrap_or_default());
        Ok(Some(Incoming::Answer(Answer { status, reason, headers, body })))
    }

    /// Moves on to what may be a packet or a message.
    fn pass_over_strays(&mut self) -> Result<(), Unreadable> {
        while let Some(rest) = self.bytes.get(self.at..).filter(|rest| !rest.is_empty()) {
            match begins(rest) {
                Begin::Something => {
                    self.stray = 0;
                    return Ok(());
                }
                Begin::Unclear => return Ok(()),
                Begin::Nothing => {}
            }
            self.at += 1;
            self.stray += 1;
            if self.stray > STRAY_MAX_BYTES {
                return Err(Unreadable::NotRtsp);
            }
        }
        Ok(())
    }
}

enum Begin {
    Something,
    Nothing,
    /// Too short to tell.
    Unclear,
}

/// Methods that are called here: by cameras that were asked, and by those that send by themselves.
const METHODS: [&[u8]; 11] = [
    b"ANNOUNCE ",
    b"DESCRIBE ",
    b"GET_PARAMETER ",
    b"OPTIONS ",
    b"PAUSE ",
    b"PLAY ",
    b"RECORD ",
    b"REDIRECT ",
    b"SET_PARAMETER ",
    b"SETUP ",
    b"TEARDOWN ",
];

fn begins(rest: &[u8]) -> Begin {
    if rest[0] == b'$' {
        return Begin::Something;
    }
    let mut words = METHODS.into_iter().chain([b"RTSP/".as_slice()]);
    if words.clone().any(|word| rest.starts_with(word)) {
        Begin::Something
    } else if words.any(|word| word.starts_with(rest)) {
        Begin::Unclear
    } else {
        Begin::Nothing
    }
}

/// Where the body begins: behind an empty line.
fn head_end(bytes: &[u8]) -> Option<usize> {
    let ends = (0..bytes.len()).filter(|at| bytes[*at] == b'\n');
    let mut ends = ends.take_while(|at| *at <= HEAD_MAX_BYTES);
    ends.find_map(|at| match &bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// What people may be shown of a camera's words: nothing that a terminal obeys, and not too much.
pub(crate) fn plain(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(SHOWN_MAX_CHARS).collect()
}

/// A request of ours.
pub(crate) fn request(method: &str, url: &str, headers: &[(&str, String)]) -> String {
    let mut text = format!("{method} {url} RTSP/1.0\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(bytes: &[u8], piece: usize) -> (Vec<String>, Vec<(u8, Vec<u8>)>) {
        let mut inbox = Inbox::default();
        let (mut told, mut packets) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            inbox.push(piece);
            while let Some(incoming) = inbox.next().unwrap() {
                match incoming {
                    Incoming::Answer(answer) => told.push(format!(
                        "{} {} {:?} {}",
                        answer.status,
                        answer.reason,
                        answer.header("cseq"),
                        answer.body.len()
                    )),
                    Incoming::Request(request) => told.push(format!(
                        "{} {} {}",
                        request.method,
                        request.url,
                        request.sequence()
                    )),
                    Incoming::Packet { channel, payload } => {
                        packets.push((channel, payload.to_vec()))
                    }
                }
            }
        }
        (told, packets)
    }

    #[test]
    fn answers_requests_and_packets_are_told_apart_however_they_are_cut() {
        let bytes = b"RTSP/1.0 200 OK\r\nCSeq: 2 \r\nContent-length: 3\r\n\r\nv=0$\x01\x00\x02ab\
            \r\nOPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\nRTSP/1.0 404 Not Found\n\n$\x00\x00\x00";
        for piece in 1..bytes.len() {
            let (told, packets) = all(bytes, piece);
            assert_eq!(told, ["200 OK Some(\"2\") 3", "OPTIONS * 9", "404 Not Found None 0"]);
            assert_eq!(packets, [(1, b"ab".to_vec()), (0, Vec::new())]);
        }
    }

    #[test]
    fn bytes_that_belong_to_nothing_are_passed_over() {
        let (told, packets) = all(b"\0\xff HTTP/1.1 RTSP/1.0 200 OK\r\n\r\nxx$\x00\x00\x01a", 7);
        assert_eq!((told.len(), packets.len()), (1, 1));
        let mut inbox = Inbox::default();
        inbox.push(&vec![b'x'; STRAY_MAX_BYTES + 1]);
        assert_eq!(inbox.next(), Err(Unreadable::NotRtsp));
    }

    #[test]
    fn what_has_no_end_is_an_error() {
        let mut inbox = Inbox::default();
        inbox.push(b"RTSP/1.0 200 OK\r\nX: ");
        inbox.push(&vec![b'x'; HEAD_MAX_BYTES]);
        assert_eq!(inbox.next(), Err(Unreadable::TooLong));
        let mut inbox = Inbox::default();
        inbox.push(b"RTSP/1.0 200 OK\r\nContent-Length: 99999999\r\n\r\n");
        assert_eq!(inbox.next(), Err(Unreadable::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut inbox = Inbox::default();
            inbox.push(&bytes);
            for _ in 0..=bytes.len() {
                if !matches!(inbox.next(), Ok(Some(_))) {
                    break;
                }
            }
        }
    }
}
