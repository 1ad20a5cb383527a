//! The beginning of a connection: whether it is RTSP or a part of an HTTP tunnel.

use std::net::SocketAddr;
use std::sync::Arc;

use shmring::clock;
use tokio::io::Interest;

use crate::connection::{Connection, End};
use crate::crowd::{Seat, Welcome};
use crate::datagram::canonical;
use crate::house::House;
use crate::session::FIRST_REQUEST;
use crate::socket::Socket;
use crate::tunnel::Arrival;
use crate::tunnel::hello::{self, Hello};
use crate::wire::{Heard, Wire};

/// Serves one connection until it is over. Without a place for it, it is told so.
pub async fn serve(socket: Socket, peer: SocketAddr, house: Arc<House>, seat: Seat) {
    if let Err(end) = begin(socket, peer, house, seat).await {
        tracing::debug!(client = %peer, %end, "connection over");
    }
}

async fn begin(socket: Socket, peer: SocketAddr, house: Arc<House>, seat: Seat) -> Result<(), End> {
    let opened = clock::mono();
    let ends = (canonical(socket.local_addr()?), canonical(peer));
    let mut wire = Wire::new(socket);
    let mut bytes = Vec::new();
    let heard = tokio::time::timeout(FIRST_REQUEST, first_words(&mut wire, &mut bytes)).await;
    match heard.map_err(|_| End::Silent)?? {
        Hello::Post { cookie, head_bytes } => {
            let arrival = Arrival { socket: wire.into_socket(), body: bytes.split_off(head_bytes) };
            house.tunnels.enter(&cookie, ends.1.ip(), arrival).await;
        }
        Hello::Get { .. } if seat.why != Welcome::Served => {
            wire.write(hello::FULL)?;
            return Err(End::Full);
        }
        Hello::Get { cookie, .. } => {
            match house.tunnels.open(&cookie, ends.1.ip(), wire.is_secure()) {
                Some(tunnel) => {
                    wire.through(tunnel);
                    let connection = Connection::new(wire, ends, house, seat, opened);
                    connection.greeted_with(hello::ACCEPTED).serve().await;
                }
                None => {
                    wire.write(hello::TAKEN)?;
                    tracing::debug!(client = %peer, "another tunnel has its cookie");
                }
            }
        }
        Hello::Rtsp | Hello::Unknown => {
            let connection = Connection::new(wire, ends, house, seat, opened);
            connection.having_heard(&bytes).serve().await;
        }
    }
    Ok(())
}

/// Reads until it is clear what the connection is.
async fn first_words(wire: &mut Wire, bytes: &mut Vec<u8>) -> Result<Hello, End> {
    loop {
        wire.ready(Interest::READABLE).await?;
        match wire.read()? {
            Heard::Bytes(more) => bytes.extend(more),
            Heard::Closed => return Err(End::Closed),
            Heard::Nothing => continue,
        }
        match hello::read(bytes) {
            Hello::Unknown => {}
            hello => return Ok(hello),
        }
    }
}
