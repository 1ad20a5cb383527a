//! All rules over all cameras: records in, events out.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use protocol::config::rules::LocalTime;
use protocol::config::zone::Zones;
use protocol::config::{Rule, RulesConfig};
use protocol::name::RingName;
use protocol::record::Record;
use protocol::stream::FrameId;
use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::episode::{Episode, Stage};
use crate::finding::Finding;
use crate::fit::best;
use crate::record::Phase;

/// Cameras of a large site, told of in one ring to one rule. Who makes up more of them is not followed, and silences neither
/// another ring nor another rule.
const CAMERAS_MAX: usize = 1_000;
/// Of what analyzers call things.
const WORD_MAX_CHARS: usize = 100;

/// A record, with where and when it was read.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    pub ring: &'a RingName,
    pub epoch: u64,
    pub sequence: u64,
    pub record: &'a Record,
    pub now: MonoNs,
    /// What the machine's own clock shows.
    pub local: LocalTime,
}

/// What of it all is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub stage: Stage,
    pub rule: String,
    pub camera: String,
    /// The same from the begin to the end.
    pub id: String,
    /// The picture it is about: of a begin the first that fitted, else the last.
    pub frame: Option<FrameId>,
    pub time_utc_ns: u64,
    /// Facts, among them `rule` and `camera`.
    pub data: Map<String, Value>,
}

impl Told {
    /// As it stands in a record ring: its type begins with the rule's name.
    pub fn record(&self) -> Record {
        Record {
            id: self.id.clone(),
            kind: format!("{}.{}", self.rule, self.stage.as_str()),
            camera: self.camera.clone(),
            frame: self.frame.clone(),
            time_utc_ns: self.time_utc_ns,
            data: Value::Object(self.data.clone()),
        }
    }
}

/// The rules, and how far each is on each camera.
#[derive(Clone, Debug)]
pub struct Engine {
    rules: Vec<(String, Rule)>,
    zones: Zones,
    /// By the rule's place among them, and the camera.
    entries: BTreeMap<(usize, String), Entry>,
    /// Rules and rings of which a camera too many was turned away; and those of them that nobody was told of yet.
    crowds: BTreeSet<(usize, RingName)>,
    untold: Vec<(usize, RingName)>,
}

/// What outlives a process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept(Vec<KeptEntry>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct KeptEntry {
    rule: String,
    camera: String,
    entry: Entry,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Entry {
    episode: Episode,
    story: Option<Story>,
    /// Whose record began it; an earlier version did not say.
    #[serde(default)]
    ring: Option<RingName>,
}

/// What is known of an event, or of what may become one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Story {
    id: String,
    first: Sight,
    last: Sight,
    /// The surest sight of all, and how sure it was.
    best: Map<String, Value>,
    peak: Option<f64>,
    records: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sight {
    frame: Option<FrameId>,
    time_utc_ns: u64,
}

impl Engine {
    pub fn new(config: &RulesConfig) -> Self {
        let rules = config.rules.iter().map(|(name, rule)| (name.clone(), rule.clone())).collect();
        let zones = config.zones.clone();
        Self { rules, zones, entries: BTreeMap::new(), crowds: BTreeSet::new(), untold: Vec::new() }
    }

    /// Goes on where an earlier life was; what its rules were about that are gone is forgotten.
    pub fn restore(&mut self, kept: Kept) {
        for KeptEntry { rule, camera, entry } in kept.0 {
            if let Some(at) = self.rules.iter().position(|(name, _)| *name == rule) {
                self.entries.insert((at, camera), entry);
            }
        }
    }

    pub fn kept(&self) -> Kept {
        let kept = |((at, camera), entry): (&(usize, String), &Entry)| {
            let rule = self.rules.get(*at)?.0.clone();
            Some(KeptEntry { rule, camera: camera.clone(), entry: entry.clone() })
        };
        Kept(self.entries.iter().filter_map(kept).collect())
    }

