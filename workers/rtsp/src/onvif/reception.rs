//! The device as a whole: what the server opens it with, and how long it is there.

use std::net::TcpListener;
use std::sync::Arc;

use protocol::config::{Basic, Users};
use tokio::sync::watch;

use super::discovery;
use super::http::{self, Office, Sign};
use crate::house::House;

/// What it is opened with.
#[derive(Debug)]
pub struct Device {
    pub listener: TcpListener,
    pub sign: Sign,
    /// The port that probes come to, where they are answered.
    pub discovery: Option<u16>,
    pub users: Users,
    pub basic: Basic,
}

/// Those who look for cameras, and what they are told.
#[derive(Debug)]
pub struct Reception {
    listener: TcpListener,
    discovery: Option<u16>,
    office: Arc<Office>,
}

impl Reception {
    pub fn new(device: Device, house: &Arc<House>, rtsp_port: u16) -> Self {
        let Device { listener, sign, discovery, users, basic } = device;
        let office = Office::new(Arc::clone(house), sign, (&users, basic), rtsp_port);
        Self { listener, discovery, office: Arc::new(office) }
    }

    /// While the door is open.
    pub async fn keep(self, mut opened: watch::Receiver<bool>) {
        let address = self.listener.local_addr();
        let listener = tokio::net::TcpListener::from_std(self.listener);
        let (listener, address) = match listener.and_then(|it| Ok((it, address?))) {
            Ok(listens) => listens,
            Err(error) => return tracing::error!(%error, "cannot wait for ONVIF clients"),
        };
        let sign = self.office.sign.clone();
        let found = async {
            match self.discovery {
                Some(port) => discovery::answer(port, address, sign).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = http::serve(listener, self.office) => {}
            // Without probes the device is asked all the same.
            () = async { found.await; std::future::pending().await } => {}
            _ = opened.wait_for(|open| !*open) => {}
        }
    }
}
