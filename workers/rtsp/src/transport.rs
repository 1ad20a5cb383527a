//! The `Transport` header of SETUP (RFC 2326 section 12.39).
//!
//! Read here and not by rtsp-types: its 0.1.3 panics on `dest_addr="/"`, and a client may send that.

use crate::rtp::sender::Channels;

/// The first offer that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interleaved {
    /// The channels the client asks for; `None` leaves the choice to us.
    pub wanted: Option<Channels>,
}

/// Picks among a client's offers, in its order. `None`: 461.
pub fn accept(header: &str) -> Option<Interleaved> {
    header.split(',').find_map(offer)
}

/// The answer to an accepted offer.
pub fn answer(channels: Channels, ssrc: u32) -> String {
    let Channels { rtp, rtcp } = channels;
    format!("RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};ssrc={ssrc:08X};mode=\"PLAY\"")
}

fn offer(text: &str) -> Option<Interleaved> {
    let mut parts = text.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("RTP/AVP/TCP") {
        return None;
    }
    let mut wanted = None;
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "interleaved" => wanted = Some(channels(value)?),
            // Seen in the wild: play, PLAY, "PLAY".
            "mode" if !value.trim().trim_matches('"').eq_ignore_ascii_case("play") => return None,
            "multicast" => return None,
            _ => {}
        }
    }
    Some(Interleaved { wanted })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wanted(header: &str) -> Option<(u8, u8)> {
        accept(header).unwrap().wanted.map(|channels| (channels.rtp, channels.rtcp))
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
            "",
            ";;,,",
        ] {
            assert_eq!(accept(header), None, "{header}");
        }
    }

    #[test]
    fn the_header_that_panics_the_parser_of_rtsp_types_is_harmless() {
        assert_eq!(wanted("RTP/AVP/TCP;unicast;dest_addr=\"/\""), None);
    }

    proptest! {
        #[test]
        fn random_headers_never_panic(header in "[RTPAVCU/;=,\"0-9 -]{0,80}") {
            accept(&header);
        }
    }
}
