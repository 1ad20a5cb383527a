//! The answers of the device service and the media service (ONVIF core and media specifications, version 10 of both).
//! Pure.

use std::fmt::Write as _;
use std::time::SystemTime;

use protocol::stream::{Codec, Track};
use xml::{Element, escape};

use super::soap::{Fault, Kind};

const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
const MEDIA: &str = "http://www.onvif.org/ver10/media/wsdl";
const SCHEMA: &str = "http://www.onvif.org/ver10/schema";
/// As all devices have it (ONVIF core, 5.1.1).
pub const DEVICE_PATH: &str = "/onvif/device_service";
const MEDIA_PATH: &str = "/onvif/media_service";
/// Of the specifications that these answers are written by.
const VERSION: (u32, u32) = (20, 12);

/// What is told, to one client.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `http://HOST:PORT`, as the client reached it.
    pub service: String,
    /// `rtsp://HOST:PORT`.
    pub streams: String,
    /// What people call the device.
    pub name: String,
    /// The same as long as the device is.
    pub serial: String,
    pub now: SystemTime,
    /// Those that this client may play.
    pub cameras: Vec<Camera>,
}

/// A camera, which is a profile, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Camera {
    /// Its path, which is the profile's token and name.
    pub path: String,
    /// `None` before it was seen.
    pub picture: Option<Picture>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// As the media service calls it; `None` of one that its version 10 has no word for.
    pub encoding: Option<&'static str>,
    /// Pixels.
    pub size: (u32, u32),
    /// Whole pictures a second.
    pub rate: u32,
}

/// What a client that wants it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nobody: what is asked before one can log in (ONVIF core, access class PRE_AUTH).
    Nothing,
    Login,
}

pub fn needs(operation: &str) -> Need {
    match operation {
        "GetCapabilities"
        | "GetEndpointReference"
        | "GetHostname"
        | "GetServiceCapabilities"
        | "GetServices"
        | "GetSystemDateAndTime"
        | "GetWsdlUrl" => Need::Nothing,
        _ => Need::Login,
    }
}

/// Which one is asked, which is told by its address: names of operations are read without their namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Device,
    Media,
}

impl Picture {
    /// Of the first track with pictures.
    pub fn of(tracks: &[Track]) -> Option<Self> {
        let track = tracks.iter().find(|track| track.codec.is_video())?;
        let encoding = match track.codec {
            Codec::H264 => Some("H264"),
            Codec::Mjpeg => Some("JPEG"),
            Codec::Mpeg4 => Some("MPEG4"),
            _ => None,
        };
        let (pictures, seconds) = track.frame_rate;
        let rate = pictures.checked_div(seconds).unwrap_or_default();
        Some(Self { encoding, size: (track.width, track.height), rate })
    }
}

impl Service {
    pub fn at(path: &str) -> Option<Self> {
        match path {
            DEVICE_PATH => Some(Self::Device),
            MEDIA_PATH => Some(Self::Media),
            _ => None,
        }
    }
}

/// What the operation is answered: the content of the body.
pub fn answer(service: Service, operation: &Element, facts: &Facts) -> Result<String, Fault> {
    Ok(match operation.name.as_str() {
        "GetCapabilities" => device("GetCapabilities", &capabilities(facts)),
        "GetDeviceInformation" => device("GetDeviceInformation", &information(facts)),
        "GetEndpointReference" => {
            let id = format!("<tds:GUID>{}</tds:GUID>", endpoint(&facts.serial));
            device("GetEndpointReference", &id)
        }
        "GetHostname" => device("GetHostname", &host_name(facts)),
        "GetScopes" => device("GetScopes", &told_scopes(facts)),
        "GetServiceCapabilities" => service_capabilities(service, facts),
        "GetServices" => device("GetServices", &services(facts)),
        "GetSystemDateAndTime" => device("GetSystemDateAndTime", &time(facts.now)),
        "GetProfile" => {
            let camera = asked_for(operation, facts)?;
            media("GetProfile", &profile("trt:Profile", camera))
        }
        "GetProfiles" => media("GetProfiles", &each(facts, |it| profile("trt:Profiles", it))),
        "GetStreamUri" => media("GetStreamUri", &stream(asked_for(operation, facts)?, facts)),
        "GetVideoSources" => media("GetVideoSources", &each(facts, source)),
        "GetVideoSourceConfigurations" => {
            let of = |camera: &Camera| source_configuration("trt:Configurations", camera);
            media("GetVideoSourceConfigurations", &each(facts, of))
        }
        "GetVideoEncoderConfigurations" => {
            let of = |camera: &Camera| encoder("trt:Configurations", camera);
            media("GetVideoEncoderConfigurations", &each(facts, of))
        }
        other => {
            let name: String = other.chars().take(80).collect();
            return Err(Fault::new(
                Kind::ActionNotSupported,
                format!(
                    "{name} is not served here: this device tells of streams and changes nothing"
                ),
            ));
        }
    })
}

