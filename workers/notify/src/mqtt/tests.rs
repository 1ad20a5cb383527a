//! Against a broker that says what a test wants, and against mosquitto where it is installed.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use bytes::BytesMut;
use protocol::config::notify::WebUrl;
use rumqttc::{
    ConnAck, Connect, ConnectReturnCode, Packet, PubAck, Publish, QoS, SubAck, Subscribe,
};
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::*;
use crate::event::tests::event;
use crate::home::tests::yard;
use crate::shared::tests::shared;

/// Whatever a test waits for is there long before.
const DEADLINE: Duration = Duration::from_secs(60);

/// One end of a connection, packet by packet.
struct Peer {
    stream: TcpStream,
    read: BytesMut,
}

impl Peer {
    fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { stream, read: BytesMut::new() }
    }

    /// `None` at the end of the connection.
    fn next(&mut self) -> Option<Packet> {
        loop {
            match Packet::read(&mut self.read, 1 << 20) {
                Ok(packet) => return Some(packet),
                Err(rumqttc::Error::InsufficientBytes(_)) => {}
                Err(error) => panic!("{error}"),
            }
            let mut some = [0; 4096];
            match self.stream.read(&mut some) {
                Ok(0) => return None,
                Ok(count) => self.read.extend_from_slice(&some[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    fn say(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, 1 << 20).unwrap();
        // Whoever has gone meanwhile hears nothing.
        let _ = self.stream.write_all(&bytes);
    }

    /// Takes the next client in.
    fn welcome(listener: &TcpListener) -> (Self, Connect) {
        let mut peer = Self::of(listener.accept().unwrap().0);
        let Some(Packet::Connect(connect)) = peer.next() else { panic!("no CONNECT") };
        peer.say(&Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)));
        (peer, connect)
    }

    /// Confirms what comes until something is published that `is_it` likes, which is not confirmed.
    fn until(&mut self, is_it: impl Fn(&Publish) -> bool) -> Publish {
        loop {
            match self.next().expect("the connection ended") {
                Packet::Publish(publish) if is_it(&publish) => return publish,
                other => self.confirm(&other),
            }
        }
    }

    fn confirm(&mut self, packet: &Packet) {
        match packet {
            Packet::Publish(publish) => self.say(&Packet::PubAck(PubAck::new(publish.pkid))),
            Packet::Subscribe(subscribe) => {
                let codes = vec![
                    rumqttc::SubscribeReasonCode::Success(QoS::AtLeastOnce);
                    subscribe.filters.len()
                ];
                self.say(&Packet::SubAck(SubAck::new(subscribe.pkid, codes)));
            }
            Packet::PingReq => self.say(&Packet::PingResp),
            _ => {}
        }
    }
}

/// A worker's thread, and what it shares with the others.
struct Running {
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    /// Dropped: the thread ends without a word, as if it were killed.
    life: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(dir: &Path, url: &str) -> Self {
        let config = json!({ "url": url, "on": ["camera.*"] });
        let config: NotifyConfig = serde_json::from_value(config).unwrap();
        let broker = WebUrl::parse(url).unwrap().broker().unwrap();
        let (shared, stop) = (shared(dir), Arc::new(AtomicBool::new(false)));
        let (project, worker) = ("yard".parse().unwrap(), "home".parse().unwrap());
        let kept = Kept::at(dir.join("tell.mqtt.json"));
        let (own, flag) = (Arc::clone(&shared), Arc::clone(&stop));
        let mqtt = Mqtt::new(config, broker, (&project, &worker), Dialer::plain(), own, flag, kept);
        // The broker is a thread of this test, which may rest for longer than a broker should.
        let mqtt = Mqtt { last_words: DEADLINE, ..mqtt };
        *shared.home() = yard();
        let (life, killed) = oneshot::channel::<()>();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = mqtt.run() => {}
                    _ = killed => {}
                }
            });
        });
        Self { shared, stop, life: Some(life), thread: Some(thread) }
    }

    fn tell(&self, id: &str) {
        self.shared.take(id.to_owned(), event(clock::now().utc.0));
    }

    fn kill(&mut self) {
        self.life = None;
        self.thread.take().unwrap().join().unwrap();
    }

    /// In order. The broker must go on confirming meanwhile.
    fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.life = None;
    }
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://cam:s3cret@{}", listener.local_addr().unwrap());
    (listener, url)
}

