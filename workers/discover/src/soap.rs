//! What devices are asked: SOAP 1.2 envelopes, with WS-UsernameToken where there is a password. Pure.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::escape::escape;
use sha1::{Digest, Sha1};

const SECURITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const UTILITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const DIGEST: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest";
const BASE64: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary";

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Proves that who asks knows the password, once: `nonce` differs from request to request, and `created` is
/// the device's time, which it compares with its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) login: &'a Login,
    pub(crate) nonce: [u8; 16],
    pub(crate) created: SystemTime,
}

/// The envelope of a request.
pub(crate) fn envelope(body: &str, token: Option<Token<'_>>) -> String {
    let header = token.map(|token| format!("<s:Header>{}</s:Header>", security(&token)));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\">{}\
         <s:Body>{body}</s:Body></s:Envelope>",
        header.unwrap_or_default()
    )
}

fn security(token: &Token<'_>) -> String {
    let created = humantime::format_rfc3339_seconds(token.created).to_string();
    let digest = digest(&token.nonce, &created, &token.login.password);
    let (user, nonce) = (escape(token.login.user.as_str()), STANDARD.encode(token.nonce));
    format!(
        "<Security s:mustUnderstand=\"1\" xmlns=\"{SECURITY}\"><UsernameToken><Username>{user}</Username>\
         <Password Type=\"{DIGEST}\">{digest}</Password><Nonce EncodingType=\"{BASE64}\">{nonce}</Nonce>\
         <Created xmlns=\"{UTILITY}\">{created}</Created></UsernameToken></Security>"
    )
}

fn digest(nonce: &[u8], created: &str, password: &str) -> String {
    let mut sha = Sha1::new();
    sha.update(nonce);
    sha.update(created.as_bytes());
    sha.update(password.as_bytes());
    STANDARD.encode(sha.finalize())
}

/// WS-Discovery (2005/04): who is a video transmitter, that is a camera, an encoder or a recorder?
pub(crate) fn probe(message: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:w=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" \
         xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\"><e:Header><w:MessageID>urn:uuid:{message}</w:MessageID>\
         <w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>\
         <w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>\
         <e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"
    )
}

/// Of 16 random bytes: a UUID of version 4.
pub(crate) fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

pub(crate) const TIME: &str =
    "<GetSystemDateAndTime xmlns=\"http://www.onvif.org/ver10/device/wsdl\"/>";
pub(crate) const MEDIA: &str = "<GetCapabilities xmlns=\"http://www.onvif.org/ver10/device/wsdl\">\
                                <Category>Media</Category></GetCapabilities>";
pub(crate) const PROFILES: &str = "<GetProfiles xmlns=\"http://www.onvif.org/ver10/media/wsdl\"/>";

pub(crate) fn stream_uri(profile: &str) -> String {
    format!(
        "<GetStreamUri xmlns=\"http://www.onvif.org/ver10/media/wsdl\"><StreamSetup>\
         <Stream xmlns=\"http://www.onvif.org/ver10/schema\">RTP-Unicast</Stream>\
         <Transport xmlns=\"http://www.onvif.org/ver10/schema\"><Protocol>RTSP</Protocol></Transport></StreamSetup>\
         <ProfileToken>{}</ProfileToken></GetStreamUri>",
        escape(profile)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_that_of_the_specifications_example() {
        let nonce = STANDARD.decode("LKqI6G/AikKCQrN0zqZFlg==").unwrap();
        let digest = digest(&nonce, "2010-09-16T07:50:45Z", "userpassword");
        assert_eq!(digest, "tuOSpGlFlIXsozq4HFNeeGeFLEI=");
    }

    #[test]
    fn what_is_asked_is_xml_whatever_names_are_in_it() {
        let login = Login { user: "a<b>&\"".to_owned(), password: "s3cret".to_owned() };
        let token = Token { login: &login, nonce: [7; 16], created: SystemTime::UNIX_EPOCH };
        let text = envelope(&stream_uri("<p&1>"), Some(token));
        let asked = xml::read(text.as_bytes()).unwrap();
        assert_eq!(asked.text_of("Username"), Some("a<b>&\""));
        assert_eq!(asked.text_of("Created"), Some("1970-01-01T00:00:00Z"));
        assert_eq!(asked.text_of("ProfileToken"), Some("<p&1>"));
        assert!(!text.contains("s3cret") && !format!("{login:?}").contains("s3cret"));
        for other in
            [envelope(TIME, None), envelope(MEDIA, None), envelope(PROFILES, None), probe("x")]
        {
            assert!(xml::read(other.as_bytes()).is_ok(), "{other}");
        }
    }

    #[test]
    fn a_message_has_a_uuid_of_its_own() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