/// `urn:uuid:` of what makes the device: the same after every restart.
pub fn endpoint(serial: &str) -> String {
    format!("urn:uuid:{}", uuid(serial))
}

/// Of 32 hexadecimal digits: a UUID of version 8, whose bits mean what its maker wants (RFC 9562 section 5.8).
pub fn uuid(digits: &str) -> String {
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or("0");
    let (head, tail) = (part(0..8), part(20..32));
    format!("{head}-{}-8{}-8{}-{tail}", part(8..12), part(13..16), part(17..20))
}

/// What probes may ask for.
pub fn scopes(name: &str) -> Vec<String> {
    vec![
        "onvif://www.onvif.org/type/video_encoder".to_owned(),
        "onvif://www.onvif.org/type/Network_Video_Transmitter".to_owned(),
        "onvif://www.onvif.org/Profile/Streaming".to_owned(),
        "onvif://www.onvif.org/hardware/framevisor".to_owned(),
        format!("onvif://www.onvif.org/name/{}", in_url(name)),
    ]
}

/// Letters, digits and what a URL has as it is; others by their bytes.
fn in_url(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                text.push(char::from(byte));
            }
            // Writing to a text never fails.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text
}

fn device(operation: &str, body: &str) -> String {
    format!(
        "<tds:{operation}Response xmlns:tds=\"{DEVICE}\" xmlns:tt=\"{SCHEMA}\">{body}</tds:{operation}Response>"
    )
}

fn media(operation: &str, body: &str) -> String {
    format!(
        "<trt:{operation}Response xmlns:trt=\"{MEDIA}\" xmlns:tt=\"{SCHEMA}\">{body}</trt:{operation}Response>"
    )
}

fn each(facts: &Facts, of: impl Fn(&Camera) -> String) -> String {
    facts.cameras.iter().map(of).collect()
}

fn device_service(facts: &Facts) -> String {
    format!("{}{DEVICE_PATH}", escape(facts.service.as_str()))
}

fn media_service(facts: &Facts) -> String {
    format!("{}{MEDIA_PATH}", escape(facts.service.as_str()))
}

fn capabilities(facts: &Facts) -> String {
    format!(
        "<tds:Capabilities><tt:Device><tt:XAddr>{}</tt:XAddr></tt:Device><tt:Media><tt:XAddr>{}</tt:XAddr>\
         <tt:StreamingCapabilities><tt:RTPMulticast>false</tt:RTPMulticast><tt:RTP_TCP>true</tt:RTP_TCP>\
         <tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP></tt:StreamingCapabilities></tt:Media></tds:Capabilities>",
        device_service(facts),
        media_service(facts)
    )
}

fn services(facts: &Facts) -> String {
    let (major, minor) = VERSION;
    let of = |namespace: &str, address: String| {
        format!(
            "<tds:Service><tds:Namespace>{namespace}</tds:Namespace><tds:XAddr>{address}</tds:XAddr><tds:Version>\
             <tt:Major>{major}</tt:Major><tt:Minor>{minor}</tt:Minor></tds:Version></tds:Service>"
        )
    };
    of(DEVICE, device_service(facts)) + &of(MEDIA, media_service(facts))
}

fn service_capabilities(service: Service, facts: &Facts) -> String {
    if service == Service::Device {
        let body = "<tds:Capabilities><tds:Network/><tds:Security UsernameToken=\"true\" HttpDigest=\"true\"/>\
                    <tds:System DiscoveryResolve=\"false\" DiscoveryBye=\"false\"/></tds:Capabilities>";
        return device("GetServiceCapabilities", body);
    }
    let profiles = facts.cameras.len();
    let body = format!(
        "<trt:Capabilities SnapshotUri=\"false\" Rotation=\"false\"><trt:ProfileCapabilities \
         MaximumNumberOfProfiles=\"{profiles}\"/><trt:StreamingCapabilities RTPMulticast=\"false\" RTP_TCP=\"true\" \
         RTP_RTSP_TCP=\"true\" NonAggregateControl=\"true\"/></trt:Capabilities>"
    );
    media("GetServiceCapabilities", &body)
}

