//! The worker: records in, events out, one bounded step after the other.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use jiff::tz::TimeZone;
use matching::{Engine, Heard, Stage, Told};
use protocol::config::{RulesConfig, WorkerConfig};
use protocol::control::{Condition, Happening};
use protocol::name::{RingKind, RingName};
use protocol::time::MonoNs;
use serde_json::{Map, Value, json};
use shmring::{RecordWriter, clock};
use worker::{Context, Fault, Step, Worker};

use crate::ears::{Ear, moment};
use crate::notes::Notes;
use crate::outbox::{Letter, Outbox};
use crate::pictures::{Done, Order, Pictures, Studio};
use crate::said::Said;
use crate::words::{happening, in_words, local};

/// How often rings are looked at: so late an event is told of at most, which pre-roll makes up for.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Of one ring in one turn; the others have theirs in between.
const RECORDS_A_TURN: usize = 500;
/// How often it is written down how far it is while nothing is told, and looked for what is to be said again.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// How far it is is written down after so long at the latest: what is older than a minute is of no use any more.
const BEHIND_MAX: Duration = Duration::from_secs(30);
/// After a stop, for what is still to be told to the supervisor, which gives a worker two seconds.
const LAST_WORDS: Duration = Duration::from_millis(1_500);
/// Of what goes on, in a status: a reply must fit into one message, which has 64 KiB.
const OPEN_MAX_BYTES: usize = 32 * 1024;

/// `use: rules`.
#[derive(Debug)]
pub(crate) struct Rules {
    config: RulesConfig,
    ears: Vec<Ear>,
    engine: Engine,
    output: RecordWriter,
    said: Said,
    /// For the supervisor.
    outbox: Outbox,
    /// `None` when no rule wants any.
    pictures: Option<Pictures>,
    /// Why the last picture is not kept.
    trouble: Option<String>,
    notes: PathBuf,
    noted: MonoNs,
    reminded: MonoNs,
    zone: TimeZone,
}

impl Worker for Rules {
    type Config = RulesConfig;

    fn section(config: WorkerConfig) -> Option<RulesConfig> {
        match config {
            WorkerConfig::Rules(config) => Some(config),
            _ => None,
        }
    }

    fn start(config: RulesConfig, cx: &mut Context) -> Result<Self, Fault> {
        let contract = cx.output().ok_or_else(|| {
            Fault::contract("rules writes an event ring, but none was handed over")
        })?;
        let output = RecordWriter::create(cx.project(), contract)?;
        let notes = cx.notes_dir().join("rules").join(format!("{}.json", cx.worker()));
        let now = clock::mono();
        let known = Notes::load(&notes, now);
        let mut engine = Engine::new(&config);
        engine.restore(known.events.clone());
        let of =
            |kind: RingKind| cx.inputs().iter().filter(move |ring: &&RingName| ring.kind() == kind);
        let ears = of(RingKind::Events).map(|ring| Ear::new(cx, ring, known.begin(ring))).collect();
        let studio = config.snapshots.clone().map(|dir| Studio {
            project: cx.project().clone(),
            reader: cx.worker().to_string(),
            rings: of(RingKind::Frames).cloned().collect(),
            dir,
            keep: config.keep_for,
            quality: config.jpeg_quality,
        });
        let is_wanted = config.rules.values().any(|rule| rule.snapshot);
        let pictures = studio.filter(|_| is_wanted).map(Pictures::start).transpose()?;
        let zone = TimeZone::system();
        let mut rules = Self {
            config,
            ears,
            engine,
            output,
            said: Said::default(),
            outbox: Outbox::default(),
            pictures,
            trouble: None,
            notes,
            noted: now,
            reminded: now,
            zone,
        };
        let goes_on = rules.engine.again();
        rules.tell(cx, goes_on)?;
        rules.note();
        Ok(rules)
    }

    fn step(&mut self, cx: &mut Context) -> Result<Step, Fault> {
        if self.pictures.as_ref().is_some_and(Pictures::is_finished) {
            return Err(Fault::failed("the thread that keeps pictures ended by itself"));
        }
        let (read, until) = self.turn(cx)?;
        let told = self.engine.tick(until);
        let is_due = !told.is_empty() || clock::mono().saturating_since(self.noted) >= NOTE_EVERY;
        self.tell(cx, told)?;
        self.tell_pictures();
        self.say(cx);
        if is_due {
            self.note();
        }
        if clock::mono().saturating_since(self.reminded) >= NOTE_EVERY {
            self.reminded = clock::mono();
            self.remind(cx)?;
            self.complain();
        }
        self.be(cx);
        if !read {
            thread::sleep(LOOK_EVERY);
        }
        Ok(Step::Again)
    }

