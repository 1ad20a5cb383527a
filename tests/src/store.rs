//! Object storage that speaks as much S3 as an uploader needs, on a port of this machine: it can be switched
//! off, slow, or in trouble, and remembers how often each object was written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::project::free_port;
use crate::{Failure, Outcome};

/// What it knows its user by.
pub const KEY: &str = "AKIASTUB";
/// What nobody may ever read anywhere.
pub const SECRET: &str = "s3cr3t/of+the=store";
const BUCKET: &str = "cameras";

/// How it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Nobody listens, and open connections are cut.
    Away,
    /// Each request is answered 503.
    Busy,
    /// As for a key that may not list: asked for what is not there it says 403.
    Discreet,
    /// Connections are cut in the middle of what they bring.
    Cutting,
    /// Each request takes so long.
    Slow(Duration),
}

/// An object.
#[derive(Clone, Debug, Default)]
pub struct Object {
    pub bytes: Vec<u8>,
    /// What it was sent with, without `x-amz-meta-`.
    pub meta: BTreeMap<String, String>,
    /// How often it was written, whole.
    pub writes: u32,
}

/// The store; its thread ends with the process.
#[derive(Debug)]
pub struct Store {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// The thread that accepts is to let go of the port.
    closes: AtomicBool,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    objects: BTreeMap<String, Object>,
    parts: BTreeMap<String, Parts>,
    next: u64,
    open: Vec<TcpStream>,
    /// Requests that a store would not take, in words.
    refused: Vec<String>,
    requests: u64,
    /// Keys of what is being received.
    arriving: Vec<String>,
}

#[derive(Debug, Default)]
struct Parts {
    key: String,
    meta: BTreeMap<String, String>,
    parts: BTreeMap<u32, Vec<u8>>,
}

struct Request {
    method: String,
    key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    headers: Vec<(String, String)>,
    body: String,
}