fn information(facts: &Facts) -> String {
    format!(
        "<tds:Manufacturer>framevisor</tds:Manufacturer><tds:Model>{}</tds:Model><tds:FirmwareVersion>{}\
         </tds:FirmwareVersion><tds:SerialNumber>{}</tds:SerialNumber><tds:HardwareId>framevisor</tds:HardwareId>",
        escape(facts.name.as_str()),
        env!("CARGO_PKG_VERSION"),
        escape(facts.serial.as_str())
    )
}

fn host_name(facts: &Facts) -> String {
    let name = escape(facts.name.as_str());
    format!(
        "<tds:HostnameInformation><tt:FromDHCP>false</tt:FromDHCP><tt:Name>{name}</tt:Name></tds:HostnameInformation>"
    )
}

fn told_scopes(facts: &Facts) -> String {
    let of = |scope: String| {
        let scope = escape(scope.as_str()).into_owned();
        format!(
            "<tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef><tt:ScopeItem>{scope}</tt:ScopeItem></tds:Scopes>"
        )
    };
    scopes(&facts.name).into_iter().map(of).collect()
}

fn time(now: SystemTime) -> String {
    // 2026-11-22T12:34:56Z, as numbers without leading zeros.
    let text = humantime::format_rfc3339_seconds(now).to_string();
    let part = |range: std::ops::Range<usize>| {
        text.get(range).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or_default()
    };
    format!(
        "<tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>\
         <tt:TimeZone><tt:TZ>UTC0</tt:TZ></tt:TimeZone><tt:UTCDateTime><tt:Time><tt:Hour>{}</tt:Hour>\
         <tt:Minute>{}</tt:Minute><tt:Second>{}</tt:Second></tt:Time><tt:Date><tt:Year>{}</tt:Year>\
         <tt:Month>{}</tt:Month><tt:Day>{}</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime>",
        part(11..13),
        part(14..16),
        part(17..19),
        part(0..4),
        part(5..7),
        part(8..10)
    )
}

fn asked_for<'a>(operation: &Element, facts: &'a Facts) -> Result<&'a Camera, Fault> {
    let token = operation.text_of("ProfileToken").unwrap_or_default();
    let found = facts.cameras.iter().find(|camera| camera.path == token);
    found.ok_or_else(|| {
        let seen: String = token.chars().take(80).collect();
        Fault::new(
            Kind::NoProfile,
            format!("there is no profile '{seen}' for you; GetProfiles lists them"),
        )
    })
}

fn stream(camera: &Camera, facts: &Facts) -> String {
    let uri = format!("{}/{}", facts.streams, camera.path);
    format!(
        "<trt:MediaUri><tt:Uri>{}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>\
         <tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT60S</tt:Timeout></trt:MediaUri>",
        escape(uri.as_str())
    )
}

fn source(camera: &Camera) -> String {
    let (path, Picture { size: (width, height), rate, .. }) = parts(camera);
    format!(
        "<trt:VideoSources token=\"{path}\"><tt:Framerate>{rate}</tt:Framerate><tt:Resolution><tt:Width>{width}\
         </tt:Width><tt:Height>{height}</tt:Height></tt:Resolution></trt:VideoSources>"
    )
}

fn profile(tag: &str, camera: &Camera) -> String {
    let path = escape(camera.path.as_str());
    format!(
        "<{tag} token=\"{path}\" fixed=\"true\"><tt:Name>{path}</tt:Name>{}{}</{tag}>",
        source_configuration("tt:VideoSourceConfiguration", camera),
        encoder("tt:VideoEncoderConfiguration", camera)
    )
}

fn source_configuration(tag: &str, camera: &Camera) -> String {
    let (path, Picture { size: (width, height), .. }) = parts(camera);
    format!(
        "<{tag} token=\"{path}\"><tt:Name>{path}</tt:Name><tt:UseCount>1</tt:UseCount><tt:SourceToken>{path}\
         </tt:SourceToken><tt:Bounds x=\"0\" y=\"0\" width=\"{width}\" height=\"{height}\"/></{tag}>"
    )
}

/// Nothing of a camera that was not seen, or whose codec version 10 cannot say (H.265 came with version 20): clients
/// learn it from the stream.
fn encoder(tag: &str, camera: &Camera) -> String {
    let (path, picture) = parts(camera);
    let Some(encoding) = picture.encoding else { return String::new() };
    let Picture { size: (width, height), rate, .. } = picture;
    format!(
        "<{tag} token=\"{path}\"><tt:Name>{path}</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>{encoding}\
         </tt:Encoding><tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>\
         <tt:Quality>5</tt:Quality><tt:RateControl><tt:FrameRateLimit>{rate}</tt:FrameRateLimit>\
         <tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>0</tt:BitrateLimit></tt:RateControl>\
         <tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address>\
         <tt:Port>0</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>\
         <tt:SessionTimeout>PT60S</tt:SessionTimeout></{tag}>"
    )
}