fn is_event(publish: &Publish) -> bool {
    publish.topic.starts_with("framevisor/yard/event/")
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = clock::mono() + DEADLINE;
    while !is_so() {
        assert!(clock::mono() < deadline, "{what} did not come");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_event_is_told_until_the_broker_confirms_it() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, url) = listener();
    let running = Running::start(dir.path(), &url);
    running.tell("one");
    let (mut peer, connect) = Peer::welcome(&broker);
    assert_eq!(connect.last_will.unwrap().topic, "framevisor/yard/status");
    let first = peer.until(is_event);
    let body: Value = serde_json::from_slice(&first.payload).unwrap();
    assert_eq!((body["id"].as_str(), body["event"].as_str()), (Some("one"), Some("camera.down")));
    assert!(first.topic.ends_with("/camera.down") && !first.retain);
    // It goes away without a word.
    drop(peer);
    let (mut peer, again) = Peer::welcome(&broker);
    assert_eq!(again.client_id, connect.client_id);
    let second = peer.until(is_event);
    assert_eq!(second.payload, first.payload);
    assert_eq!(running.shared.waiting(), 1);
    peer.confirm(&Packet::Publish(second));
    wait_for("the end of the queue", || running.shared.waiting() == 0);
    assert_eq!(running.shared.counts(), (1, 0));
}

#[test]
fn events_go_in_their_order_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, url) = listener();
    let running = Running::start(dir.path(), &url);
    let ids = ["a", "b", "c", "d"];
    ids.iter().for_each(|id| running.tell(id));
    let (mut peer, _) = Peer::welcome(&broker);
    for id in ids {
        let told = peer.until(is_event);
        let body: Value = serde_json::from_slice(&told.payload).unwrap();
        assert_eq!(body["id"], id);
        assert_eq!(
            running.shared.next(&config_of(&url)).unwrap().id,
            id,
            "none before is confirmed"
        );
        peer.confirm(&Packet::Publish(told));
    }
}

fn config_of(url: &str) -> NotifyConfig {
    serde_json::from_value(json!({ "url": url, "on": ["camera.*"] })).unwrap()
}

#[test]
fn what_is_so_stands_at_the_broker_and_what_is_gone_is_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::at(dir.path().join("tell.mqtt.json"));
    let gone = "framevisor/yard/camera/old/connected".to_owned();
    kept.save(&Known { topics: BTreeSet::from([gone.clone()]), ..Known::default() }).unwrap();
    let (broker, url) = listener();
    let mut running = Running::start(dir.path(), &url);
    let (mut peer, _) = Peer::welcome(&broker);
    let mut told = Retained::new();
    while !told.contains_key(&gone) {
        let publish = peer.until(|_| true);
        assert!(publish.retain);
        let text = String::from_utf8(publish.payload.to_vec()).unwrap();
        told.insert(publish.topic.clone(), text);
        peer.confirm(&Packet::Publish(publish));
    }
    assert_eq!(told[&gone], "");
    assert_eq!(told["framevisor/yard/camera/front/connected"], "ON");
    assert_eq!(told["framevisor/yard/status"], "online");
    assert!(
        told.contains_key("homeassistant/binary_sensor/framevisor_yard_front/connected/config")
    );
    // What changes is told, and nothing else is.
    running.shared.home().see(&[crate::home::tests::worker("front", "ingest", "degraded")]);
    let changed = peer.until(|publish| publish.topic.ends_with("front/connected"));
    assert_eq!(&changed.payload[..], b"OFF");
    peer.confirm(&Packet::Publish(changed));
    // The camera that is not there any more goes with all it had.
    let door = peer.until(|publish| publish.topic.ends_with("door/connected"));
    assert!(door.payload.is_empty() && door.retain);
    peer.confirm(&Packet::Publish(door));
    running.stop();
    while let Some(packet) = peer.next() {
        peer.confirm(&packet);
    }
    running.thread.take().unwrap().join().unwrap();
    let known: Known = kept.load().unwrap();
    assert!(!known.topics.contains(&gone), "{:?}", known.topics);
    assert!(known.topics.contains("framevisor/yard/camera/front/connected"));
    assert!(!known.client.is_empty());
}