impl Store {
    pub fn start() -> Outcome<Self> {
        // Not one that the kernel hands out: it must be free again when the store comes back.
        let listener = TcpListener::bind(("127.0.0.1", free_port()?)).map_err(Failure::new)?;
        let address = listener.local_addr().map_err(Failure::new)?;
        let state = State {
            mood: Mood::Well,
            objects: BTreeMap::new(),
            parts: BTreeMap::new(),
            next: 1,
            open: Vec::new(),
            refused: Vec::new(),
            requests: 0,
            arriving: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), closes: AtomicBool::new(false) });
        accept(listener, &shared)?;
        Ok(Self { address, shared })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What an uploader's keys are, but for `dir`; its credential is [`Self::credential`].
    pub fn keys(&self) -> String {
        self.keys_at(&format!("http://{}", self.address))
    }

    /// The same for one that reaches it elsewhere.
    pub fn keys_at(&self, endpoint: &str) -> String {
        format!("to: s3://{BUCKET}/site1, endpoint: '{endpoint}', credentials: '${{cred:store}}'")
    }

    /// What the credential `store` holds.
    pub fn credential() -> String {
        format!("{KEY}:{SECRET}")
    }

    pub fn set(&self, mood: Mood) -> Outcome<()> {
        let was = std::mem::replace(&mut self.lock().mood, mood);
        match (was, mood) {
            (Mood::Away, Mood::Away) => {}
            (_, Mood::Away) => {
                self.shared.closes.store(true, Ordering::Release);
                // Wakes the thread that accepts.
                drop(TcpStream::connect(self.address));
                for open in self.lock().open.drain(..) {
                    let _ = open.shutdown(Shutdown::Both);
                }
                while TcpStream::connect(self.address).is_ok() {
                    thread::sleep(Duration::from_millis(10));
                }
            }
            (Mood::Away, _) => {
                self.shared.closes.store(false, Ordering::Release);
                let listener = TcpListener::bind(self.address).map_err(Failure::new)?;
                accept(listener, &self.shared)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// By keys.
    pub fn objects(&self) -> BTreeMap<String, Object> {
        self.lock().objects.clone()
    }

    pub fn count(&self) -> usize {
        self.lock().objects.len()
    }

    /// Uploads of which it holds parts, and that nobody has ended or given up. One without parts is not counted:
    /// who began it may have died before the answer named it.
    pub fn unfinished(&self) -> usize {
        self.lock().parts.values().filter(|upload| !upload.parts.is_empty()).count()
    }

    /// What it had to refuse, in words.
    pub fn refused(&self) -> Vec<String> {
        self.lock().refused.clone()
    }

    pub fn requests(&self) -> u64 {
        self.lock().requests
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

impl Shared {
    fn arrived(&self, key: &str) {
        let mut state = self.lock();
        if let Some(at) = state.arriving.iter().position(|arriving| arriving == key) {
            state.arriving.remove(at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: TcpListener, shared: &Arc<Shared>) -> Outcome<()> {
    let shared = Arc::clone(shared);
    let serve = move || {
        for client in listener.incoming() {
            if shared.closes.load(Ordering::Acquire) {
                return;
            }
            let Ok(client) = client else { continue };
            let Ok(other) = client.try_clone() else { continue };
            shared.lock().open.push(other);
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                drop(serve(&client, &shared));
                // Its other handle keeps it open.
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    };
    thread::Builder::new().name("store".to_owned()).spawn(serve).map_err(Failure::new)?;
    Ok(())
}

/// Until the client is gone.
fn serve(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut input = BufReader::new(client);
    while let Some(request) = read(&mut input, shared)? {
        let mood = shared.lock().mood;
        if let Mood::Slow(time) = mood {
            thread::sleep(time);
        }
        let is_head = request.method == "HEAD";
        // Who asks hears of what is on its way already.
        while is_head && shared.lock().arriving.contains(&request.key) {
            thread::sleep(Duration::from_millis(5));
        }
        let answer = match mood {
            Mood::Busy => Answer::error("503 Slow Down", "SlowDown"),
            Mood::Discreet if is_head && !shared.lock().holds(&request.key) => {
                Answer::error("403 Forbidden", "AccessDenied")
            }
            Mood::Away => {
                shared.arrived(&request.key);
                return Ok(());
            }
            _ => answer(&request, shared),
        };
        shared.arrived(&request.key);
        write(client, &answer, is_head)?;
    }
    Ok(())
}

fn read(input: &mut impl BufRead, shared: &Shared) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let key = path.trim_start_matches('/').to_owned();
    let bytes: usize = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
    if shared.lock().mood == Mood::Cutting && bytes > 0 {
        let mut half = vec![0; bytes / 2];
        input.read_exact(&mut half)?;
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    let mut body = vec![0; bytes];
    if method != "HEAD" {
        shared.lock().arriving.push(key.clone());
    }
    if let Err(error) = input.read_exact(&mut body) {
        shared.arrived(&key);
        return Err(error);
    }
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (name.to_owned(), value.to_owned())
    };
    let query = query.split('&').filter(|part| !part.is_empty()).map(pair).collect();
    Ok(Some(Request { method, key, query, headers, body }))
}

fn write(mut client: &TcpStream, answer: &Answer, is_head: bool) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {}\r\n", answer.status);
    let has_length = answer.headers.iter().any(|(name, _)| name == "Content-Length");
    for (name, value) in &answer.headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if !has_length {
        let _ = write!(text, "Content-Length: {}\r\n", answer.body.len());
    }
    text.push_str("\r\n");
    if !is_head {
        text.push_str(&answer.body);
    }
    client.write_all(text.as_bytes())
}

fn answer(request: &Request, shared: &Shared) -> Answer {
    let mut state = shared.lock();
    state.requests += 1;
    if let Some((status, code)) = fault_of(request) {
        state.refused.push(format!("{} {}: {code}", request.method, request.key));
        return Answer::error(status, code);
    }
    let Some(key) = request.key.strip_prefix(&format!("{BUCKET}/")).map(str::to_owned) else {
        return Answer::error("404 Not Found", "NoSuchBucket");
    };
    let has = |name: &str| request.query.contains_key(name);
    match request.method.as_str() {
        "HEAD" | "GET" if has("list-type") => state.list(),
        "HEAD" | "GET" => state.get(&key),
        "POST" if has("uploads") => state.begin(key, request),
        "PUT" if has("uploadId") => state.part(request),
        "POST" if has("uploadId") => state.complete(request),
        "DELETE" if has("uploadId") => {
            state.parts.remove(&request.query["uploadId"]);
            Answer::plain("204 No Content")
        }
        "PUT" => state.put(key, request.meta(), request.body.clone()),
        _ => Answer::error("405 Method Not Allowed", "MethodNotAllowed"),
    }
}

/// What a store compares with what it gets.
fn fault_of(request: &Request) -> Option<(&'static str, &'static str)> {
    let header = |name: &str| request.headers.get(name).map(String::as_str).unwrap_or_default();
    let signed = format!("AWS4-HMAC-SHA256 Credential={KEY}/");
    let authorization = header("authorization");
    if !authorization.starts_with(&signed) || !authorization.contains("Signature=") {
        return Some(("403 Forbidden", "InvalidAccessKeyId"));
    }
    let digest = Sha256::digest(&request.body);
    let hex = digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let content = header("x-amz-content-sha256");
    if content != "UNSIGNED-PAYLOAD" && content != hex {
        return Some(("400 Bad Request", "XAmzContentSHA256Mismatch"));
    }
    let checksum = header("x-amz-checksum-sha256");
    if !checksum.is_empty() && checksum != STANDARD.encode(digest) {
        return Some(("400 Bad Request", "BadDigest"));
    }
    let is_data = request.method == "PUT";
    (is_data && checksum.is_empty()).then_some(("400 Bad Request", "InvalidRequest"))
}

impl Request {
    fn meta(&self) -> BTreeMap<String, String> {
        let own = |(name, value): (&String, &String)| {
            Some((name.strip_prefix("x-amz-meta-")?.to_owned(), value.clone()))
        };
        self.headers.iter().filter_map(own).collect()
    }
}

impl State {
    fn holds(&self, target: &str) -> bool {
        target.strip_prefix(&format!("{BUCKET}/")).is_some_and(|key| self.objects.contains_key(key))
    }

    fn put(&mut self, key: String, meta: BTreeMap<String, String>, bytes: Vec<u8>) -> Answer {
        let object = self.objects.entry(key).or_default();
        (object.bytes, object.meta) = (bytes, meta);
        object.writes += 1;
        Answer::plain("200 OK").with("ETag", "\"0123456789abcdef\"")
    }

    fn get(&self, key: &str) -> Answer {
        let Some(object) = self.objects.get(key) else {
            return Answer::error("404 Not Found", "NoSuchKey");
        };
        let mut answer = Answer::plain("200 OK")
            .with("Content-Length", &object.bytes.len().to_string())
            .with("ETag", "\"0123456789abcdef\"")
            .with("Last-Modified", "Fri, 20 Nov 2026 13:09:00 GMT");
        for (name, value) in &object.meta {
            answer = answer.with(&format!("x-amz-meta-{name}"), value);
        }
        answer
    }

    fn list(&self) -> Answer {
        let mut body = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
        for (key, object) in &self.objects {
            let bytes = object.bytes.len();
            let _ = write!(body, "<Contents><Key>{key}</Key><Size>{bytes}</Size></Contents>");
        }
        Answer { body: body + "</ListBucketResult>", ..Answer::plain("200 OK") }
    }

    fn begin(&mut self, key: String, request: &Request) -> Answer {
        let id = format!("upload-{}", self.next);
        self.next += 1;
        let body = format!(
            "<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{key}</Key>\
             <UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
        );
        let parts = Parts { key, meta: request.meta(), parts: BTreeMap::new() };
        self.parts.insert(id, parts);
        Answer { body, ..Answer::plain("200 OK") }
    }

    fn part(&mut self, request: &Request) -> Answer {
        let number = request.query.get("partNumber").and_then(|it| it.parse().ok());
        let parts = self.parts.get_mut(&request.query["uploadId"]);
        let (Some(number), Some(parts)) = (number, parts) else {
            return Answer::error("404 Not Found", "NoSuchUpload");
        };
        parts.parts.insert(number, request.body.clone());
        let checksum = &request.headers["x-amz-checksum-sha256"];
        Answer::plain("200 OK")
            .with("ETag", &format!("\"part-{number}\""))
            .with("x-amz-checksum-sha256", checksum)
    }

    fn complete(&mut self, request: &Request) -> Answer {
        let Some(parts) = self.parts.remove(&request.query["uploadId"]) else {
            return Answer::error("404 Not Found", "NoSuchUpload");
        };
        let asked = String::from_utf8_lossy(&request.body).matches("<PartNumber>").count();
        // All but the last have a least size.
        let is_small = |part: &Vec<u8>| part.len() < 5 << 20;
        let small = parts.parts.values().rev().skip(1).any(is_small);
        if asked != parts.parts.len() || small {
            self.refused.push(format!("complete {}: {asked} parts", parts.key));
            return Answer::error("400 Bad Request", "InvalidPart");
        }
        let key = parts.key.clone();
        self.put(key.clone(), parts.meta, parts.parts.into_values().flatten().collect());
        let body = format!(
            "<CompleteMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{key}</Key>\
             <ETag>\"0123456789abcdef-2\"</ETag></CompleteMultipartUploadResult>"
        );
        Answer { body, ..Answer::plain("200 OK") }
    }
}

impl Answer {
    fn plain(status: &'static str) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    fn error(status: &'static str, code: &str) -> Self {
        let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
        Self { body, ..Self::plain(status) }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}