    fn message(&mut self, _cx: &mut Context, message: Value) -> Result<Value, String> {
        if message.as_str() != Some("status") {
            return Err(format!(r#"{message}: expected "status""#));
        }
        let names: Vec<&String> = self.config.rules.keys().collect();
        let open = self.engine.open().map(|(rule, camera)| json!({"rule": rule, "camera": camera}));
        let (open, count) = (fitting(open, OPEN_MAX_BYTES), self.engine.open().count());
        Ok(json!({ "rules": names, "open": open, "open_count": count }))
    }

    /// What analyzers said last counts; then nobody looks any more.
    fn stop(&mut self, cx: &mut Context) -> Result<(), Fault> {
        self.turn(cx)?;
        let told = self.engine.finish(clock::mono());
        self.tell(cx, told)?;
        self.tell_pictures();
        self.output.finish();
        self.last_words(cx);
        self.note();
        Ok(())
    }
}

impl Rules {
    /// Reads what is new: whether there was anything, and until when all of it is known.
    fn turn(&mut self, cx: &Context) -> Result<(bool, MonoNs), Fault> {
        let (mut any, mut until) = (false, clock::mono());
        for at in 0..self.ears.len() {
            for count in 1..=RECORDS_A_TURN {
                let ear = &mut self.ears[at];
                let Some(read) = ear.next(cx)? else { break };
                any = true;
                let when = moment(read.published, clock::now());
                if count == RECORDS_A_TURN {
                    // More may wait, and what they go on with is not over.
                    until = until.min(when.mono);
                }
                let heard = Heard {
                    ring: ear.ring(),
                    epoch: read.place.0,
                    sequence: read.place.1,
                    record: &read.record,
                    now: when.mono,
                    local: local(when.utc, &self.zone),
                };
                let told = self.engine.hear(&heard);
                if !told.is_empty() {
                    self.tell(cx, told)?;
                    self.say(cx);
                    self.note();
                }
            }
        }
        Ok((any, until))
    }

    /// To the ring, for recorders, the page and programs; behind it to the supervisor, for hooks and servers.
    fn tell(&mut self, cx: &Context, told: Vec<Told>) -> Result<(), Fault> {
        for told in told {
            self.write(cx, &told)?;
            let mut data = told.data.clone();
            data.insert("id".to_owned(), told.id.clone().into());
            data.insert("time_utc_ns".to_owned(), told.time_utc_ns.into());
            let (what, camera) = (happening(told.stage), told.camera.clone());
            self.outbox.put(Letter { what, camera, why: in_words(&told), data });
            self.order(&told);
        }
        Ok(())
    }

    fn write(&mut self, cx: &Context, told: &Told) -> Result<(), Fault> {
        cx.made(self.output.emit(&told.record())?);
        self.said.note(told, clock::mono());
        Ok(())
    }

    /// What goes on is said in the ring again and again, also where others are told of it once an hour.
    fn remind(&mut self, cx: &Context) -> Result<(), Fault> {
        for told in self.engine.again() {
            if self.said.is_due(&told, clock::mono()) {
                self.write(cx, &told)?;
            }
        }
        Ok(())
    }

    /// As much of it as the supervisor takes now.
    fn say(&mut self, cx: &Context) {
        while let Some(Letter { what, camera, why, data }) = self.outbox.next(clock::mono()) {
            cx.happened_with(what, &camera, &why, &data);
        }
    }

    fn last_words(&mut self, cx: &Context) {
        let deadline = clock::mono() + LAST_WORDS;
        self.say(cx);
        while self.outbox.waiting() > 0 && clock::mono() < deadline {
            thread::sleep(LOOK_EVERY);
            self.say(cx);
        }
        self.complain();
        let untold = self.outbox.waiting();
        if untold > 0 {
            tracing::error!(untold, "a stop came before hooks and servers were told of all events");
        }
    }

    fn complain(&mut self) {
        let dropped = self.outbox.dropped();
        if dropped > 0 {
            tracing::error!(
                dropped,
                "events of rules come faster than hooks and servers can be told: these were left out"
            );
        }
        for (rule, ring) in self.engine.crowds() {
            tracing::error!(
                rule,
                %ring,
                "this ring tells of more cameras than a rule follows: further ones are passed over"
            );
        }
    }

    fn order(&mut self, told: &Told) {
        let rule = self.config.rules.get(&told.rule);
        let wants = told.stage == Stage::Begin && rule.is_some_and(|rule| rule.snapshot);
        let Some(pictures) = self.pictures.as_ref().filter(|_| wants) else { return };
        let (rule, camera, id) = (told.rule.clone(), told.camera.clone(), told.id.clone());
        let order = Order { rule, camera, id, frame: told.frame.clone() };
        if let Err(trouble) = pictures.order(order) {
            self.fail(&told.rule, &told.camera, trouble.to_string());
        }
    }

    fn tell_pictures(&mut self) {
        let done: Vec<Done> = self.pictures.iter().flat_map(Pictures::done).collect();
        for Done { order, result } in done {
            match result {
                Ok(kept) => {
                    self.trouble = None;
                    let path = kept.path.display().to_string();
                    let why = format!("{}: {path}", order.rule);
                    let data = json!({
                        "rule": order.rule, "camera": order.camera, "id": order.id, "path": path,
                        "bytes": kept.bytes, "frame": kept.frame, "time_utc_ns": kept.time_utc_ns,
                    });
                    let data: Map<String, Value> = data.as_object().cloned().unwrap_or_default();
                    let (what, camera) = (Happening::RuleSnapshot, order.camera);
                    self.outbox.put(Letter { what, camera, why, data });
                }
                Err(trouble) => self.fail(&order.rule, &order.camera, trouble.to_string()),
            }
        }
    }

    fn fail(&mut self, rule: &str, camera: &str, why: String) {
        tracing::error!(rule, camera, why, "no picture is kept");
        self.trouble = Some(why);
    }

    fn be(&self, cx: &mut Context) {
        let lacks: Vec<(Condition, String)> = self.ears.iter().filter_map(Ear::lack).collect();
        let is_refused = |(condition, _): &&(Condition, String)| *condition == Condition::Degraded;
        // One that is there and cannot be read is a fault, however well the others do.
        let refused: Vec<&str> =
            lacks.iter().filter(is_refused).map(|(_, why)| why.as_str()).collect();
        let all = || lacks.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>().join("; ");
        if let Some(trouble) = &self.trouble {
            cx.condition(Condition::Degraded, format!("no picture is kept: {trouble}"));
        } else if !refused.is_empty() {
            cx.condition(Condition::Degraded, refused.join("; "));
        } else if !lacks.is_empty() && lacks.len() == self.ears.len() {
            cx.condition(Condition::Waiting, all());
        } else {
            cx.condition(Condition::Flowing, "");
        }
    }

    /// Not while something waits for the supervisor, or a kill would keep it from hooks for ever: the next life reads
    /// it again, and tells it under the same id.
    fn note(&mut self) {
        let is_behind = self.outbox.waiting() > 0;
        if is_behind && clock::mono().saturating_since(self.noted) < BEHIND_MAX {
            return;
        }
        self.noted = clock::mono();
        let places = self.ears.iter().filter_map(|ear| Some((ear.ring().clone(), ear.place()?)));
        let notes = Notes {
            at: self.noted,
            places: places.collect(),
            events: self.engine.kept(),
            is_fresh: true,
        };
        if let Err(error) = notes.save(&self.notes) {
            tracing::warn!(%error, "how far it is cannot be written down: a restart may tell something again or not at all");
        }
    }
}

/// The first of them that are not longer than this together.
fn fitting(all: impl Iterator<Item = Value>, most_bytes: usize) -> Vec<Value> {
    let mut left = most_bytes;
    let fits = |one: &Value| {
        let rest = left.checked_sub(one.to_string().len() + 1);
        left = rest.unwrap_or_default();
        rest.is_some()
    };
    all.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_as_much_of_what_goes_on_as_fits_into_a_message() {
        let all = || (0..9).map(|number| json!(number));
        assert_eq!(fitting(all(), 100).len(), 9);
        assert_eq!(fitting(all(), 7), [json!(0), json!(1), json!(2)]);
        assert!(fitting([json!("x".repeat(10))].into_iter(), 10).is_empty());
    }
}
