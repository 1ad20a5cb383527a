//! What bad cameras do to who connects to them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};

use super::{Mood, POLL, Shared, is_timeout, piece};

/// Longest wait before a change of mood is seen.
const LOOK: Duration = Duration::from_millis(100);

/// A connection in a mood that passes nothing on; it ends with the mood.
pub(super) fn serve(mut client: TcpStream, mood: Mood, shared: &Shared) -> std::io::Result<()> {
    client.set_read_timeout(Some(LOOK))?;
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while shared.mood() == mood && !shared.is_over() {
        match client.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(bytes) => heard.extend_from_slice(&buffer[..bytes]),
            Err(error) if is_timeout(&error) => continue,
            Err(error) => return Err(error),
        }
        while let Some(length) = piece::whole_bytes(&heard) {
            let request: Vec<u8> = heard.drain(..length).collect();
            let request = String::from_utf8_lossy(&request).into_owned();
            shared.note(&request);
            if mood == Mood::Resets {
                return reset(&client);
            }
            if let Some(answer) = answer(mood, &request) {
                client.write_all(&answer)?;
            }
        }
    }
    Ok(())
}

/// When the last who has it lets go of it, the other side hears of a reset.
pub(super) fn reset(client: &TcpStream) -> std::io::Result<()> {
    let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(client, sockopt::Linger, &at_once)?;
    // Whoever reads it elsewhere lets go of it too.
    client.shutdown(std::net::Shutdown::Read)
}

/// An answer, a byte a second, as long as the mood lasts.
pub(super) fn drip(mut client: &TcpStream, answer: &[u8], shared: &Shared) -> std::io::Result<()> {
    for byte in answer {
        client.write_all(&[*byte])?;
        let mut rest = Duration::from_secs(1);
        while !rest.is_zero() && shared.mood() == Mood::Drips && !shared.is_over() {
            thread::sleep(POLL);
            rest = rest.saturating_sub(POLL);
        }
        if shared.mood() != Mood::Drips {
            // Half of an answer is no beginning of anything.
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
    }
    Ok(())
}

/// `None` for silence.
fn answer(mood: Mood, request: &str) -> Option<Vec<u8>> {
    let header = |name: &str| request.lines().find_map(|line| line.strip_prefix(name));
    let sequence = header("CSeq: ").unwrap_or("1");
    let url = request.split(' ').nth(1).unwrap_or_default();
    let is_describe = request.starts_with("DESCRIBE");
    let said = |status: &str, more: &str, body: &str| {
        let length = body.len();
        let head = format!("RTSP/1.0 {status}\r\nCSeq: {sequence}\r\n{more}");
        Some(format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes())
    };
    match mood {
        Mood::Redirects if is_describe => said("302 Moved", &format!("Location: {url}\r\n"), ""),
        Mood::Denies => {
            let challenge = "WWW-Authenticate: Digest realm=\"camera\", nonce=\"17\"\r\n";
            said("401 Unauthorized", challenge, "")
        }
        Mood::Undescribed if is_describe => said("200 OK", "", "v=0\r\nnonsense\r\nm=\r\n"),
        Mood::Redirects | Mood::Undescribed => said("200 OK", "", ""),
        Mood::Nonsense => Some([b"HTTP/1.0 400 Bad\r\n".as_slice(), &[b'x'; 70_000]].concat()),
        _ => None,
    }
}
