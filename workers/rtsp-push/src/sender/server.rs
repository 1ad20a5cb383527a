//! An RTSP server that is published to, and follows a script: what it answers, whom it lets in, what it
//! reads and when it hangs up.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use http_auth::{PasswordClient, PasswordParams};

pub(super) const USER: &str = "me";
pub(super) const PASSWORD: &str = "s3cret";

/// What happens on one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Script {
    /// Asked for before anything but OPTIONS.
    pub(super) challenge: Option<&'static str>,
    /// The status and reason of ANNOUNCE instead of 200.
    pub(super) refusal: Option<&'static str>,
    pub(super) end: End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// Reads as long as anything comes.
    #[default]
    Never,
    /// Closes when so many numbers came.
    After(usize),
    /// Reads nothing behind RECORD, as if it hung.
    Blocked,
    /// Says nothing from the beginning.
    Mute,
    /// Says something that no RTSP server says.
    Web,
}

/// What one connection saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: Vec<String>,
    /// Of the units, in the order they came.
    pub(super) numbers: Vec<u32>,
    /// How often a password came.
    pub(super) tries: usize,
    /// `nal_unit_type` at the head of the first RTP payload.
    pub(super) first_nal: Option<u8>,
}

/// By connection.
pub(super) type Log = Arc<Mutex<Vec<Seen>>>;

/// One script a connection, the last one for all that follow. Answers the port.
pub(super) fn serve(scripts: Vec<Script>) -> (u16, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let log = Log::default();
    let record = Arc::clone(&log);
    thread::spawn(move || {
        for (number, connection) in listener.incoming().enumerate() {
            let script = scripts[number.min(scripts.len() - 1)];
            record.lock().unwrap().push(Seen::default());
            let mut session = Session {
                connection: connection.unwrap(),
                heard: Vec::new(),
                text: Vec::new(),
                script,
                log: Arc::clone(&record),
                number,
            };
            // The client may leave at any time; that ends this connection only.
            thread::spawn(move || drop(session.play()));
        }
    });
    (port, log)
}

struct Session {
    connection: TcpStream,
    heard: Vec<u8>,
    /// What was sent so far, as far as it is not looked through.
    text: Vec<u8>,
    script: Script,
    log: Log,
    number: usize,
}

impl Session {
    fn play(&mut self) -> std::io::Result<()> {
        loop {
            if self.heard.is_empty() {
                self.hear()?;
            }
            if self.heard[0] == b'$' {
                if self.take_packet()? {
                    return Ok(());
                }
                continue;
            }
            let request = self.request()?;
            self.seen(|seen| seen.requests.push(request.clone()));
            match self.script.end {
                End::Mute => continue,
                End::Web => {
                    let page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
                    return self.connection.write_all(page);
                }
                _ => {}
            }
            let answer = self.answer(&request);
            self.connection.write_all(answer.as_bytes())?;
            if request.starts_with("TEARDOWN") {
                return Ok(());
            }
            while request.starts_with("RECORD") && self.script.end == End::Blocked {
                thread::park();
            }
        }
    }

    fn answer(&mut self, request: &str) -> String {
        let header = |name: &str| request.lines().find_map(|line| line.strip_prefix(name));
        let sequence = header("CSeq: ").unwrap_or_default();
        let method = request.split(' ').next().unwrap_or_default();
        let (mut status, mut headers) = ("200 OK", String::new());
        if let Some(challenge) = self.script.challenge.filter(|_| method != "OPTIONS") {
            let sent = header("Authorization: ");
            self.seen(|seen| seen.tries += usize::from(sent.is_some()));
            if !sent.is_some_and(|sent| is_right(challenge, request, sent)) {
                status = "401 Unauthorized";
                headers = format!("WWW-Authenticate: {challenge}\r\n");
            }
        }
        if let Some(refusal) = self.script.refusal.filter(|_| method == "ANNOUNCE") {
            status = refusal;
        }
        match method {
            "SETUP" if status == "200 OK" => {
                let transport = header("Transport: ").unwrap_or_default();
                headers = format!("Session: 7\r\nTransport: {transport}\r\n");
            }
            "RECORD" => headers += "Session: 7\r\n",
            "OPTIONS" => headers += "Public: OPTIONS, ANNOUNCE, SETUP, RECORD, TEARDOWN\r\n",
            _ => {}
        }
        format!("RTSP/1.0 {status}\r\nCSeq: {sequence}\r\n{headers}\r\n")
    }

    /// Whether this was the last one to be read.
    fn take_packet(&mut self) -> std::io::Result<bool> {
        self.need(4)?;
        let length = usize::from(u16::from_be_bytes([self.heard[2], self.heard[3]]));
        self.need(4 + length)?;
        let packet: Vec<u8> = self.heard.drain(..4 + length).skip(4).collect();
        // Reports have types from 200 on.
        if packet.len() > 12 && !(200..=204).contains(&packet[1]) {
            self.take_payload(&packet[12..]);
        }
        let limit = match self.script.end {
            End::After(limit) => limit,
            _ => usize::MAX,
        };
        Ok(self.log.lock().unwrap()[self.number].numbers.len() >= limit)
    }

    fn take_payload(&mut self, payload: &[u8]) {
        self.text.extend_from_slice(payload);
        let mut numbers = Vec::new();
        while let Some(begin) = self.text.windows(8).position(is_number) {
            let digits = String::from_utf8_lossy(&self.text[begin + 1..begin + 7]).into_owned();
            numbers.extend(digits.parse::<u32>());
            self.text.drain(..begin + 8);
        }
        let looked_through = self.text.len().saturating_sub(16);
        self.text.drain(..looked_through);
        self.seen(|seen| {
            seen.first_nal = seen.first_nal.or_else(|| payload.first().map(|head| head & 0x1f));
            seen.numbers.extend(numbers);
        });
    }

    fn request(&mut self) -> std::io::Result<String> {
        let end = loop {
            match self.heard.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => self.hear()?,
            }
        };
        let head = String::from_utf8_lossy(&self.heard[..end]).into_owned();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let body = length.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        self.need(end + body)?;
        let request: Vec<u8> = self.heard.drain(..end + body).collect();
        Ok(String::from_utf8_lossy(&request).into_owned())
    }

    fn need(&mut self, bytes: usize) -> std::io::Result<()> {
        while self.heard.len() < bytes {
            self.hear()?;
        }
        Ok(())
    }

    fn hear(&mut self) -> std::io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.connection.read(&mut buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            bytes => {
                self.heard.extend_from_slice(&buffer[..bytes]);
                Ok(())
            }
        }
    }

    fn seen(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.log.lock().unwrap()[self.number]);
    }
}

/// `#000123#`, which a unit has its number in.
fn is_number(bytes: &[u8]) -> bool {
    bytes[0] == b'#' && bytes[7] == b'#' && bytes[1..7].iter().all(u8::is_ascii_digit)
}

/// Whether it is the answer of somebody who knows the password.
fn is_right(challenge: &str, request: &str, sent: &str) -> bool {
    let mut words = request.split(' ');
    let (method, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut client = PasswordClient::builder().challenges(challenge).build().unwrap();
    let parameters =
        PasswordParams { username: USER, password: PASSWORD, uri, method, body: Some(&[]) };
    let expected = client.respond(&parameters).unwrap();
    // Of a digest only this depends on the password; a basic answer is nothing else.
    let proof = |text: &str| match text.split_once("response=") {
        Some((_, proof)) => proof.trim_start_matches('"').chars().take(32).collect(),
        None => text.trim().to_owned(),
    };
    proof(&expected) == proof(sent)
}
