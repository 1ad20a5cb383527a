//! A conversation, packet by packet.

use protocol::config::notify::WebUrl;
use rumqttc::{ConnAck, PubAck, SubAck, SubscribeReasonCode};

use super::*;

fn s(seconds: u64) -> MonoNs {
    MonoNs(seconds * 1_000_000_000)
}

fn begun() -> (Session, Packet) {
    let broker = WebUrl::parse("mqtt://cam:pw@h").unwrap().broker().unwrap();
    Session::begin(s(0), &broker, "framevisor-yard", "f/status", Duration::from_secs(10))
}

fn welcome() -> Packet {
    Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false))
}

fn open() -> Session {
    let mut session = begun().0;
    assert_eq!(session.hear(welcome()), Ok((Heard::Open, None)));
    session
}

fn confirm(session: &mut Session, id: u16) -> Heard {
    session.hear(Packet::PubAck(PubAck::new(id))).unwrap().0
}

#[test]
fn it_begins_with_who_we_are_and_what_is_to_be_said_when_we_are_gone() {
    let (session, packet) = begun();
    let Packet::Connect(connect) = packet else { panic!("{packet:?}") };
    let will = connect.last_will.unwrap();
    assert_eq!(
        (will.topic.as_str(), &will.message[..], will.retain),
        ("f/status", &b"offline"[..], true)
    );
    let login = connect.login.unwrap();
    assert_eq!((login.username.as_str(), login.password.as_str()), ("cam", "pw"));
    assert!(!session.is_open() && connect.keep_alive == 30);
}

#[test]
fn a_refusal_says_why_in_words() {
    let refused = Packet::ConnAck(ConnAck::new(ConnectReturnCode::BadUserNamePassword, false));
    let over = begun().0.hear(refused).unwrap_err();
    assert_eq!(over.to_string(), "it refuses: wrong user or password");
}

#[test]
fn what_is_said_counts_when_the_broker_has_confirmed_it_and_once() {
    let mut session = open();
    let Packet::Publish(event) = session.event(s(1), "f/event/x", "{}", "id1") else { panic!() };
    assert!(session.has_event_under_way() && !event.retain && event.qos == QoS::AtLeastOnce);
    let Packet::Publish(state) = session.retain(s(1), "f/status", "") else { panic!() };
    assert!(state.retain && state.pkid != event.pkid);
    assert_eq!(confirm(&mut session, event.pkid), Heard::Confirmed(Sent::Event("id1".to_owned())));
    assert_eq!(confirm(&mut session, event.pkid), Heard::Nothing);
    let gone = Sent::Retained { topic: "f/status".to_owned(), is_gone: true };
    assert_eq!(confirm(&mut session, state.pkid), Heard::Confirmed(gone));
    assert!(session.is_settled());
}

#[test]
fn no_two_packets_under_way_have_one_number_even_when_numbers_begin_again() {
    let mut session = open();
    session.last_id = u16::MAX - 1;
    let ids: Vec<u16> = (0..4)
        .map(|_| match session.event(s(1), "t", "{}", "e") {
            Packet::Publish(publish) => publish.pkid,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [u16::MAX, 1, 2, 3]);
    session.last_id = u16::MAX - 1;
    let Packet::Publish(next) = session.event(s(1), "t", "{}", "e") else { panic!() };
    assert_eq!(next.pkid, 4);
    assert_eq!(session.room(), UNDER_WAY_MAX - 5);
}

#[test]
fn a_broker_that_confirms_nothing_is_left() {
    let mut session = open();
    session.event(s(5), "t", "{}", "e");
    assert_eq!(session.tend(s(14)), Ok(None));
    let late = session.tend(s(15)).unwrap_err();
    assert_eq!(late.to_string(), "it does not confirm an event within 10 s");
    assert!(begun().0.tend(s(10)).is_err(), "it never says welcome");
}

#[test]
fn silence_is_broken_by_a_ping_and_an_unanswered_one_ends_it() {
    let mut session = open();
    assert_eq!(session.tend(s(14)), Ok(None));
    assert_eq!(session.tend(s(15)), Ok(Some(Packet::PingReq)));
    assert_eq!(session.tend(s(24)), Ok(None));
    assert_eq!(session.hear(Packet::PingResp), Ok((Heard::Nothing, None)));
    assert_eq!(session.tend(s(30)), Ok(Some(Packet::PingReq)));
    assert!(session.tend(s(40)).is_err());
}

#[test]
fn what_others_say_is_heard_and_confirmed() {
    let mut session = open();
    session.subscribe(s(1), &["f/status".to_owned()]);
    let ack = SubAck::new(1, vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)]);
    assert_eq!(session.hear(Packet::SubAck(ack)), Ok((Heard::Confirmed(Sent::Subscription), None)));
    let said = Publish { pkid: 9, ..Publish::new("f/status", QoS::AtLeastOnce, "offline") };
    let (heard, answer) = session.hear(Packet::Publish(said)).unwrap();
    let (topic, payload) = ("f/status".to_owned(), b"offline".to_vec());
    assert_eq!(heard, Heard::Message { topic, payload });
    assert_eq!(answer, Some(Packet::PubAck(PubAck::new(9))));
}

#[test]
fn a_broker_that_talks_nonsense_is_left() {
    assert!(begun().0.hear(Packet::PingResp).is_err(), "before its welcome");
    assert_eq!(open().hear(welcome()), Err(Over::OutOfOrder("CONNACK")));
    assert_eq!(open().hear(Packet::Disconnect), Err(Over::OutOfOrder("DISCONNECT")));
}
