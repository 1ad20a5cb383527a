//! A link to a server that is late, and that may swallow the reports of the camera's clock: a TCP proxy
//! that knows as much of RTSP as that takes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use protocol::time::MonoNs;
use shmring::clock;

use crate::gateway::whole_bytes;
use crate::{Failure, Outcome};

/// What the link does to what comes from the server.
#[derive(Clone, Debug)]
pub struct Link {
    /// Each piece is late by a number of ms in here; the order stays.
    pub late_ms: Range<u64>,
    /// Interleaved packets of odd channels, which are reports, do not arrive.
    pub without_reports: bool,
    /// Where the lateness of the pieces begins; the same seed is the same link.
    pub seed: u64,
}

impl Link {
    /// Listens on a free port for as long as this process lives, and passes on to `port`.
    pub fn to(self, port: u16) -> Outcome<u16> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(Failure::new)?;
        let own = listener.local_addr().map_err(Failure::new)?.port();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", port)) {
                    self.clone().join(client, server);
                }
            }
        });
        Ok(own)
    }

    fn join(self, client: TcpStream, server: TcpStream) {
        for side in [&client, &server] {
            // Pieces that wait for each other's confirmation would be later than they should.
            let _ = side.set_nodelay(true);
        }
        let (Ok(to_server), Ok(from_client)) = (server.try_clone(), client.try_clone()) else {
            return;
        };
        thread::spawn(move || {
            let (mut from, mut to) = (from_client, to_server);
            // Either side may leave at any time; that ends this connection only.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
        let (sender, pieces) = channel();
        let mut from = server;
        thread::spawn(move || deliver(client, &pieces));
        thread::spawn(move || {
            let mut filter = Filter { rest: Vec::new(), drops: self.without_reports };
            let mut random = self.seed;
            let mut due = clock::mono();
            let mut buffer = [0; 4096];
            while let Ok(bytes @ 1..) = from.read(&mut buffer) {
                // Knuth's; the high bits are the good ones.
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let span = (self.late_ms.end - self.late_ms.start).max(1);
                let late = Duration::from_millis(self.late_ms.start + (random >> 33) % span);
                due = due.max(clock::mono() + late);
                if sender.send((due, filter.passed(&buffer[..bytes]))).is_err() {
                    return;
                }
            }
        });
    }
}

fn deliver(mut to: TcpStream, pieces: &Receiver<(MonoNs, Vec<u8>)>) {
    for (due, bytes) in pieces {
        thread::sleep(due.saturating_since(clock::mono()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Cuts the stream into answers and packets.
struct Filter {
    rest: Vec<u8>,
    drops: bool,
}

impl Filter {
    fn passed(&mut self, bytes: &[u8]) -> Vec<u8> {
        if !self.drops {
            return bytes.to_vec();
        }
        self.rest.extend_from_slice(bytes);
        let mut out = Vec::new();
        while let Some(whole) = whole_bytes(&self.rest) {
            let piece: Vec<u8> = self.rest.drain(..whole).collect();
            if piece[0] != b'$' || piece[1].is_multiple_of(2) {
                out.extend(piece);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_swallowed_and_the_rest_passes() {
        let bytes =
            b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nv=$\0\0\x01a$\x01\0\x02bb$\x02\0\x01c";
        let mut filter = Filter { rest: Vec::new(), drops: true };
        let out: Vec<u8> = bytes.chunks(3).flat_map(|piece| filter.passed(piece)).collect();
        let expected = b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nv=$\0\0\x01a$\x02\0\x01c";
        assert_eq!(out, expected);
    }
}