    /// Rules and cameras of the events that go on.
    pub fn open(&self) -> impl Iterator<Item = (&str, &str)> {
        let open = self.entries.iter().filter(|(_, entry)| entry.episode.is_open());
        open.filter_map(|((at, camera), _)| {
            Some((self.rules.get(*at)?.0.as_str(), camera.as_str()))
        })
    }

    /// A record was read.
    pub fn hear(&mut self, heard: &Heard<'_>) -> Vec<Told> {
        let mut told = Vec::new();
        for at in 0..self.rules.len() {
            self.hear_for(at, heard, &mut told);
        }
        told
    }

    fn hear_for(&mut self, at: usize, heard: &Heard<'_>, told: &mut Vec<Told>) {
        let key = (at, heard.record.camera.clone());
        if Phase::of(heard.record) == Phase::Ended {
            // Whatever it says, its type included: by its id it ends what a record that did fit began.
            if let Some(entry) = self.entries.get_mut(&key) {
                let (name, rule) = &self.rules[at];
                told.extend(entry.tick(heard.now, name, rule, &heard.record.camera));
                entry.let_go(heard);
            }
        } else {
            self.hear_finding(key, heard, told);
        }
    }

    /// Of what is no end.
    fn hear_finding(&mut self, key: (usize, String), heard: &Heard<'_>, told: &mut Vec<Told>) {
        let Heard { ring, record, now, local, .. } = *heard;
        let rule = &self.rules[key.0].1;
        let Some(finding) = best(rule, &self.zones, ring, record, local) else { return };
        if !self.has_room(&key, ring) {
            return;
        }
        let (name, rule) = &self.rules[key.0];
        let entry = self.entries.entry(key).or_default();
        entry.ring.get_or_insert_with(|| ring.clone());
        told.extend(entry.tick(now, name, rule, &record.camera));
        if Phase::of(record) == Phase::GoesOn {
            entry.episode.hold(now, ring, &record.id);
        }
        let zone = finding.zone(&rule.zone, &self.zones, &record.camera);
        let stage = entry.episode.fits(now, rule);
        if entry.episode.is_idle() {
            return;
        }
        entry.see(name, heard, &finding, zone);
        told.extend(stage.and_then(|stage| entry.told(stage, name, &record.camera)));
    }

    /// Time passed.
    pub fn tick(&mut self, now: MonoNs) -> Vec<Told> {
        let mut told = Vec::new();
        for ((at, camera), entry) in &mut self.entries {
            let (name, rule) = &self.rules[*at];
            told.extend(entry.tick(now, name, rule, camera));
        }
        self.entries.retain(|_, entry| !entry.episode.is_over(now));
        told
    }

    /// Rules and rings of which a camera too many was turned away; of each once.
    pub fn crowds(&mut self) -> Vec<(&str, RingName)> {
        let untold = std::mem::take(&mut self.untold).into_iter();
        untold.filter_map(|(at, ring)| Some((self.rules.get(at)?.0.as_str(), ring))).collect()
    }

    /// Whether a camera that is not known yet is followed.
    fn has_room(&mut self, key: &(usize, String), ring: &RingName) -> bool {
        if self.entries.contains_key(key) {
            return true;
        }
        let of_rule = self.entries.range((key.0, String::new())..(key.0 + 1, String::new()));
        let is_full =
            of_rule.filter(|(_, entry)| entry.ring.as_ref() == Some(ring)).count() >= CAMERAS_MAX;
        if is_full && self.crowds.insert((key.0, ring.clone())) {
            self.untold.push((key.0, ring.clone()));
        }
        !is_full
    }

    /// All that goes on, once more: after a restart those who listen may have taken it for over.
    pub fn again(&self) -> Vec<Told> {
        let open = self.entries.iter().filter(|(_, entry)| entry.episode.is_open());
        let told = open.filter_map(|((at, camera), entry)| {
            entry.told(Stage::Update, &self.rules.get(*at)?.0, camera)
        });
        told.collect()
    }

