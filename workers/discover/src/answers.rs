//! What devices answer. Pure; everything is a stranger's: texts lose what a terminal would obey, and what is no
//! address or number is left out.

use std::time::{Duration, SystemTime};

use protocol::units::{BitRate, Size};
use protocol::verb::DiscoveredProfile;

use xml::Element;

/// Characters of a name that are shown.
const TEXT_MAX: usize = 100;
/// Profiles of a device: a main and a sub stream for each of its lenses, mostly two.
pub(crate) const PROFILES_MAX: usize = 16;
/// Where scopes tell of names: `onvif://www.onvif.org/name/Front%20door`.
const SCOPES: &str = "onvif://www.onvif.org/";

/// Who answered a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Match {
    /// Its own name, which stays when its address changes.
    pub(crate) endpoint: String,
    /// Addresses of its service.
    pub(crate) services: Vec<String>,
    pub(crate) name: Option<String>,
    pub(crate) hardware: Option<String>,
    pub(crate) location: Option<String>,
}

pub(crate) fn matches(answer: &Element) -> Vec<Match> {
    let found = answer.all("ProbeMatch");
    found.into_iter().map(one_match).filter(|found| !found.services.is_empty()).collect()
}

fn one_match(element: &Element) -> Match {
    let words = |name: &str| element.text_of(name).unwrap_or_default().split_whitespace();
    let scope = |kind: &str| {
        let prefix = format!("{SCOPES}{kind}/");
        let mut values = words("Scopes").filter_map(|scope| scope.strip_prefix(&prefix));
        values.next().map(|value| plain(&decoded(value))).filter(|value| !value.is_empty())
    };
    let is_address =
        |address: &&str| address.starts_with("http://") || address.starts_with("https://");
    Match {
        endpoint: plain(element.text_of("Address").unwrap_or_default()),
        services: words("XAddrs").filter(is_address).map(str::to_owned).collect(),
        name: scope("name"),
        hardware: scope("hardware"),
        location: scope("location"),
    }
}

/// The device's clock, of `GetSystemDateAndTimeResponse`.
pub(crate) fn time(answer: &Element) -> Option<SystemTime> {
    let utc = answer.find("UTCDateTime")?;
    let part = |name: &str, most: u32| {
        utc.text_of(name)?.parse::<u32>().ok().filter(|number| *number <= most)
    };
    let text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        part("Year", 9999)?,
        part("Month", 12)?,
        part("Day", 31)?,
        part("Hour", 23)?,
        part("Minute", 59)?,
        // Leap seconds are the next minute's first to everybody else.
        part("Second", 60)?.min(59)
    );
    let time = humantime::parse_rfc3339(&text).ok()?;
    (time >= SystemTime::UNIX_EPOCH + Duration::from_secs(1)).then_some(time)
}

/// The address of the service that has the streams.
pub(crate) fn media_service(answer: &Element) -> Option<String> {
    answer.find("Media")?.text_of("XAddr").map(str::to_owned)
}

/// A profile's token, and what it is; its address is asked for by the token.
pub(crate) fn profiles(answer: &Element) -> Vec<(String, DiscoveredProfile)> {
    let of = |element: &Element| {
        let token = element.attribute("token")?.to_owned();
        let video = element.find("VideoEncoderConfiguration");
        let number = |name: &str| video?.text_of(name)?.parse::<u32>().ok();
        let size = number("Width").zip(number("Height"));
        let profile = DiscoveredProfile {
            name: plain(element.text_of("Name").unwrap_or(&token)),
            codec: video.and_then(|video| video.text_of("Encoding")).map(plain),
            size: size.map(|(width, height)| Size { width, height }),
            rate: number("FrameRateLimit"),
            bit_rate: number("BitrateLimit").map(|kbits| BitRate(u64::from(kbits) * 1_000)),
            url: None,
        };
        Some((token, profile))
    };
    let all = answer.all("Profiles");
    all.into_iter().filter_map(of).take(PROFILES_MAX).collect()
}

/// The address of a stream, of `GetStreamUriResponse`.
pub(crate) fn stream(answer: &Element) -> Option<String> {
    let uri = answer.find("MediaUri")?.text_of("Uri")?;
    let is_one_word = !uri.chars().any(|c| c.is_control() || c.is_whitespace());
    let rest = uri.strip_prefix("rtsp://").filter(|_| is_one_word)?;
    // Some have a user and a password in it, which nobody is shown.
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    Some(format!("rtsp://{host}{path}"))
}

/// Why it says no; `None` where it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It wants to know who asks, or does not believe it.
    Login,
    Other(String),
}

