//! The page with made-up cameras, to look at while working on it:
//! `cargo run -p web --example page -- 16 8080`.

#[path = "../tests/fake/mod.rs"]
mod fake;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use fake::Fake;
use tokio::net::TcpListener;
use tokio::sync::watch;
use web::guard::Hosts;
use web::route::router;
use web::server::{Deadlines, Server};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let cameras = arguments.next().map_or(Ok(16), |count| count.parse())?;
    let port = arguments.next().map_or(Ok(8080), |port| port.parse())?;
    let site = Arc::new(Fake::of(cameras)).site();
    for (number, kind) in ["begin", "update", "end"].into_iter().enumerate() {
        site.events.push(&"motion.events".parse()?, fake::record(number as u64, kind));
    }
    site.events.push(&"motion.events".parse()?, fake::record(9, "begin"));
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(listen).await?;
    let places = Arc::clone(&site.connections);
    let (_stop, stop) = watch::channel(false);
    let router = router(site, Hosts::new(listen));
    let (_never, drain) = watch::channel(false);
    let deadlines = Deadlines::default();
    Server { router, places, deadlines, drain, stop }.serve(listener).await;
    Ok(())
}