    /// Nobody looks any more: all that goes on ends.
    pub fn finish(&mut self, now: MonoNs) -> Vec<Told> {
        let mut told = Vec::new();
        for ((at, camera), entry) in &mut self.entries {
            let (name, rule) = &self.rules[*at];
            let stage = entry.episode.finish(now, rule);
            told.extend(stage.and_then(|stage| entry.told(stage, name, camera)));
        }
        self.entries.clear();
        told
    }
}

impl Entry {
    fn tick(&mut self, now: MonoNs, name: &str, rule: &Rule, camera: &str) -> Option<Told> {
        let stage = self.episode.tick(now, rule);
        let told = stage.and_then(|stage| self.told(stage, name, camera));
        if self.episode.is_idle() {
            self.story = None;
        }
        told
    }

    fn let_go(&mut self, heard: &Heard<'_>) {
        let was_held = self.episode.let_go(heard.now, heard.ring, &heard.record.id);
        if let Some(story) = self.story.as_mut().filter(|_| was_held) {
            story.last = Sight::of(heard.record);
        }
    }

    fn see(&mut self, name: &str, heard: &Heard<'_>, finding: &Finding<'_>, zone: Option<String>) {
        let Heard { ring, epoch, sequence, record, .. } = heard;
        let sight = Sight::of(record);
        let story = self.story.get_or_insert_with(|| Story {
            id: format!("{name}-{epoch}-{sequence}"),
            first: sight.clone(),
            last: sight.clone(),
            best: Map::new(),
            peak: None,
            records: 0,
        });
        story.last = sight;
        story.records += 1;
        let score = finding.score();
        if story.records > 1 && score <= story.peak {
            return;
        }
        story.peak = score;
        let of = json!({ "ring": ring, "id": shortened(&record.id), "type": record.kind });
        story.best = facts(finding, zone, &record.data);
        story.best.insert("of".to_owned(), of);
    }

    fn told(&self, stage: Stage, name: &str, camera: &str) -> Option<Told> {
        let story = self.story.as_ref()?;
        let sight = if stage == Stage::Begin { &story.first } else { &story.last };
        let mut data = Map::new();
        data.insert("rule".to_owned(), name.into());
        data.insert("camera".to_owned(), camera.into());
        data.extend(story.best.clone());
        data.insert("records".to_owned(), story.records.into());
        if stage == Stage::End {
            let span_ns = story.last.time_utc_ns.saturating_sub(story.first.time_utc_ns);
            data.insert("duration_ms".to_owned(), (span_ns / 1_000_000).into());
        }
        Some(Told {
            stage,
            rule: name.to_owned(),
            camera: camera.to_owned(),
            id: story.id.clone(),
            frame: sight.frame.clone(),
            time_utc_ns: sight.time_utc_ns,
            data,
        })
    }
}

impl Sight {
    fn of(record: &Record) -> Self {
        Self { frame: record.frame.clone(), time_utc_ns: record.time_utc_ns }
    }
}

/// A word, not a novel: what is told fits into one message.
fn shortened(text: &str) -> String {
    text.chars().take(WORD_MAX_CHARS).collect()
}

/// What was found, where, and how surely.
fn facts(finding: &Finding<'_>, zone: Option<String>, data: &Value) -> Map<String, Value> {
    let mut facts = Map::new();
    let mut say = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            facts.insert(key.to_owned(), value);
        }
    };
    say("label", finding.label().map(|label| shortened(label).into()));
    say("score", finding.score().map(Value::from));
    say("zone", zone.map(|zone| shortened(&zone).into()));
    if let Some(outline) = finding.outline() {
        say("box", Some(json!(outline)));
        for side in ["width", "height"] {
            say(side, data.get(side).filter(|side| side.is_number()).cloned());
        }
    }
    facts
}
