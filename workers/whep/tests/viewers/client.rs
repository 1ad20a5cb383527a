//! A viewer: the WebRTC stack on a socket of its own.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use protocol::time::MonoNs;
use shmring::clock;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, KeyframeRequestKind, MediaData, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use whep::Answered;

use crate::system::{PATIENCE, System};

/// Longest wait for a datagram.
const WAIT: Duration = Duration::from_millis(20);

pub(crate) struct Client {
    rtc: Rtc,
    socket: UdpSocket,
    began: (Instant, MonoNs),
    video: Mid,
    pending: Option<SdpPendingOffer>,
    pub(crate) connected: bool,
    pub(crate) closed: bool,
    pub(crate) received: Vec<MediaData>,
    /// Of so many packets of media one is lost; 0 is none.
    pub(crate) loses_each: usize,
    media: usize,
    /// Who it is to the server.
    pub(crate) id: String,
}

impl Client {
    /// A viewer, and its offer to receive pictures and sound.
    #[expect(clippy::disallowed_methods, reason = "the WebRTC stack takes no other clock")]
    pub(crate) fn new(config: RtcConfig) -> (Self, String) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // What the system does not give is less, and no error.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20);
        let began = (Instant::now(), clock::mono());
        let mut rtc = config.build(began.0);
        let address = socket.local_addr().unwrap();
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap()).unwrap();
        let mut change = rtc.sdp_api();
        let receive = Direction::RecvOnly;
        let video = change.add_media(MediaKind::Video, receive, None, None, None);
        change.add_media(MediaKind::Audio, receive, None, None, None);
        let (offer, pending) = change.apply().unwrap();
        let client = Self {
            rtc,
            socket,
            began,
            video,
            pending: Some(pending),
            connected: false,
            closed: false,
            received: Vec::new(),
            loses_each: 0,
            media: 0,
            id: String::new(),
        };
        (client, offer.to_sdp_string())
    }

    /// A viewer of `cam1` that is on its way.
    pub(crate) fn of(system: &System) -> Self {
        let (mut client, offer) = Self::new(RtcConfig::new());
        let answered = system.offer("cam1", &offer).unwrap();
        client.accept(&answered);
        client
    }

    pub(crate) fn accept(&mut self, answered: &Answered) {
        let answer = SdpAnswer::from_sdp_string(&answered.sdp).unwrap();
        let pending = self.pending.take().unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        answered.id.clone_into(&mut self.id);
    }

    /// Lives until `done`.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let deadline = clock::mono() + PATIENCE;
        while !done(self) {
            let seen = self.received.len();
            assert!(
                clock::mono() < deadline,
                "never: {what}; connected: {}, {seen} units",
                self.connected
            );
            self.step();
        }
    }

    pub(crate) fn ask_for_a_key_frame(&mut self) {
        let mut writer = self.rtc.writer(self.video).unwrap();
        writer.request_keyframe(None, KeyframeRequestKind::Pli).unwrap();
        self.settle();
    }

    pub(crate) fn pictures(&self) -> impl Iterator<Item = &MediaData> {
        self.received.iter().filter(|unit| unit.mid == self.video)
    }

    pub(crate) fn sounds(&self) -> impl Iterator<Item = &MediaData> {
        self.received.iter().filter(|unit| unit.mid != self.video)
    }

    fn now(&self) -> Instant {
        self.began.0 + clock::mono().saturating_since(self.began.1)
    }

    fn step(&mut self) {
        let turn = self.settle();
        let now = self.now();
        let wait = turn.saturating_duration_since(now).clamp(Duration::from_millis(1), WAIT);
        self.socket.set_read_timeout(Some(wait)).unwrap();
        let mut buffer = [0; 2_048];
        let received = match self.socket.recv_from(&mut buffer) {
            Ok(received) => Some(received),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                None
            }
            // Of the server's socket, which may be closed.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
            Err(error) => panic!("{error}"),
        };
        let now = self.now();
        let received = received.filter(|(bytes, _)| !self.is_lost(&buffer[..*bytes]));
        let input = match received {
            Some((bytes, source)) => {
                let ours = self.socket.local_addr().unwrap();
                let datagram = Receive::new(Protocol::Udp, source, ours, &buffer[..bytes]).unwrap();
                Input::Receive(now, datagram)
            }
            None => Input::Timeout(now),
        };
        self.rtc.handle_input(input).unwrap();
    }

    /// RTP by its first byte, and no RTCP by its second (RFC 7983, RFC 5761 section 4).
    fn is_lost(&mut self, datagram: &[u8]) -> bool {
        let is_media =
            matches!(datagram, [128..192, kind, ..] if !(64..96).contains(&(kind & 0x7f)));
        self.media += usize::from(is_media);
        is_media && self.loses_each > 0 && self.media.is_multiple_of(self.loses_each)
    }

    /// All that the stack has to say; when it wants its next turn.
    fn settle(&mut self) -> Instant {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(turn) => return turn,
                Output::Transmit(datagram) => {
                    // As lost on its way.
                    let _ = self.socket.send_to(&datagram.contents, datagram.destination);
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::Closed) => self.closed = true,
                Output::Event(Event::MediaData(unit)) => self.received.push(unit),
                Output::Event(_) => {}
            }
        }
    }
}
