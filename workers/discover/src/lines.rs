//! The lines of a topology that mean the cameras that were found. Pure.

use protocol::config::ingest::Source;
use protocol::verb::{DiscoveredDevice, DiscoveredProfile};

/// Of all of them, in one piece; empty where none tells a stream.
pub(crate) fn topology(devices: &[DiscoveredDevice], has_login: bool) -> String {
    let mut cameras = String::new();
    let mut number = 0;
    for device in devices {
        let streams: Vec<&DiscoveredProfile> =
            device.profiles.iter().filter(|profile| url(profile, has_login).is_some()).collect();
        let Some(main) = streams.iter().max_by_key(|profile| pixels(profile)) else { continue };
        let sub = streams.iter().filter(|profile| pixels(profile) < pixels(main));
        let sub = sub.min_by_key(|profile| pixels(profile));
        number += 1;
        if let Some(name) = &device.name {
            cameras.push_str(&format!("  # {name}\n"));
        }
        cameras.push_str(&format!("  cam{number}:\n"));
        for (key, profile) in [("url", Some(main)), ("sub", sub)] {
            if let Some(url) = profile.and_then(|profile| url(profile, has_login)) {
                cameras.push_str(&format!("    {key}: '{url}'\n"));
            }
        }
    }
    if cameras.is_empty() { cameras } else { format!("version: 1\ncameras:\n{cameras}") }
}

fn pixels(profile: &DiscoveredProfile) -> u64 {
    profile.size.map_or(0, |size| u64::from(size.width) * u64::from(size.height))
}

/// With variables in place of user and password, where it takes some.
fn url(profile: &DiscoveredProfile, has_login: bool) -> Option<String> {
    let url = profile.url.as_ref()?;
    // What no topology would take is no line of one.
    url.parse::<Source>().ok()?;
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next()?;
    let login = if has_login { "${CAMERA_USER}:${CAMERA_PASSWORD}@" } else { "" };
    let quoted = |text: &str| text.replace('\'', "''").replace("${", "$${");
    Some(format!("{scheme}://{login}{}{}", quoted(host), quoted(path)))
}

#[cfg(test)]
mod tests {
    use protocol::units::Size;

    use super::*;

    fn profile(url: &str, size: Option<(u32, u32)>) -> DiscoveredProfile {
        DiscoveredProfile {
            name: "p".to_owned(),
            codec: None,
            size: size.map(|(width, height)| Size { width, height }),
            rate: None,
            bit_rate: None,
            url: Some(url.to_owned()),
        }
    }

    fn device(profiles: Vec<DiscoveredProfile>) -> DiscoveredDevice {
        DiscoveredDevice {
            endpoint: "urn:uuid:1".to_owned(),
            from: [10, 0, 0, 5].into(),
            service: "http://10.0.0.5/onvif".to_owned(),
            name: Some("Front door".to_owned()),
            hardware: None,
            location: None,
            profiles,
            problem: None,
        }
    }

    #[test]
    fn the_largest_stream_is_the_camera_and_the_smallest_its_sub() {
        let profiles = vec![
            profile("rtsp://10.0.0.5/s1", Some((640, 360))),
            profile("rtsp://10.0.0.5:554/s0?a='b'", Some((1920, 1080))),
            profile("rtsp://10.0.0.5/s2", Some((320, 180))),
        ];
        let told = topology(&[device(Vec::new()), device(profiles)], true);
        let expected = "version: 1
cameras:
  # Front door
  cam1:
    url: 'rtsp://${CAMERA_USER}:${CAMERA_PASSWORD}@10.0.0.5:554/s0?a=''b'''
    sub: 'rtsp://${CAMERA_USER}:${CAMERA_PASSWORD}@10.0.0.5/s2'
";
        assert_eq!(told, expected);
    }

    #[test]
    fn one_stream_has_no_sub_and_no_stream_no_lines() {
        let told = topology(&[device(vec![profile("rtsp://10.0.0.5/s1", None)])], false);
        assert!(told.ends_with("  cam1:\n    url: 'rtsp://10.0.0.5/s1'\n"), "{told}");
        assert_eq!(topology(&[device(vec![profile("rtsp:///nowhere", None)])], false), "");
    }
}