#[test]
fn a_stop_says_offline_and_goodbye() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, url) = listener();
    let mut running = Running::start(dir.path(), &url);
    let (mut peer, _) = Peer::welcome(&broker);
    let online = peer.until(|publish| publish.topic == "framevisor/yard/status");
    peer.confirm(&Packet::Publish(online));
    running.stop();
    let mut last = Vec::new();
    while let Some(packet) = peer.next() {
        peer.confirm(&packet);
        match packet {
            Packet::Publish(publish) if publish.topic == "framevisor/yard/status" => {
                last.push(String::from_utf8(publish.payload.to_vec()).unwrap());
            }
            Packet::Disconnect => last.push("goodbye".to_owned()),
            _ => {}
        }
    }
    assert_eq!(last, ["offline", "goodbye"]);
}

#[test]
fn a_home_assistant_that_has_started_anew_and_a_late_last_will_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, url) = listener();
    let _running = Running::start(dir.path(), &url);
    let (mut peer, _) = Peer::welcome(&broker);
    let is_status = |publish: &Publish| publish.topic == "framevisor/yard/status";
    let config = "homeassistant/binary_sensor/framevisor_yard_front/connected/config";
    let is_config = |publish: &Publish| publish.topic == config;
    let first = peer.until(is_config);
    peer.confirm(&Packet::Publish(first));
    let say = |peer: &mut Peer, topic: &str, payload: &str| {
        let said = Publish { pkid: 7, ..Publish::new(topic, QoS::AtLeastOnce, payload) };
        peer.say(&Packet::Publish(said));
    };
    say(&mut peer, "framevisor/yard/status", "offline");
    let again = peer.until(is_status);
    assert_eq!(&again.payload[..], b"online");
    peer.confirm(&Packet::Publish(again));
    say(&mut peer, "homeassistant/status", "online");
    assert!(peer.until(is_config).retain);
}

#[test]
fn a_broker_that_refuses_is_told_of_without_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, url) = listener();
    let running = Running::start(dir.path(), &url);
    let mut peer = Peer::of(broker.accept().unwrap().0);
    let Some(Packet::Connect(connect)) = peer.next() else { panic!("no CONNECT") };
    assert_eq!(connect.login.unwrap().password, "s3cret");
    let refused = ConnAck::new(ConnectReturnCode::BadUserNamePassword, false);
    peer.say(&Packet::ConnAck(refused));
    let shown = WebUrl::parse(&url).unwrap().to_string();
    wait_for("a word", || running.shared.condition(&shown).1.contains("wrong user or password"));
    assert!(!running.shared.condition(&shown).1.contains("s3cret"));
    assert_eq!(peer.next().map(|_| ()), None, "it stays with who refuses it");
}

