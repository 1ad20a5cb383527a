//! A web server that is told of events: it may be away or refuse them, and remembers what it took.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::{Failure, Outcome};

/// A request that was taken.
#[derive(Clone, Debug)]
pub struct Post {
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

#[derive(Debug, Default)]
struct State {
    refuses: bool,
    took: Vec<Post>,
    refused: Vec<Post>,
}

/// Its thread ends with the process.
#[derive(Debug)]
pub struct Webhooks {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Webhooks {
    pub fn start() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Failure::new)?;
        let address = listener.local_addr().map_err(Failure::new)?;
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || drop(serve(&client, &shared)));
            }
        });
        Ok(Self { address, state })
    }

    pub fn url(&self) -> String {
        format!("http://{}/hooks/t0ken?site=1", self.address)
    }

    /// Whether each request is answered 500.
    pub fn refuse(&self, refuses: bool) {
        lock(&self.state).refuses = refuses;
    }

    pub fn took(&self) -> Vec<Post> {
        lock(&self.state).took.clone()
    }

    pub fn refused(&self) -> Vec<Post> {
        lock(&self.state).refused.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(client: &TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let (mut input, mut output) = (BufReader::new(client), client);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let target = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let bytes = headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        let mut body = vec![0; bytes];
        input.read_exact(&mut body)?;
        let post = Post { target, headers, body: String::from_utf8_lossy(&body).into_owned() };
        let mut state = lock(state);
        let answer: &[u8] = if state.refuses {
            state.refused.push(post);
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
        } else {
            state.took.push(post);
            b"HTTP/1.1 204 No Content\r\n\r\n"
        };
        drop(state);
        output.write_all(answer)?;
    }
}
