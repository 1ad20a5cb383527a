//! Multicast: one stream for all viewers of a group.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use rtp_types::RtpPacket;
use rtsp::house::Terms;
use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
use shmring::clock;

use crate::datagrams_reach_their_viewers::{between, datagram, receiver_report};
use crate::harness::{Camera, Clip, PATIENCE, RawClient, Site, has};

/// A client that watches a group.
struct Viewer {
    control: RawClient,
    group: Ipv4Addr,
    rtp: UdpSocket,
    id: String,
    ssrc: u32,
}

impl Viewer {
    fn set_up(site: &Site) -> Self {
        let mut control = site.connect();
        let lines = "Transport: RTP/AVP;multicast\r\n";
        let answer = control.ask("SETUP", &format!("{}/trackID=0", site.url()), lines);
        assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
        assert!(answer.contains(";ttl=1;"), "{answer}");
        let id = between(&answer, "Session: ", ';').to_owned();
        let group: Ipv4Addr = between(&answer, "destination=", ';').parse().unwrap();
        let port = between(&answer, "port=", '-').parse().unwrap();
        let ssrc = u32::from_str_radix(between(&answer, "ssrc=", ';'), 16).unwrap();
        Self { control, group, rtp: join(group, port), id, ssrc }
    }

    fn play(site: &Site) -> Self {
        let mut viewer = Self::set_up(site);
        assert!(viewer.ask(site, "PLAY").starts_with("RTSP/1.0 200"));
        viewer
    }

    fn ask(&mut self, site: &Site, method: &str) -> String {
        self.control.ask(method, &site.url(), &format!("Session: {}\r\n", self.id))
    }

    /// Sequence number of the next packet.
    fn packet(&self) -> u16 {
        let bytes = datagram(&self.rtp);
        let packet = RtpPacket::parse(&bytes).unwrap();
        assert_eq!(packet.ssrc(), self.ssrc, "the stream that SETUP names");
        packet.sequence_number()
    }
}

/// A socket for the packets to a group that are sent on this host.
fn join(group: Ipv4Addr, port: u16) -> UdpSocket {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap();
    sockopt::set_socket_reuseaddr(&socket, true).unwrap();
    bind(&socket, &SocketAddrV4::new(group, port)).unwrap();
    let socket = UdpSocket::from(socket);
    socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[test]
fn viewers_of_a_camera_share_one_group_and_what_is_sent_to_it() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let (first, second) = (Viewer::play(&site), Viewer::play(&site));
    assert_eq!((first.group, first.ssrc), (second.group, second.ssrc));
    // The second has come later: what it sees, the first has among what it has not read yet.
    let (mut seen, deadline) = (BTreeSet::new(), clock::mono() + PATIENCE);
    while !seen.contains(&first.packet()) {
        seen.insert(second.packet());
        assert!(clock::mono() < deadline, "no packet came to both of them");
    }
}

#[test]
fn a_group_is_sent_to_while_anybody_watches_and_not_after() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let (mut first, mut second) = (Viewer::play(&site), Viewer::play(&site));
    assert!(first.ask(&site, "TEARDOWN").starts_with("RTSP/1.0 200"));
    for _ in 0..300 {
        second.packet();
    }
    assert!(second.ask(&site, "PAUSE").starts_with("RTSP/1.0 200"));
    // What was sent before is read; then nothing comes, until somebody plays again.
    second.rtp.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let deadline = clock::mono() + PATIENCE;
    while second.rtp.recv(&mut [0; 1500]).is_ok() {
        assert!(clock::mono() < deadline, "it is still sent to");
    }
    second.rtp.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(second.ask(&site, "PLAY").starts_with("RTSP/1.0 200"));
    second.packet();
}

#[test]
fn what_a_viewer_reports_to_its_group_is_listed() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let viewer = Viewer::play(&site);
    let port = viewer.rtp.local_addr().unwrap().port() + 1;
    let reporter = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    reporter.send_to(&receiver_report(viewer.ssrc), (viewer.group, port)).unwrap();
    let client = site.wait_for_reception(|seen| (seen.loss, seen.lost) == (0.25, 7));
    assert_eq!((client.camera.as_str(), client.transport.as_str()), ("cam1", "multicast"));
}

#[test]
fn the_first_viewer_of_a_group_begins_at_a_key_frame() {
    if !has("ffmpeg") {
        return;
    }
    let site = Site::open_with_datagrams();
    let _camera = Camera::start(&site.project, Clip::plain());
    let viewer = Viewer::play(&site);
    let bytes = datagram(&viewer.rtp);
    let packet = RtpPacket::parse(&bytes).unwrap();
    let kind = packet.payload()[0] & 0x1f;
    assert!(matches!(kind, 6 | 7), "SEI and parameter sets precede a key frame alone, not {kind}");
}

#[test]
fn addresses_that_are_given_back_are_given_again() {
    if !has("ffmpeg") {
        return;
    }
    let multicast = "239.255.43.7/32".parse().unwrap();
    let site = Site::open_with(Terms {
        udp_ports: "20000-28999".parse().unwrap(),
        multicast,
        ..Terms::over_tcp(8)
    });
    let _camera = Camera::start(&site.project, Clip::plain());
    let mut first = Viewer::play(&site);
    let (group, ssrc) = (first.group, first.ssrc);
    assert!(first.ask(&site, "TEARDOWN").starts_with("RTSP/1.0 200"));
    // While it is connected, but watches no more.
    let next = Viewer::set_up(&site);
    assert_eq!(next.group, group, "there is but one address");
    assert_ne!(next.ssrc, ssrc, "another stream");
    let mut other = site.connect();
    let lines = "Transport: RTP/AVP;multicast\r\n";
    let same = other.ask("SETUP", &format!("{}/trackID=0", site.url()), lines);
    assert!(
        same.contains(&format!("ssrc={:08X}", next.ssrc)),
        "the stream of who is there: {same}"
    );
}
