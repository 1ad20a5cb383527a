//! Packets over a connection.

use std::fmt;
use std::time::Duration;

use bytes::BytesMut;
use https::Stream;
use rumqttc::Packet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Ours are some KiB, and a broker says little to us.
const PACKET_MAX_BYTES: usize = 1 << 18;

pub(super) struct Link {
    stream: Stream,
    /// Read, and not yet a packet.
    read: BytesMut,
    patience: Duration,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("read", &self.read.len()).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(stream: Stream, patience: Duration) -> Self {
        Self { stream, read: BytesMut::new(), patience }
    }

    pub(super) async fn send(&mut self, packet: &Packet) -> Result<(), String> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, PACKET_MAX_BYTES).map_err(|error| error.to_string())?;
        let stream = &mut self.stream;
        let written = timeout(self.patience, async {
            stream.write_all(&bytes).await?;
            stream.flush().await
        });
        match written.await {
            Ok(written) => written.map_err(|error| format!("the connection broke: {error}")),
            Err(_) => Err(format!("it reads nothing for {} s", self.patience.as_secs_f32())),
        }
    }

    /// The next packet. May be given up and begun again: what was read is kept.
    pub(super) async fn receive(&mut self) -> Result<Packet, String> {
        loop {
            match Packet::read(&mut self.read, PACKET_MAX_BYTES) {
                Ok(packet) => return Ok(packet),
                Err(rumqttc::Error::InsufficientBytes(_)) => {}
                Err(error) => return Err(format!("it does not speak MQTT: {error}")),
            }
            let read = self.stream.read_buf(&mut self.read).await;
            if read.map_err(|error| format!("the connection broke: {error}"))? == 0 {
                return Err("it ended the connection".to_owned());
            }
        }
    }

    /// The broker forgets the last will.
    pub(super) async fn goodbye(mut self) -> Result<(), String> {
        self.send(&Packet::Disconnect).await?;
        // Whoever goes before the broker has read everything may be taken for broken.
        let _ = timeout(self.patience, self.stream.shutdown()).await;
        Ok(())
    }
}
