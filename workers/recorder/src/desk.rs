//! What people and programs ask of a running recorder: start, stop, show.

use std::thread;
use std::time::Duration;

use protocol::name::RingName;
use protocol::pattern;
use protocol::recorder::{Comment, Message, Noted, Order, Record, Told};
use protocol::stream::FrameId;
use protocol::time::{Stamp, UtcNs};
use recordings::Remark;
use serde_json::{Value, json};
use shmring::clock;

use crate::command::Command;
use crate::gate::{Gate, Moment, SharedGate, Verdict};
use crate::remarks::Remarks;
use crate::status::Status;

/// How long an answer waits for the disk to keep an order: one that cannot holds all the same.
const KEEP_WAIT: Duration = Duration::from_millis(600);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// One recorded camera, as seen from the desk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat<'a> {
    pub(crate) ring: &'a RingName,
    pub(crate) gate: &'a SharedGate,
    pub(crate) remarks: &'a Remarks,
    pub(crate) status: &'a Status,
}

impl Seat<'_> {
    fn camera(&self) -> &str {
        self.ring.owner()
    }

    /// Why it is recorded now; while that is no more than the rest of a group, why it was.
    fn why(&self, gate: &Gate, now: UtcNs) -> String {
        let capture = self.status.newest().map_or(now, |(_, capture)| capture);
        match gate.verdict(Moment { capture, arrival: now }) {
            Verdict::Stopped | Verdict::Unwanted => self.status.why(),
            verdict => verdict.to_string(),
        }
    }

    fn told(&self, now: UtcNs) -> Told {
        let gate = self.gate.lock();
        let in_force = gate.in_force(now);
        let recording = self.status.is_recording();
        let why = if recording { self.why(&gate, now) } else { gate.waits_for(now) };
        Told {
            camera: self.camera().to_owned(),
            recording,
            order: in_force.map_or(Order::Auto, |command| command.order),
            until_utc_ns: in_force.and_then(|command| command.until),
            why,
            kept: gate.unkept().is_none(),
        }
    }
}