pub(crate) fn fault(answer: &Element) -> Option<Fault> {
    let fault = answer.find("Fault")?;
    let codes: Vec<&str> = fault.all("Value").into_iter().map(|code| code.text.trim()).collect();
    let is_login = |code: &&str| {
        let code = code.rsplit(':').next().unwrap_or_default();
        matches!(code, "NotAuthorized" | "FailedAuthentication" | "InvalidSecurity")
    };
    if codes.iter().any(is_login) {
        return Some(Fault::Login);
    }
    let why = fault.text_of("Text").or_else(|| fault.text_of("faultstring")).unwrap_or("no reason");
    Some(Fault::Other(plain(why)))
}

/// Without what is no character for people, and not too long.
fn plain(text: &str) -> String {
    text.trim().chars().filter(|c| !is_obeyed(*c)).take(TEXT_MAX).collect()
}

/// Whether a terminal, or whoever reads the lines of a topology, does something at it: controls, the line ends
/// of Unicode, and marks that turn the direction of what follows.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `%20` as a blank.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%');
        let hex = digits.and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use xml::read;

    #[test]
    fn a_match_is_read_with_its_names_and_nothing_a_terminal_would_obey() {
        let answer = read(
            b"<E><Body><ProbeMatches><ProbeMatch><EndpointReference><Address> urn:uuid:1 </Address></EndpointReference>\
            <Scopes>onvif://www.onvif.org/type/video onvif://www.onvif.org/name/Front%20door%1b%5b2J%e2%80%a8%e2%80%ae \
             onvif://www.onvif.org/hardware/X-1</Scopes>\
            <XAddrs>http://10.0.0.5/onvif/device_service ftp://10.0.0.5/ http://[fe80::1]/onvif</XAddrs>\
            </ProbeMatch><ProbeMatch><XAddrs></XAddrs></ProbeMatch></ProbeMatches></Body></E>",
        );
        let found = matches(&answer.unwrap());
        assert_eq!(
            found,
            [Match {
                endpoint: "urn:uuid:1".to_owned(),
                services: vec![
                    "http://10.0.0.5/onvif/device_service".to_owned(),
                    "http://[fe80::1]/onvif".to_owned()
                ],
                name: Some("Front door[2J".to_owned()),
                hardware: Some("X-1".to_owned()),
                location: None,
            }]
        );
    }

    #[test]
    fn a_devices_time_is_read_and_one_that_cannot_be_is_none() {
        let of = |month: &str| {
            let text = format!(
                "<a><UTCDateTime><Time><Hour>7</Hour><Minute>50</Minute><Second>45</Second></Time>\
                 <Date><Year>2010</Year><Month>{month}</Month><Day>16</Day></Date></UTCDateTime></a>"
            );
            time(&read(text.as_bytes()).unwrap())
        };
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_284_623_445);
        assert_eq!((of("9"), of("13"), of("x")), (Some(expected), None, None));
    }

    #[test]
    fn profiles_streams_and_refusals_are_read() {
        let answer = read(
            b"<a><Profiles token='p1'><Name>main</Name><VideoEncoderConfiguration><Encoding>H264</Encoding>\
            <Resolution><Width>1920</Width><Height>1080</Height></Resolution><RateControl>\
            <FrameRateLimit>25</FrameRateLimit><BitrateLimit>4096</BitrateLimit></RateControl>\
            </VideoEncoderConfiguration></Profiles><Profiles><Name>without a token</Name></Profiles></a>",
        );
        let found = profiles(&answer.unwrap());
        let [(token, profile)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((token.as_str(), profile.name.as_str()), ("p1", "main"));
        assert_eq!(profile.size, Some(Size { width: 1920, height: 1080 }));
        assert_eq!((profile.rate, profile.bit_rate), (Some(25), Some(BitRate(4_096_000))));
        let uri = |text: &str| {
            stream(
                &read(format!("<a><MediaUri><Uri>{text}</Uri></MediaUri></a>").as_bytes()).unwrap(),
            )
        };
        assert_eq!(uri("rtsp://10.0.0.5/s0").as_deref(), Some("rtsp://10.0.0.5/s0"));
        let with_login = uri("rtsp://admin:p@ss@10.0.0.5:554/s0?a=b@c");
        assert_eq!(with_login.as_deref(), Some("rtsp://10.0.0.5:554/s0?a=b@c"));
        assert_eq!((uri("file:///etc/passwd"), uri("rtsp://h/&#10;x: y")), (None, None));
        let refused = |code: &str| {
            let text = format!(
                "<a><Fault><Code><Value>s:Sender</Value><Subcode><Value>{code}</Value></Subcode></Code>\
                 <Reason><Text>no</Text></Reason></Fault></a>"
            );
            fault(&read(text.as_bytes()).unwrap())
        };
        assert_eq!(refused("ter:NotAuthorized"), Some(Fault::Login));
        assert_eq!(refused("ter:ActionNotSupported"), Some(Fault::Other("no".to_owned())));
    }
}