fn parts(camera: &Camera) -> (String, Picture) {
    let unseen = Picture { encoding: None, size: (0, 0), rate: 0 };
    (escape(camera.path.as_str()).into_owned(), camera.picture.unwrap_or(unseen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let picture = |encoding| Picture { encoding, size: (1920, 1080), rate: 25 };
        let camera = |path: &str, picture| Camera { path: path.to_owned(), picture };
        Facts {
            service: "http://10.0.0.9:8899".to_owned(),
            streams: "rtsp://10.0.0.9:8554".to_owned(),
            name: "hall & yard".to_owned(),
            serial: "0123456789abcdef0123456789abcdef".to_owned(),
            now: humantime::parse_rfc3339("2026-11-22T02:03:04Z").unwrap(),
            cameras: vec![
                camera("cam1", Some(picture(Some("H264")))),
                camera("cam2", Some(picture(None))),
                camera("late", None),
            ],
        }
    }

    fn asked(text: &str) -> Result<Element, Fault> {
        let operation = xml::read(text.as_bytes()).unwrap();
        let answer = answer(Service::Media, &operation, &facts())?;
        let read = xml::read(answer.as_bytes()).unwrap();
        assert_eq!(read.name, format!("{}Response", operation.name));
        Ok(read)
    }

    #[test]
    fn every_camera_is_a_profile_with_what_is_known_of_it() {
        let profiles = asked("<GetProfiles/>").unwrap();
        let profiles = profiles.all("Profiles");
        let tokens: Vec<_> = profiles.iter().filter_map(|it| it.attribute("token")).collect();
        assert_eq!(tokens, ["cam1", "cam2", "late"]);
        let encoder = profiles[0].find("VideoEncoderConfiguration").unwrap();
        assert_eq!(encoder.text_of("Encoding"), Some("H264"));
        assert_eq!(encoder.text_of("Width"), Some("1920"));
        assert_eq!(encoder.text_of("FrameRateLimit"), Some("25"));
        assert!(profiles[1].find("VideoEncoderConfiguration").is_none());
        assert!(profiles[2].find("VideoSourceConfiguration").is_some());
    }

    #[test]
    fn the_address_of_a_stream_is_that_of_its_camera_as_the_client_reaches_it() {
        let uri = |token: &str| {
            asked(&format!("<GetStreamUri><ProfileToken>{token}</ProfileToken></GetStreamUri>"))
        };
        assert_eq!(uri("cam2").unwrap().text_of("Uri"), Some("rtsp://10.0.0.9:8554/cam2"));
        assert_eq!(uri("cam3").unwrap_err().kind, Kind::NoProfile);
        assert_eq!(asked("<GetStreamUri/>").unwrap_err().kind, Kind::NoProfile);
        assert_eq!(asked("<SetHostname/>").unwrap_err().kind, Kind::ActionNotSupported);
    }

    #[test]
    fn the_device_tells_its_services_its_time_and_its_names() {
        let services = asked("<GetServices/>").unwrap();
        assert_eq!(services.all("Service").len(), 2);
        let time = asked("<GetSystemDateAndTime/>").unwrap();
        let utc = time.find("UTCDateTime").unwrap();
        let of = |name| utc.text_of(name).unwrap().to_owned();
        let told = ["Year", "Month", "Day", "Hour", "Minute", "Second"].map(of);
        assert_eq!(told, ["2026", "11", "22", "2", "3", "4"]);
        assert_eq!(asked("<GetDeviceInformation/>").unwrap().text_of("Model"), Some("hall & yard"));
        let scopes = asked("<GetScopes/>").unwrap();
        let items: Vec<_> = scopes.all("ScopeItem").iter().map(|it| it.text.clone()).collect();
        assert!(items.contains(&"onvif://www.onvif.org/name/hall%20%26%20yard".to_owned()));
        let endpoint = asked("<GetEndpointReference/>").unwrap();
        assert_eq!(endpoint.text_of("GUID"), Some("urn:uuid:01234567-89ab-8def-8123-456789abcdef"));
    }

    #[test]
    fn what_is_asked_before_a_login_is_no_more_than_the_specification_says() {
        assert_eq!(needs("GetSystemDateAndTime"), Need::Nothing);
        for operation in ["GetProfiles", "GetStreamUri", "GetDeviceInformation", "SetUser"] {
            assert_eq!(needs(operation), Need::Login, "{operation}");
        }
    }
}
