//! Requests that are never tried a second time: a refused connection is a finding here. Each has a connection of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A machine that is busy elsewhere answers late; a list that is waited for has its own, shorter, end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody listens, or whoever does takes no more.
    #[error("the connection was refused: {0}")]
    Refused(String),
    /// The server is gone amid its answer.
    #[error("the connection ended before its answer: {0}")]
    Cut(String),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

/// Asks a server of this machine.
pub fn get(port: u16, path: &str) -> Result<Answer, Fault> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .map_err(|error| Fault::Refused(error.to_string()))?;
    let cut = |error: std::io::Error| Fault::Cut(error.to_string());
    stream.set_read_timeout(Some(PATIENCE)).map_err(cut)?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(cut)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).map_err(cut)?;
    Answer::read(&bytes).ok_or_else(|| Fault::Cut(format!("{path}: {} bytes", bytes.len())))
}

impl Answer {
    /// `None` unless it is whole; our server says of every answer how long it is.
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let answer = Self { status, head, body: bytes[end + 4..].to_vec() };
        let bytes: usize = answer.header("content-length")?.parse().ok()?;
        (answer.body.len() == bytes).then_some(answer)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut of_name = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        of_name.next().map(|(_, value)| value.trim())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_only_when_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: video/mp4\r\n\r\nab";
        let answer = Answer::read(whole).expect("whole");
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("video/mp4")));
        assert_eq!(answer.text(), "ab");
        assert!(Answer::read(&whole[..whole.len() - 1]).is_none());
        assert!(Answer::read(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
