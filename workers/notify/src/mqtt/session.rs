//! One conversation with a broker: what is said when, what must be confirmed, and when it is over. Pure; packets,
//! messages and time go in. MQTT 3.1.1 (OASIS).
//!
//! ```text
//! CONNECT ──> CONNACK ──> open:  SUBSCRIBE ──> SUBACK
//!                                PUBLISH   ──> PUBACK   (at least once, 3.3 and 4.3.2)
//!                                PINGREQ   ──> PINGRESP (3.1.2.10)
//! ```

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::config::notify::Broker;
use protocol::time::MonoNs;
use rumqttc::{
    Connect, ConnectReturnCode, LastWill, Packet, Publish, QoS, Subscribe, SubscribeFilter,
};

use super::panel::OFFLINE;

/// The broker tells of our end when it has heard nothing for one and a half of it.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Twice in that time, so that one that is late costs nothing.
const PING_AFTER: Duration = Duration::from_secs(15);
/// Retained messages under way at a time: a round trip for each would take a site of hundreds of cameras a minute.
const UNDER_WAY_MAX: usize = 20;

/// Why a conversation is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Over {
    #[error("it refuses: {0}")]
    Refused(&'static str),
    #[error("it does not confirm {what} within {} s", patience.as_secs_f32())]
    Late { what: &'static str, patience: Duration },
    #[error("it said {0} where MQTT has nothing to say")]
    OutOfOrder(&'static str),
    #[error("it lets nobody read {0}")]
    Unread(&'static str),
}

/// What waits for a word of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The event with this id.
    Event(String),
    /// What is retained in a topic; an empty text has taken it away.
    Retained {
        topic: String,
        is_gone: bool,
    },
    Subscription,
}

impl Sent {
    fn what(&self) -> &'static str {
        match self {
            Self::Event(_) => "an event",
            Self::Retained { .. } => "a state",
            Self::Subscription => "a subscription",
        }
    }
}

/// What the broker's packet means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Nothing,
    Open,
    /// It has it.
    Confirmed(Sent),
    Message {
        topic: String,
        payload: Vec<u8>,
    },
}

#[derive(Debug)]
pub(crate) struct Session {
    is_open: bool,
    began: MonoNs,
    /// By packet id.
    sent: BTreeMap<u16, (Sent, MonoNs)>,
    last_id: u16,
    /// When we said something last.
    spoke: MonoNs,
    /// A ping that is not answered.
    pinged: Option<MonoNs>,
    /// How long the broker may take.
    patience: Duration,
}

