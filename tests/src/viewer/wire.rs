//! What a server sends over TCP, cut into answers and interleaved packets (RFC 2326 sections 7 and 10.12).
//! Sans-IO; packets are lent, so that two hundred viewers cost no allocation a packet.

const INTERLEAVED: u8 = b'$';
const HEADER_BYTES: usize = 4;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    /// The first header of this name, whatever its letters' case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (own, value) = line.split_once(':')?;
            own.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One message of the server.
#[derive(Debug, PartialEq, Eq)]
pub enum Came<'a> {
    Answer(Answer),
    Packet { channel: u8, bytes: &'a [u8] },
}

/// Invariant: `start <= bytes.len()`.
#[derive(Debug, Default)]
pub struct Wire {
    bytes: Vec<u8>,
    start: usize,
}

impl Wire {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message.
    pub fn take(&mut self) -> Option<Came<'_>> {
        match self.bytes.get(self.start)? {
            &INTERLEAVED => self.packet(),
            _ => self.answer().map(Came::Answer),
        }
    }

    fn packet(&mut self) -> Option<Came<'_>> {
        let rest = &self.bytes[self.start..];
        let &[_, channel, high, low] = rest.first_chunk::<HEADER_BYTES>()?;
        let bytes = usize::from(u16::from_be_bytes([high, low]));
        if rest.len() < HEADER_BYTES + bytes {
            return None;
        }
        let from = self.start + HEADER_BYTES;
        self.start = from + bytes;
        Some(Came::Packet { channel, bytes: &self.bytes[from..self.start] })
    }

    fn answer(&mut self) -> Option<Answer> {
        let rest = &self.bytes[self.start..];
        let head_bytes = rest.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&rest[..head_bytes]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut answer = Answer { status, head, body: Vec::new() };
        let length: usize =
            answer.header("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        let body = rest.get(head_bytes..head_bytes + length)?;
        answer.body = body.to_vec();
        self.start += head_bytes + length;
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_packets_come_out_in_order_however_they_are_cut() {
        let bytes = b"RTSP/1.0 200 OK\r\ncontent-length: 2\r\nSession: a;timeout=60\r\n\r\nv=$\0\0\x01aRTSP/1.0 454 No\r\n\r\n$\x01\0\x02bb";
        for size in 1..bytes.len() {
            let (mut wire, mut came) = (Wire::default(), Vec::new());
            for piece in bytes.chunks(size) {
                wire.push(piece);
                while let Some(one) = wire.take() {
                    came.push(match one {
                        Came::Answer(answer) => format!("{} {}", answer.status, answer.text()),
                        Came::Packet { channel, bytes } => format!("{channel} {}", bytes.len()),
                    });
                }
            }
            assert_eq!(came, ["200 v=", "0 1", "454 ", "1 2"], "pieces of {size}");
        }
    }
}
