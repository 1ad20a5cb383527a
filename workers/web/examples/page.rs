//! The page with made-up cameras, to look at while working on it:
//! `cargo run -p web --example page -- 16 8080`.

#[path = "../tests/fake/mod.rs"]
mod fake;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use fake::Fake;
use tokio::net::TcpListener;
use tokio::sync::watch;
use web::guard::Hosts;
use web::route::router;
use web::server::{Deadlines, Server};
use web::site::Site;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let cameras = arguments.next().map_or(Ok(16), |count| count.parse())?;
    let port = arguments.next().map_or(Ok(8080), |port| port.parse())?;
    let mut fake = Fake::of(cameras);
    fake.live = true;
    let made = Arc::new(fake);
    let site = made.site();
    for (number, kind) in ["begin", "update", "end"].into_iter().enumerate() {
        site.events.push(&"motion.events".parse()?, fake::record(number as u64, kind));
    }
    site.events.push(&"motion.events".parse()?, fake::record(9, "begin"));
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(listen).await?;
    let crowd = site.crowd.clone();
    let (_stop, stop) = watch::channel(false);
    tokio::spawn(go_on(made, Arc::clone(&site)));
    let router = router(site, Hosts::new(listen));
    let (_never, drain) = watch::channel(false);
    let deadlines = Deadlines::default();
    Server { router, crowd, deadlines, drain, stop }.serve(listener).await;
    Ok(())
}

/// Records come, with a box around what moves, and the rings' last minutes grow.
async fn go_on(made: Arc<Fake>, site: Arc<Site>) {
    let Ok(ring) = "motion.events".parse() else { return };
    loop {
        for _ in 0..25 {
            site.events.push(&ring, fake::seen(made.newest("cam01")));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        site.remember().await;
    }
}
