//! The `Transport` header of SETUP (RFC 2326 section 12.39).
//!
//! Read here and not by rtsp-types: its 0.1.3 panics on `dest_addr="/"`, and a client may send that.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::rtp::sender::Channels;

/// How the packets of a session travel. All its streams travel alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Interleaved,
    Multicast,
    Unicast,
}

impl Mode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interleaved => "tcp",
            Self::Multicast => "multicast",
            Self::Unicast => "udp",
        }
    }
}

/// The UDP ports of one stream's two kinds of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    pub rtp: u16,
    pub rtcp: u16,
}

impl Ports {
    pub fn overlap(self, other: Self) -> bool {
        [other.rtp, other.rtcp].iter().any(|port| [self.rtp, self.rtcp].contains(port))
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.rtp, self.rtcp)
    }
}

/// A multicast group: what its viewers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub address: Ipv4Addr,
    pub ports: Ports,
    pub ttl: u32,
    pub ssrc: u32,
}

/// One way that a client offers, of those that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// The channels the client asks for; `None` leaves the choice to us.
    Interleaved {
        wanted: Option<Channels>,
    },
    Multicast,
    /// To these ports of the client.
    Unicast {
        client: Ports,
    },
}

/// What can be served to a client.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// The client's address. Packets go to no other one: a request must not aim a stream at somebody else.
    pub peer: IpAddr,
    pub interleaved: bool,
    pub multicast: bool,
    pub unicast: bool,
}

impl Reach {
    /// What is left of it for a session whose streams travel this way.
    pub fn within(self, mode: Option<Mode>) -> Self {
        let is = |wanted| mode.is_none_or(|mode| mode == wanted);
        Self {
            peer: self.peer,
            interleaved: self.interleaved && is(Mode::Interleaved),
            multicast: self.multicast && is(Mode::Multicast),
            unicast: self.unicast && is(Mode::Unicast),
        }
    }
}

/// Where one stream was set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Interleaved(Channels),
    Multicast(Group),
    Unicast { client: Ports, server: Ports },
}

impl Place {
    pub fn mode(&self) -> Mode {
        match self {
            Self::Interleaved(_) => Mode::Interleaved,
            Self::Multicast(_) => Mode::Multicast,
            Self::Unicast { .. } => Mode::Unicast,
        }
    }
}

/// Picks among a client's offers, in its order. `None`: 461.
pub fn accept(header: &str, reach: &Reach) -> Option<Offer> {
    header.split(',').find_map(|text| offer(text, reach))
}

/// The answer to an accepted offer.
pub fn answer(place: &Place, ssrc: u32) -> String {
    let way = match place {
        Place::Interleaved(Channels { rtp, rtcp }) => {
            format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};ssrc={ssrc:08X}")
        }
        Place::Multicast(Group { address, ports, ttl, ssrc }) => {
            format!(
                "RTP/AVP;multicast;destination={address};ttl={ttl};port={ports};ssrc={ssrc:08X}"
            )
        }
        Place::Unicast { client, server } => {
            format!("RTP/AVP;unicast;client_port={client};server_port={server};ssrc={ssrc:08X}")
        }
    };
    way + ";mode=\"PLAY\""
}

/// What the parameters of one offer say.
#[derive(Debug, Default)]
struct Parameters {
    multicast: bool,
    channels: Option<Channels>,
    client: Option<Ports>,
    destination: Option<IpAddr>,
}

fn offer(text: &str, reach: &Reach) -> Option<Offer> {
    let mut parts = text.split(';').map(str::trim);
    let over_tcp = match parts.next()?.to_ascii_uppercase().as_str() {
        "RTP/AVP/TCP" => true,
        "RTP/AVP" | "RTP/AVP/UDP" => false,
        _ => return None,
    };
    let said = parameters(parts)?;
    let offer = match (over_tcp, said.multicast) {
        (true, true) => return None,
        (true, false) => Offer::Interleaved { wanted: said.channels },
        // Which group it is, is ours to say.
        (false, true) => Offer::Multicast,
        // Without a word multicast would be meant (section 12.39); who names its ports means unicast.
        (false, false) => Offer::Unicast { client: said.client? },
    };
    let served = match offer {
        Offer::Interleaved { .. } => reach.interleaved,
        Offer::Multicast => reach.multicast,
        Offer::Unicast { .. } => {
            let own = said.destination.is_none_or(|to| to.to_canonical() == reach.peer);
            reach.unicast && own
        }
    };
    served.then_some(offer)
}