#[test]
fn a_broker_that_talks_nonsense_or_too_much_is_left_and_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let (broker, url) = listener();
    let running = Running::start(dir.path(), &url);
    let nonsense: [&[u8]; 3] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        &[0x30, 0xff, 0xff, 0xff, 0x7f],
        &[0x20, 0xff, 0xff, 0xff, 0xff, 0xff],
    ];
    for bytes in nonsense {
        let mut peer = Peer::of(broker.accept().unwrap().0);
        assert!(matches!(peer.next(), Some(Packet::Connect(_))));
        peer.stream.write_all(bytes).unwrap();
        assert!(peer.next().is_none(), "it goes on after {bytes:?}");
        wait_for("a word", || !running.shared.condition("x").1.is_empty());
    }
    let (mut peer, _) = Peer::welcome(&broker);
    peer.until(|publish| publish.topic == "framevisor/yard/status");
    assert_eq!(running.shared.condition("x").1, "");
}

/// Ends with the test.
struct Mosquitto {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Mosquitto {
    /// `None` where it is not installed.
    fn start() -> Option<Self> {
        let known = ["mosquitto", "/usr/sbin/mosquitto"];
        let is_there = |name: &&str| Command::new(name).arg("-h").output().is_ok();
        let program = known.into_iter().find(is_there)?;
        let dir = tempfile::tempdir().unwrap();
        // One that is taken meanwhile makes it end, and another is tried.
        for port in (20_000..30_000).step_by(7) {
            if TcpListener::bind(("127.0.0.1", port)).is_err() {
                continue;
            }
            let config = dir.path().join("mosquitto.conf");
            let text =
                format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
            std::fs::write(&config, text).unwrap();
            let mut command = Command::new(program);
            command.arg("-c").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            let deadline = clock::mono() + DEADLINE;
            while child.try_wait().unwrap().is_none() && clock::mono() < deadline {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Some(Self { child, port, _dir: dir });
                }
                thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("mosquitto does not listen anywhere");
    }

    /// Somebody else, who reads these topics.
    fn reader(&self, topics: &str) -> Peer {
        let mut peer = Peer::of(TcpStream::connect(("127.0.0.1", self.port)).unwrap());
        // Each under a name of its own, and without a word for as long as it likes.
        let mut connect = Connect::new(format!("reader-{}", topics.len()));
        connect.keep_alive = 0;
        peer.say(&Packet::Connect(connect));
        assert!(matches!(peer.next(), Some(Packet::ConnAck(_))));
        let subscribe = Subscribe { pkid: 1, ..Subscribe::new(topics, QoS::AtLeastOnce) };
        peer.say(&Packet::Subscribe(subscribe));
        peer
    }
}

#[test]
fn mosquitto_keeps_what_is_so_and_tells_the_last_will_of_who_is_killed() {
    let Some(mosquitto) = Mosquitto::start() else {
        println!("skipped: mosquitto is not installed");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let url = format!("mqtt://127.0.0.1:{}", mosquitto.port);
    let mut reader = mosquitto.reader("#");
    let mut running = Running::start(dir.path(), &url);
    running.tell("one");
    let text = |publish: &Publish| String::from_utf8(publish.payload.to_vec()).unwrap();
    let event = reader.until(is_event);
    assert!(text(&event).contains("\"one\""));
    reader.confirm(&Packet::Publish(event));
    wait_for("mosquitto's word", || running.shared.waiting() == 0);
    // Who comes later finds what is so.
    let mut late = mosquitto.reader("framevisor/yard/camera/front/connected");
    let state = late.until(|_| true);
    assert_eq!((text(&state).as_str(), state.retain), ("ON", true));
    running.kill();
    let is_offline = |publish: &Publish| {
        publish.topic == "framevisor/yard/status" && &publish.payload[..] == b"offline"
    };
    let will = reader.until(is_offline);
    reader.confirm(&Packet::Publish(will));
    let mut after = mosquitto.reader("framevisor/yard/status");
    let status = after.until(|_| true);
    assert_eq!((text(&status).as_str(), status.retain), ("offline", true));
    // It comes back under the same name.
    let again = Running::start(dir.path(), &url);
    let online = reader.until(|publish| publish.topic == "framevisor/yard/status");
    assert_eq!(text(&online), "online");
    drop(again);
}
