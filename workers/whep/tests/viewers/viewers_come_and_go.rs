//! How viewers end, what becomes of them when their camera does, and how many there may be.

use protocol::config::WebrtcConfig;
use str0m::RtcConfig;
use whep::Refusal;

use crate::client::Client;
use crate::system::{Camera, System};

#[test]
fn a_viewer_that_leaves_is_gone_and_cannot_leave_twice() {
    let system = System::new();
    let _camera = Camera::h264(&system.project, 25);
    let mut client = Client::of(&system);
    client.until("pictures", |client| client.pictures().count() >= 10);
    assert!(!system.leave("0123"), "who guesses ends nobody");
    assert!(system.leave(&client.id));
    assert!(!system.leave(&client.id));
    client.until("the farewell", |client| client.closed);
    system.counts(|figures| figures.viewers() == 0 && figures.cameras["cam1"].sessions == 1);
}

#[test]
fn who_watches_is_listed_with_what_it_got() {
    let system = System::new();
    let _camera = Camera::h264(&system.project, 25);
    assert_eq!(system.viewers(), []);
    let mut client = Client::of(&system);
    client.until("pictures", |client| client.pictures().count() >= 10);
    let listed = system.viewers();
    let [viewer] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(
        (viewer.camera.as_str(), viewer.peer.map(|it| it.ip().is_loopback())),
        ("cam1", Some(true))
    );
    assert!(viewer.pictures >= 10 && viewer.bytes > 0, "{viewer:?}");
    assert!(system.leave(&client.id));
    assert_eq!(system.viewers(), []);
}

#[test]
fn a_viewer_that_falls_silent_is_let_go() {
    let system = System::new();
    let _camera = Camera::h264(&system.project, 25);
    let mut client = Client::of(&system);
    client.until("pictures", |client| client.pictures().count() >= 10);
    // It neither says goodbye nor anything else any more.
    std::mem::forget(client);
    system.counts(|figures| figures.viewers() == 0);
}

#[test]
fn a_viewer_that_never_comes_is_let_go() {
    let system = System::new();
    let _camera = Camera::h264(&system.project, 25);
    let (_client, offer) = Client::new(RtcConfig::new());
    system.offer("cam1", &offer).unwrap();
    system.counts(|figures| figures.viewers() == 1);
    system.counts(|figures| figures.viewers() == 0);
}

#[test]
fn viewers_stay_while_their_camera_is_started_again() {
    let system = System::new();
    let first = Camera::h264(&system.project, 25);
    let mut client = Client::of(&system);
    client.until("pictures", |client| client.pictures().count() >= 10);
    drop(first);
    let second = Camera::start(
        &system.project,
        &[(crate::system::track(protocol::stream::Codec::H264), crate::system::h264)],
        25,
        10_000,
    );
    client.until("pictures of the second", |client| {
        client.pictures().filter(|unit| second.published.number_of(&unit.data).is_some()).count()
            >= 30
    });
    let ticks: Vec<u64> = client.pictures().map(|unit| unit.time.numer()).collect();
    assert!(ticks.is_sorted(), "RTP times never step back");
    system.counts(|figures| figures.viewers() == 1 && figures.cameras["cam1"].sessions == 1);
}

#[test]
fn many_viewers_share_one_port_and_each_gets_everything() {
    let system = System::new();
    // Who is a second late, as on a busy machine, skips to a newer key frame: there is none.
    let camera = Camera::h264(&system.project, 100_000);
    let mut clients: Vec<Client> = (0..6).map(|_| Client::of(&system)).collect();
    for _ in 0..20 {
        for client in &mut clients {
            let wanted = client.pictures().count() + 2;
            client.until("more pictures", |client| client.pictures().count() >= wanted);
        }
    }
    for client in &clients {
        let numbers: Vec<usize> =
            client.pictures().filter_map(|unit| camera.published.number_of(&unit.data)).collect();
        let expected: Vec<usize> = (numbers[0]..).take(numbers.len()).collect();
        assert_eq!(numbers, expected);
    }
    system.counts(|figures| figures.viewers() == 6);
}

#[test]
fn one_viewer_too_many_is_told_so_and_comes_in_when_another_has_gone() {
    let system = System::with(WebrtcConfig { max_viewers: 1, ..WebrtcConfig::default() });
    let _camera = Camera::h264(&system.project, 25);
    let client = Client::of(&system);
    let (_, offer) = Client::new(RtcConfig::new());
    assert_eq!(system.offer("cam1", &offer), Err(Refusal::Full { viewers: 1 }));
    assert!(system.leave(&client.id));
    system.counts(|figures| figures.viewers() == 0 && figures.refused == 1);
    system.offer("cam1", &offer).unwrap();
}

#[test]
fn who_only_asks_takes_half_of_the_places_and_no_more() {
    let system = System::with(WebrtcConfig { max_viewers: 4, ..WebrtcConfig::default() });
    let _camera = Camera::h264(&system.project, 25);
    let (_, offer) = Client::new(RtcConfig::new());
    let from = |origin| system.offer_from(origin, "cam1", &offer).map(drop);
    assert_eq!((from("10.0.0.7"), from("10.0.0.7")), (Ok(()), Ok(())));
    assert_eq!(from("10.0.0.7"), Err(Refusal::TooMany { viewers: 2 }));
    assert_eq!((from("10.0.0.8"), from("127.0.0.1")), (Ok(()), Ok(())));
    assert_eq!(from("10.0.0.9"), Err(Refusal::Full { viewers: 4 }));
}

#[test]
fn a_port_that_another_has_is_waited_for() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listen = Some(taken.local_addr().unwrap());
    let system = System::with(WebrtcConfig { listen, ..WebrtcConfig::default() });
    let _camera = Camera::h264(&system.project, 25);
    let (mut client, offer) = Client::new(RtcConfig::new());
    let refusal = system.offer("cam1", &offer).unwrap_err();
    assert!(matches!(refusal, Refusal::Closed { .. }), "{refusal:?}");
    drop(taken);
    let deadline = shmring::clock::mono() + crate::system::PATIENCE;
    let answered = loop {
        match system.offer("cam1", &offer) {
            Ok(answered) => break answered,
            Err(refusal) => assert!(shmring::clock::mono() < deadline, "{refusal}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    client.accept(&answered);
    client.until("pictures", |client| client.pictures().count() >= 10);
}

#[test]
fn viewers_are_told_the_addresses_of_the_topology() {
    let addresses = ["203.0.113.7", "2001:db8::7"].map(|address| address.parse().unwrap());
    let system =
        System::with(WebrtcConfig { addresses: addresses.into(), ..WebrtcConfig::default() });
    let _camera = Camera::h264(&system.project, 25);
    let (_, offer) = Client::new(RtcConfig::new());
    let sdp = system.offer("cam1", &offer).unwrap().sdp;
    let candidates: Vec<&str> =
        sdp.lines().filter(|line| line.starts_with("a=candidate:")).collect();
    assert_eq!(candidates.len(), 2, "{sdp}");
    assert!(sdp.contains(" 203.0.113.7 ") && sdp.contains(" 2001:db8::7 "), "{sdp}");
    assert!(sdp.contains("a=ice-lite"), "{sdp}");
}