fn parameters<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Parameters> {
    let mut said = Parameters::default();
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "interleaved" => said.channels = Some(channels(value)?),
            "client_port" => said.client = Some(ports(value)?),
            "destination" if !value.is_empty() => said.destination = Some(value.parse().ok()?),
            // Seen in the wild: play, PLAY, "PLAY".
            "mode" if !value.trim_matches('"').eq_ignore_ascii_case("play") => return None,
            "multicast" => said.multicast = true,
            _ => {}
        }
    }
    Some(said)
}

/// `a-b`, or `a` for a and the channel after it.
fn channels(text: &str) -> Option<Channels> {
    let (rtp, rtcp) = match text.split_once('-') {
        Some((rtp, rtcp)) => (rtp.trim().parse().ok()?, rtcp.trim().parse().ok()?),
        None => {
            let rtp: u8 = text.trim().parse().ok()?;
            (rtp, rtp.checked_add(1)?)
        }
    };
    (rtp != rtcp).then_some(Channels { rtp, rtcp })
}

/// `a-b`, or `a` for a and the port after it.
fn ports(text: &str) -> Option<Ports> {
    let (rtp, rtcp) = match text.split_once('-') {
        Some((rtp, rtcp)) => (rtp.trim().parse().ok()?, rtcp.trim().parse().ok()?),
        None => {
            let rtp: u16 = text.trim().parse().ok()?;
            (rtp, rtp.checked_add(1)?)
        }
    };
    (rtp != rtcp && rtp != 0 && rtcp != 0).then_some(Ports { rtp, rtcp })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Reach = Reach {
        peer: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)),
        interleaved: true,
        multicast: true,
        unicast: true,
    };
    const TCP_ALONE: Reach = Reach { multicast: false, unicast: false, ..ALL };

    fn wanted(header: &str) -> Option<(u8, u8)> {
        match accept(header, &TCP_ALONE).unwrap() {
            Offer::Interleaved { wanted } => wanted.map(|channels| (channels.rtp, channels.rtcp)),
            other => panic!("{other:?}"),
        }
    }

    fn unicast(rtp: u16, rtcp: u16) -> Option<Offer> {
        Some(Offer::Unicast { client: Ports { rtp, rtcp } })
    }

    #[test]
    fn what_players_send_is_taken() {
        assert_eq!(wanted("RTP/AVP/TCP;unicast;interleaved=0-1"), Some((0, 1)));
        assert_eq!(wanted("RTP/AVP/TCP;unicast;interleaved=4-5;mode=\"PLAY\""), Some((4, 5)));
        assert_eq!(wanted("rtp/avp/tcp; unicast ; interleaved = 4 - 5 ;mode=play"), Some((4, 5)));
        assert_eq!(wanted("RTP/AVP/TCP;unicast;interleaved=6"), Some((6, 7)));
        assert_eq!(wanted("RTP/AVP/TCP;unicast"), None);
        assert_eq!(wanted("RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast"), None);
    }

    #[test]
    fn what_players_send_for_datagrams_is_taken() {
        for header in [
            "RTP/AVP;unicast;client_port=5000-5001",
            "RTP/AVP/UDP;unicast;client_port=5000-5001",
            "rtp/avp; unicast ; client_port = 5000 - 5001 ; mode=PLAY",
            "RTP/AVP;client_port=5000-5001",
            "RTP/AVP;unicast;client_port=5000",
            "RTP/AVP;unicast;destination=10.0.0.7;client_port=5000-5001",
            "RTP/AVP;unicast;destination;client_port=5000-5001",
            "RTP/SAVP;unicast;client_port=6000-6001,RTP/AVP;unicast;client_port=5000-5001",
        ] {
            assert_eq!(accept(header, &ALL), unicast(5000, 5001), "{header}");
        }
        for header in ["RTP/AVP;multicast", "RTP/AVP/UDP;multicast;client_port=5000-5001;ttl=5"] {
            assert_eq!(accept(header, &ALL), Some(Offer::Multicast), "{header}");
        }
    }

    #[test]
    fn the_first_offer_that_can_be_served_is_taken() {
        let header = "RTP/AVP;multicast,RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast";
        assert_eq!(accept(header, &ALL), Some(Offer::Multicast));
        let without = Reach { multicast: false, ..ALL };
        assert_eq!(accept(header, &without), unicast(5000, 5001));
        let interleaved = Some(Offer::Interleaved { wanted: None });
        assert_eq!(accept(header, &TCP_ALONE), interleaved);
        assert_eq!(accept(header, &ALL.within(Some(Mode::Interleaved))), interleaved);
        assert_eq!(accept(header, &without.within(Some(Mode::Multicast))), None);
    }

    #[test]
    fn what_cannot_be_served_is_passed_over() {
        for header in [
            "RTP/AVP;unicast;client_port=5000-5001",
            "RTP/AVP/UDP;unicast;client_port=5000-5001",
            "RTP/AVP;multicast",
            "RTP/SAVP/TCP;unicast;interleaved=0-1",
            "RTP/AVP/TCP;unicast;interleaved=0-1;mode=RECORD",
            "RTP/AVP/TCP;unicast;interleaved=255",
            "RTP/AVP/TCP;unicast;interleaved=256-257",
            "RTP/AVP/TCP;unicast;interleaved=3-3",
            "RTP/AVP/TCP;unicast;interleaved=",
            "RTP/AVP/TCP;multicast",
            "",
            ";;,,",
        ] {
            assert_eq!(accept(header, &TCP_ALONE), None, "{header}");
        }
        for header in [
            "RTP/AVP",
            "RTP/AVP;unicast",
            "RTP/AVP;unicast;client_port=0-1",
            "RTP/AVP;unicast;client_port=5000-5000",
            "RTP/AVP;unicast;client_port=65535",
            "RTP/AVP;unicast;client_port=65536-65537",
            "RTP/AVP;unicast;client_port=5000-5001;mode=record",
            "RTP/SAVP;unicast;client_port=5000-5001",
        ] {
            assert_eq!(accept(header, &ALL), None, "{header}");
        }
    }

    #[test]
    fn a_stream_cannot_be_aimed_at_somebody_else() {
        for to in ["10.0.0.8", "victim.example", "239.1.1.1", "::1"] {
            let header = format!("RTP/AVP;unicast;destination={to};client_port=5000-5001");
            assert_eq!(accept(&header, &ALL), None, "{to}");
        }
    }

    #[test]
    fn an_answer_names_the_way_its_ports_and_the_stream() {
        let (client, server) =
            (Ports { rtp: 5000, rtcp: 5001 }, Ports { rtp: 20_000, rtcp: 20_001 });
        assert_eq!(
            answer(&Place::Unicast { client, server }, 0xab),
            "RTP/AVP;unicast;client_port=5000-5001;server_port=20000-20001;ssrc=000000AB;mode=\"PLAY\""
        );
        let group =
            Group { address: Ipv4Addr::new(239, 255, 42, 1), ports: server, ttl: 1, ssrc: 0xcd };
        assert_eq!(
            answer(&Place::Multicast(group), 0xab),
            "RTP/AVP;multicast;destination=239.255.42.1;ttl=1;port=20000-20001;ssrc=000000CD;mode=\"PLAY\""
        );
    }

    #[test]
    fn the_header_that_panics_the_parser_of_rtsp_types_is_harmless() {
        assert_eq!(wanted("RTP/AVP/TCP;unicast;dest_addr=\"/\""), None);
    }

    proptest! {
        #[test]
        fn random_headers_never_panic(header in "[RTPAVCUclientpor_/;=,\"0-9 -]{0,80}") {
            accept(&header, &ALL);
        }
    }
}
