//! Connections that another supervisor goes on with: who follows lines or changes misses none.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};

use serde::{Deserialize, Serialize};

use super::{Admin, Client, ClientId, Follows};
use crate::event::Event;
use crate::manifest::{Leaving, Left, ManifestError};
use crate::poller::Poller;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Handed {
    listener: Left,
    clients: Vec<HandedClient>,
    next: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct HandedClient {
    id: ClientId,
    stream: Left,
    input: Vec<u8>,
    output: Vec<u8>,
    follows: Option<Follows>,
}

impl Admin {
    pub(crate) fn hand_on<'a>(&'a self, leaving: &mut Leaving<'a>) -> Handed {
        let clients = self.clients.iter().filter(|(_, client)| !client.ended);
        let clients = clients.map(|(id, client)| HandedClient {
            id: *id,
            stream: leaving.leave(&client.stream),
            input: client.input.clone(),
            output: client.output.clone(),
            follows: client.follows.clone(),
        });
        let clients = clients.collect();
        Handed { listener: leaving.leave(&self.listener), clients, next: self.next }
    }

    pub(crate) fn handed_on(
        handed: Handed,
        poller: &mut Poller<Event>,
    ) -> Result<Self, ManifestError> {
        let failed =
            |source: io::Error| ManifestError::Io { step: "watch the control socket", source };
        let listener = UnixListener::from(handed.listener.take()?);
        let listening = Some(poller.watch(&listener, Event::AdminConnection).map_err(failed)?);
        let mut clients = BTreeMap::new();
        for client in handed.clients {
            let HandedClient { id, stream, input, output, follows } = client;
            let stream = UnixStream::from(stream.take()?);
            let token = poller.watch(&stream, Event::Client(id)).map_err(failed)?;
            let client =
                Client { stream, token, input, output, follows, silent_since: None, ended: false };
            // What waits is sent as soon as there is room; one that has gone shows as such.
            let _ = poller.want_write(&client.stream, client.token, !client.output.is_empty());
            clients.insert(id, client);
        }
        Ok(Self { listener, listening, clients, next: handed.next, looks: 0, told: false })
    }
}