impl Session {
    /// With the packet that begins it. Should it end without a goodbye, `status` says so.
    pub(crate) fn begin(
        now: MonoNs,
        broker: &Broker,
        client: &str,
        status: &str,
        patience: Duration,
    ) -> (Self, Packet) {
        let mut connect = Connect::new(client);
        connect.keep_alive = u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or(u16::MAX);
        connect.last_will = Some(LastWill::new(status, OFFLINE, QoS::AtLeastOnce, true));
        if let Some(user) = &broker.user {
            let password = broker.password.as_ref().map_or("", |password| password.reveal());
            connect.set_login(user, password);
        }
        let (sent, last_id, pinged) = (BTreeMap::new(), 0, None);
        let session =
            Self { is_open: false, began: now, sent, last_id, spoke: now, pinged, patience };
        (session, Packet::Connect(connect))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether the broker has confirmed everything.
    pub(crate) fn is_settled(&self) -> bool {
        self.sent.is_empty()
    }

    /// So many retained messages more may be said.
    pub(crate) fn room(&self) -> usize {
        UNDER_WAY_MAX.saturating_sub(self.sent.len())
    }

    /// Events go one after the other: a broker keeps their order only then.
    pub(crate) fn has_event_under_way(&self) -> bool {
        self.sent.values().any(|(sent, _)| matches!(sent, Sent::Event(_)))
    }

    /// What is retained in `topic` from now on; nothing when `payload` is empty.
    pub(crate) fn retain(&mut self, now: MonoNs, topic: &str, payload: &str) -> Packet {
        let sent = Sent::Retained { topic: topic.to_owned(), is_gone: payload.is_empty() };
        self.publish(now, topic, payload, true, sent)
    }

    /// An event, for who listens now.
    pub(crate) fn event(&mut self, now: MonoNs, topic: &str, payload: &str, id: &str) -> Packet {
        self.publish(now, topic, payload, false, Sent::Event(id.to_owned()))
    }

    fn publish(
        &mut self,
        now: MonoNs,
        topic: &str,
        payload: &str,
        retain: bool,
        sent: Sent,
    ) -> Packet {
        let pkid = self.number(now, sent);
        let publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        Packet::Publish(Publish { pkid, retain, ..publish })
    }

    pub(crate) fn subscribe(&mut self, now: MonoNs, topics: &[String]) -> Packet {
        let pkid = self.number(now, Sent::Subscription);
        let filter = |topic: &String| SubscribeFilter::new(topic.clone(), QoS::AtLeastOnce);
        let subscribe = Subscribe::new_many(topics.iter().map(filter));
        Packet::Subscribe(Subscribe { pkid, ..subscribe })
    }

    /// The next packet id that nothing under way has; 0 is none.
    fn number(&mut self, now: MonoNs, sent: Sent) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.sent.contains_key(&self.last_id) {
                break;
            }
        }
        self.sent.insert(self.last_id, (sent, now));
        self.spoke = now;
        self.last_id
    }

    /// What the broker says. The packet is our answer, to be sent.
    ///
    /// # Errors
    ///
    /// All of [`Over`] but [`Over::Late`].
    pub(crate) fn hear(&mut self, packet: Packet) -> Result<(Heard, Option<Packet>), Over> {
        let heard = match packet {
            Packet::ConnAck(ack) if !self.is_open => {
                refusal(ack.code).map_or(Ok(()), |why| Err(Over::Refused(why)))?;
                self.is_open = true;
                Heard::Open
            }
            Packet::PubAck(ack) if self.is_open => self.confirmed(ack.pkid),
            Packet::SubAck(ack) if self.is_open => {
                let failed = rumqttc::SubscribeReasonCode::Failure;
                if ack.return_codes.contains(&failed) {
                    return Err(Over::Unread("the topics that tell of a restart"));
                }
                self.confirmed(ack.pkid)
            }
            Packet::Publish(publish) if self.is_open => {
                let answer = (publish.qos == QoS::AtLeastOnce)
                    .then(|| Packet::PubAck(rumqttc::PubAck::new(publish.pkid)));
                let (topic, payload) = (publish.topic, publish.payload.to_vec());
                return Ok((Heard::Message { topic, payload }, answer));
            }
            Packet::PingResp if self.is_open => {
                self.pinged = None;
                Heard::Nothing
            }
            other => return Err(Over::OutOfOrder(name(&other))),
        };
        Ok((heard, None))
    }

    /// What was confirmed before is told nobody twice.
    fn confirmed(&mut self, id: u16) -> Heard {
        self.sent.remove(&id).map_or(Heard::Nothing, |(sent, _)| Heard::Confirmed(sent))
    }

    /// What is due by time alone.
    ///
    /// # Errors
    ///
    /// [`Over::Late`].
    pub(crate) fn tend(&mut self, now: MonoNs) -> Result<Option<Packet>, Over> {
        let late = |what| Err(Over::Late { what, patience: self.patience });
        let is_over = |since: MonoNs| now.saturating_since(since) >= self.patience;
        if !self.is_open {
            return if is_over(self.began) { late("the connection") } else { Ok(None) };
        }
        if let Some((sent, _)) = self.sent.values().find(|(_, since)| is_over(*since)) {
            return late(sent.what());
        }
        if let Some(since) = self.pinged {
            return if is_over(since) { late("that it is there") } else { Ok(None) };
        }
        if now.saturating_since(self.spoke) < PING_AFTER {
            return Ok(None);
        }
        (self.spoke, self.pinged) = (now, Some(now));
        Ok(Some(Packet::PingReq))
    }
}

/// In words; `None` for a welcome.
fn refusal(code: ConnectReturnCode) -> Option<&'static str> {
    match code {
        ConnectReturnCode::Success => None,
        ConnectReturnCode::RefusedProtocolVersion => Some("it does not speak MQTT 3.1.1"),
        ConnectReturnCode::BadClientId => Some("it does not take this client's id"),
        ConnectReturnCode::ServiceUnavailable => Some("it serves nobody now"),
        ConnectReturnCode::BadUserNamePassword => Some("wrong user or password"),
        ConnectReturnCode::NotAuthorized => {
            Some("not authorized; mqtt://USER:PASSWORD@HOST logs in")
        }
    }
}

fn name(packet: &Packet) -> &'static str {
    match packet {
        Packet::Connect(_) => "CONNECT",
        Packet::ConnAck(_) => "CONNACK",
        Packet::Publish(_) => "PUBLISH",
        Packet::PubAck(_) => "PUBACK",
        Packet::PubRec(_) => "PUBREC",
        Packet::PubRel(_) => "PUBREL",
        Packet::PubComp(_) => "PUBCOMP",
        Packet::Subscribe(_) => "SUBSCRIBE",
        Packet::SubAck(_) => "SUBACK",
        Packet::Unsubscribe(_) => "UNSUBSCRIBE",
        Packet::UnsubAck(_) => "UNSUBACK",
        Packet::PingReq => "PINGREQ",
        Packet::PingResp => "PINGRESP",
        Packet::Disconnect => "DISCONNECT",
    }
}
