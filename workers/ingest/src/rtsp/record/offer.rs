//! The `Transport` of a publisher's SETUP (RFC 2326 section 12.39). Pure.

/// How a track's packets are to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// On the connection, on these channels where it names some.
    Interleaved(Option<(u8, u8)>),
    /// From these ports of the publisher's; reports go to the second one.
    Udp { ports: (u16, u16) },
}

/// The first of a publisher's offers that can be taken. `None`: 461.
pub(crate) fn accept(header: &str) -> Option<Offer> {
    header.split(',').find_map(offer)
}

/// What an offer is answered with.
pub(crate) fn interleaved((rtp, rtcp): (u8, u8)) -> String {
    format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};mode=record")
}

/// The same for packets by UDP; `server`: the ports that they are sent to.
pub(crate) fn udp(client: (u16, u16), server: (u16, u16)) -> String {
    format!(
        "RTP/AVP;unicast;client_port={}-{};server_port={}-{};mode=record",
        client.0, client.1, server.0, server.1
    )
}

fn offer(text: &str) -> Option<Offer> {
    let mut parts = text.split(';').map(str::trim);
    let profile = parts.next()?.to_ascii_uppercase();
    let is_tcp = match profile.as_str() {
        "RTP/AVP/TCP" => true,
        "RTP/AVP" | "RTP/AVP/UDP" => false,
        _ => return None,
    };
    let (mut channels, mut ports) = (None, None);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "interleaved" => channels = Some(pair::<u8>(value)?),
            "client_port" => ports = Some(pair::<u16>(value)?).filter(|ports| ports.0 > 0),
            "multicast" => return None,
            // Seen in the wild: record, RECORD, "RECORD"; the draft behind the RFC has "receive".
            "mode" if !is_recording(value) => return None,
            _ => {}
        }
    }
    if is_tcp {
        return Some(Offer::Interleaved(channels));
    }
    ports.map(|ports| Offer::Udp { ports })
}

fn is_recording(mode: &str) -> bool {
    mode.eq_ignore_ascii_case("record") || mode.eq_ignore_ascii_case("receive")
}

/// `4-5`, or `4` for 4 and the one after it.
fn pair<T: std::str::FromStr + Copy + PartialEq + TryFrom<u32> + Into<u32>>(
    text: &str,
) -> Option<(T, T)> {
    let (one, other) = match text.split_once('-') {
        Some((one, other)) => (one.trim().parse().ok()?, other.trim().parse().ok()?),
        None => {
            let one: T = text.trim().parse().ok()?;
            (one, T::try_from(one.into() + 1).ok()?)
        }
    };
    (one != other).then_some((one, other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_publishers_send_is_taken() {
        let interleaved = |pair| Some(Offer::Interleaved(pair));
        let udp = |ports| Some(Offer::Udp { ports });
        for (header, offer) in [
            ("RTP/AVP/TCP;unicast;interleaved=0-1;mode=record", interleaved(Some((0, 1)))),
            ("RTP/AVP/TCP;unicast;mode=RECORD;interleaved=4-5", interleaved(Some((4, 5)))),
            ("RTP/AVP/TCP;unicast;mode=\"RECORD\"", interleaved(None)),
            ("RTP/AVP/UDP;unicast;client_port=5000-5001;mode=record", udp((5000, 5001))),
            ("RTP/AVP;unicast;client_port=5000;mode=receive", udp((5000, 5001))),
            ("RTP/AVP;unicast;client_port=5000-5001", udp((5000, 5001))),
            ("RTP/AVP;multicast;mode=record,RTP/AVP/TCP;interleaved=2", interleaved(Some((2, 3)))),
        ] {
            assert_eq!(accept(header), offer, "{header}");
        }
    }

    #[test]
    fn what_cannot_be_taken_is_passed_over() {
        for header in [
            "RTP/AVP/TCP;unicast;interleaved=0-1;mode=play",
            "RTP/AVP/TCP;unicast;interleaved=255",
            "RTP/AVP/TCP;unicast;interleaved=3-3",
            "RTP/AVP/TCP;unicast;interleaved=",
            "RTP/AVP;unicast;mode=record",
            "RTP/AVP;unicast;client_port=0-1",
            "RTP/AVP;unicast;client_port=65535",
            "RTP/AVP;multicast;client_port=5000-5001",
            "RTP/SAVP/TCP;unicast;interleaved=0-1",
            "",
            ";;,,",
        ] {
            assert_eq!(accept(header), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn any_header_is_read(header in "[RTPAVCUD/;=,\"0-9 a-z_-]{0,80}") {
            accept(&header);
        }
    }
}
