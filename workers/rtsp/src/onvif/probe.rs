//! WS-Discovery (April 2005), as ONVIF uses it: who asks for video transmitters is answered. Pure.

use xml::{Element, escape};

use super::device::{self, DEVICE_PATH};

const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
const DISCOVERY: &str = "http://schemas.xmlsoap.org/ws/2005/04/discovery";
const NETWORK: &str = "http://www.onvif.org/ver10/network/wsdl";
/// What is asked for by type, by its local name.
const TYPE: &str = "NetworkVideoTransmitter";
/// As long as the ids there are; an answer repeats it.
const MESSAGE_MAX_BYTES: usize = 200;

/// A device, as it is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `http://HOST:PORT`.
    pub service: String,
    pub name: String,
    pub serial: String,
}

/// What a probe asks, as far as it matters for an answer: the id of its message. `None` of what is no probe, or is one
/// for something else.
pub fn asked(bytes: &[u8], name: &str) -> Option<String> {
    let envelope = xml::read(bytes).ok().filter(|envelope| envelope.name == "Envelope")?;
    let probe = envelope.find("Probe")?;
    let types = probe.text_of("Types").unwrap_or_default();
    let local = |kind: &str| kind.rsplit(':').next() == Some(TYPE);
    let is_meant = types.is_empty() || types.split_whitespace().any(local);
    let message = envelope.text_of("MessageID").filter(|id| id.len() <= MESSAGE_MAX_BYTES)?;
    (is_meant && has_scopes(probe, name)).then(|| message.to_owned())
}

/// Each scope that is asked for has to be one of ours, or the beginning of one up to a slash (RFC 3986 matching, the
/// default).
fn has_scopes(probe: &Element, name: &str) -> bool {
    let own = device::scopes(name);
    let fits = |wanted: &str, own: &String| {
        let wanted = wanted.trim_end_matches('/').to_lowercase();
        let own = own.to_lowercase();
        own.strip_prefix(&wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let wanted = probe.text_of("Scopes").unwrap_or_default();
    wanted.split_whitespace().all(|wanted| own.iter().any(|own| fits(wanted, own)))
}

/// The answer to the probe whose message is `relates_to`; `id` is this one's own.
pub fn answer(found: &Found, relates_to: &str, id: &str) -> String {
    let scopes = device::scopes(&found.name).join(" ");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:w=\"{ADDRESSING}\" xmlns:d=\"{DISCOVERY}\" xmlns:dn=\"{NETWORK}\"><e:Header><w:MessageID>urn:uuid:{id}\
         </w:MessageID><w:RelatesTo>{}</w:RelatesTo><w:To>{ADDRESSING}/role/anonymous</w:To>\
         <w:Action>{DISCOVERY}/ProbeMatches</w:Action></e:Header><e:Body><d:ProbeMatches><d:ProbeMatch>\
         <w:EndpointReference><w:Address>{}</w:Address></w:EndpointReference><d:Types>dn:{TYPE}</d:Types>\
         <d:Scopes>{}</d:Scopes><d:XAddrs>{}{DEVICE_PATH}</d:XAddrs>\
         <d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch></d:ProbeMatches></e:Body></e:Envelope>",
        escape(relates_to),
        device::endpoint(&found.serial),
        escape(scopes.as_str()),
        escape(found.service.as_str())
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn probe(types: &str, scopes: &str) -> String {
        format!(
            "<e:Envelope xmlns:e=\"x\"><e:Header><w:MessageID xmlns:w=\"y\">urn:uuid:7</w:MessageID></e:Header>\
             <e:Body><d:Probe xmlns:d=\"z\"><d:Types>{types}</d:Types><d:Scopes>{scopes}</d:Scopes></d:Probe></e:Body>\
             </e:Envelope>"
        )
    }

    #[test]
    fn who_looks_for_video_transmitters_is_answered_and_others_are_not() {
        let is_asked = |types: &str, scopes: &str| {
            asked(probe(types, scopes).as_bytes(), "hall").is_some_and(|id| id == "urn:uuid:7")
        };
        assert!(is_asked("dn:NetworkVideoTransmitter", ""));
        assert!(is_asked("", ""));
        assert!(is_asked("a:Printer b:NetworkVideoTransmitter", "onvif://www.onvif.org/name/HALL"));
        assert!(is_asked("", "onvif://www.onvif.org/type/"));
        assert!(!is_asked("a:Printer", ""));
        assert!(!is_asked("", "onvif://www.onvif.org/name/yard"));
        assert!(!is_asked("", "onvif://www.onvif.org/na"));
        assert_eq!(asked(b"<Envelope/>", "hall"), None);
        assert_eq!(asked(b"\xff", "hall"), None);
    }

    #[test]
    fn an_answer_says_where_the_device_is_and_whom_it_answers() {
        let found = Found {
            service: "http://10.0.0.9:8899".to_owned(),
            name: "hall".to_owned(),
            serial: "0123456789abcdef0123456789abcdef".to_owned(),
        };
        let answer = xml::read(answer(&found, "urn:uuid:<7>", "8").as_bytes()).unwrap();
        assert_eq!(answer.text_of("RelatesTo"), Some("urn:uuid:<7>"));
        let matched = answer.find("ProbeMatch").unwrap();
        assert_eq!(matched.text_of("XAddrs"), Some("http://10.0.0.9:8899/onvif/device_service"));
        assert!(matched.text_of("Scopes").unwrap().contains("onvif://www.onvif.org/name/hall"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_probe_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = asked(&bytes, "hall");
        }
    }
}