/// Does what the message asks for; the error is for who sent it.
pub(crate) fn answer(seats: &[Seat<'_>], message: Value) -> Result<Value, String> {
    let message = serde_json::from_value(message)
        .map_err(|error| format!("{error}; expected record, show or comment (docs/protocol.md)"))?;
    match message {
        Message::Record(wanted) => record(seats, &wanted),
        Message::Show(wanted) => {
            let now = clock::now().utc;
            let meant = meant(seats, &wanted.cameras)?;
            Ok(json!(meant.iter().map(|seat| seat.told(now)).collect::<Vec<_>>()))
        }
        Message::Comment(comment) => note(seats, comment),
    }
}

fn record(seats: &[Seat<'_>], wanted: &Record) -> Result<Value, String> {
    let meant = meant(seats, &wanted.cameras)?;
    if wanted.pre.is_some() && wanted.order != Order::Start {
        return Err("`pre` is for a start: what is past is recorded or not".to_owned());
    }
    if wanted.span.is_some() && wanted.order == Order::Auto {
        return Err("`for` is for start and stop: then it is auto again".to_owned());
    }
    let now = clock::now();
    for seat in &meant {
        let mut gate = seat.gate.lock();
        gate.clock(now.utc);
        let Command { order, at, until } = command(wanted, now);
        let at = gate.reach_back(at, now.utc);
        gate.command(Command { order, at, until });
    }
    is_so_in_time(now, || meant.iter().all(|seat| seat.gate.lock().unkept().is_none()));
    Ok(json!(meant.iter().map(|seat| seat.told(now.utc)).collect::<Vec<_>>()))
}

/// Of the picture that is recorded at this moment; where none is, of the moment.
fn note(seats: &[Seat<'_>], comment: Comment) -> Result<Value, String> {
    let seat = match meant(seats, std::slice::from_ref(&comment.camera))?.as_slice() {
        [seat] => *seat,
        several => {
            return Err(format!(
                "'{}' means {} cameras: expected one",
                comment.camera,
                several.len()
            ));
        }
    };
    let now = clock::now();
    let newest = seat.status.newest().filter(|_| seat.status.is_recording());
    let frame = newest.map(|(id, _)| FrameId {
        ring: seat.ring.clone(),
        epoch: id.epoch,
        sequence: id.sequence,
    });
    let utc_ns = newest.map_or(now.utc, |(_, capture)| capture);
    let Comment { camera: _, text, tags, author } = comment;
    let remark = Remark { utc_ns, frame: frame.clone(), author, text, tags };
    if !seat.remarks.add(remark, now.utc) {
        return Err(format!("{}: too many comments wait for its folder", seat.camera()));
    }
    let kept = is_so_in_time(now, || seat.remarks.are_kept());
    Ok(json!(Noted { camera: seat.camera().to_owned(), utc_ns, frame, kept }))
}

/// The cameras' own threads write: a disk that hangs must not hold up this one.
fn is_so_in_time(began: Stamp, is_so: impl Fn() -> bool) -> bool {
    let deadline = began.mono + KEEP_WAIT;
    while !is_so() {
        if clock::mono() >= deadline {
            return false;
        }
        thread::sleep(LOOK_EVERY);
    }
    true
}

fn command(wanted: &Record, now: Stamp) -> Command {
    let pre_ns = wanted.pre.map_or(0, |pre| pre.0);
    Command {
        order: wanted.order,
        at: UtcNs(now.utc.0.saturating_sub(pre_ns)),
        until: wanted.span.map(|span| UtcNs(now.utc.0.saturating_add(span.0))),
    }
}

/// Those of these names or patterns, each of which must mean somebody; all without any.
fn meant<'a, 'b>(seats: &'a [Seat<'b>], cameras: &[String]) -> Result<Vec<Seat<'b>>, String> {
    let fits = |seat: &Seat<'_>, name: &String| pattern::matches(name, seat.camera());
    if let Some(unknown) = cameras.iter().find(|name| !seats.iter().any(|seat| fits(seat, name))) {
        let known: Vec<&str> = seats.iter().map(Seat::camera).collect();
        return Err(format!("no camera '{unknown}' is recorded here: {}", known.join(", ")));
    }
    let wanted =
        |seat: &&Seat<'b>| cameras.is_empty() || cameras.iter().any(|name| fits(seat, name));
    Ok(seats.iter().filter(wanted).copied().collect())
}

#[cfg(test)]
mod tests {
    use protocol::config::When;

    use super::*;
    use crate::packet_id::PacketId;

    struct Office {
        rings: Vec<RingName>,
        gates: Vec<SharedGate>,
        remarks: Remarks,
        status: Status,
    }

    impl Office {
        fn new() -> Self {
            let rings: Vec<RingName> = ["cam1", "cam2"]
                .iter()
                .map(|it| format!("{it}.packets").parse().unwrap())
                .collect();
            let gate = |ring: &RingName| SharedGate::new(Gate::new(ring, When::by_command()));
            let gates = rings.iter().map(gate).collect();
            Self { rings, gates, remarks: Remarks::default(), status: Status::new("cam1.packets") }
        }

        fn ask(&self, message: Value) -> Result<Value, String> {
            let both = self.rings.iter().zip(&self.gates);
            let seats: Vec<Seat<'_>> = both
                .map(|(ring, gate)| Seat {
                    ring,
                    gate,
                    remarks: &self.remarks,
                    status: &self.status,
                })
                .collect();
            answer(&seats, message)
        }

        fn records(&self, camera: usize) -> bool {
            let arrival = clock::now().utc;
            self.gates[camera].lock().wants(Moment { arrival, ..Moment::default() })
        }
    }

    #[test]
    fn an_order_goes_to_the_cameras_it_names_and_holds_at_once() {
        let office = Office::new();
        let told = office.ask(json!({"record": {"cameras": ["cam2"], "order": "start"}})).unwrap();
        assert_eq!((office.records(0), office.records(1)), (false, true));
        assert_eq!((&told[0]["camera"], &told[0]["order"]), (&json!("cam2"), &json!("start")));
        // Nobody keeps it here, and that is told.
        assert_eq!(told[0]["kept"], json!(false));
        office.ask(json!({"record": {"order": "stop", "for": "1h"}})).unwrap();
        assert_eq!((office.records(0), office.records(1)), (false, false));
        let told = office.ask(json!({"show": {"cameras": ["cam*"]}})).unwrap();
        assert_eq!(told.as_array().map(Vec::len), Some(2));
        assert!(told[0]["why"].as_str().unwrap().starts_with("stopped by command for another 3"));
    }

    #[test]
    fn a_comment_is_about_the_picture_that_is_recorded_or_about_now() {
        let office = Office::new();
        let say = json!({"comment": {"camera": "cam1", "text": "the red car", "tags": ["car"]}});
        let before = clock::now().utc.0;
        let noted = office.ask(say.clone()).unwrap();
        assert_eq!((&noted["frame"], &noted["kept"]), (&Value::Null, &json!(false)));
        assert!((before..=clock::now().utc.0).contains(&noted["utc_ns"].as_u64().unwrap()));
        office.status.set_newest(PacketId { epoch: 5, sequence: 9 }, UtcNs(77));
        office.status.started("always");
        let noted = office.ask(say).unwrap();
        assert_eq!((&noted["frame"]["sequence"], &noted["utc_ns"]), (&json!(9), &json!(77)));
        assert!(office.ask(json!({"comment": {"camera": "cam*", "text": "x"}})).is_err());
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let office = Office::new();
        for (message, said) in [
            (json!({"record": {"cameras": ["cam3"], "order": "start"}}), "no camera 'cam3'"),
            (json!({"record": {"order": "stop", "pre": "5s"}}), "`pre` is for a start"),
            (json!({"record": {"order": "auto", "for": "5s"}}), "`for` is for start and stop"),
            (json!({"rewind": {}}), "expected record, show or comment"),
        ] {
            let refused = office.ask(message).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
