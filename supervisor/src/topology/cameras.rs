//! `cameras:`, the short way: one entry becomes the workers of one camera, and a place at those
//! that all cameras share.
//!
//! ```text
//! front: {url, audio, sub, record, serve, frames, motion, detect, push}
//!   -> front (ingest), front-audio, front-sub (ingest), front-decode, front-motion, front-push    its own
//!   -> recorder, detect, rtsp, web                   joined, or made by the first that asks
//! ```

mod yard;

use std::collections::BTreeMap;

use protocol::config::PushUrl;
use protocol::config::ingest::Source;
use protocol::name::WorkerName;

use super::expand::{CAMERAS, RINGS, WORKERS, map, section_of};
use super::problem::{Finding, KeyProblem, Subject};
use super::section::Section;
use super::tree::{Entry, Key, Map, Node, Place, Value, get, lay_beneath, take};
use yard::{Yard, entry};

pub(super) const KEYS: [&str; 18] = [
    "url",
    "sub",
    "transport",
    "loop",
    "start",
    "on_demand",
    "audio",
    "record",
    "serve",
    "frames",
    "motion",
    "detect",
    "push",
    "health",
    "max_bitrate",
    "restart",
    "after",
    "like",
];
/// Those that its ingest workers have too.
const PASSED_ON: [&str; 5] = ["transport", "loop", "start", "on_demand", "after"];
/// The expansion itself says these.
pub(super) const OURS: [&str; 4] = ["use", "run", "in", "out"];
const URL: &str = "rtsp://HOST/PATH, test: or the path of a file";
const AUDIO: &str = "aac, opus or copy";
/// Keys of `health` that the ingest looks at, of the main stream; the decoder looks at the others.
const RATES: [&str; 2] = ["fps", "rate"];
const PICTURES: [&str; 3] = ["frozen", "black", "blank"];
const HEALTH: &str = "health";
/// As the camera sends it.
const COPY: &str = "copy";
const SERVE: &str = "a list of rtsp and web";
const GROUP: &str = "the name of a group, such as hall";
/// Of a section of `record`; all others are the recorder's.
pub(super) const GROUP_KEY: &str = "group";
const GROUPS: &str = "groups";
const RECORD: &str = "true, false, a folder or a section with keys";
const SWITCH: &str = "true, false or a section with keys";
const DETECT: &str = "a section with keys, such as {model: yolo11n.onnx}";
const PUSH: &str = "an address such as rtsp://10.0.0.9:8554/cam1, or a section with keys";
const RECORDINGS: &str = "recordings";

/// `front: rtsp://10.0.0.5/main` says `front: {url: rtsp://10.0.0.5/main}`.
pub(super) fn one_liner(camera: &mut Entry) {
    if matches!(camera.value.value, Value::Text(_)) {
        let url = camera.value.clone();
        let key = Key { text: "url".to_owned(), place: url.place };
        camera.value.value = Value::Map(vec![Entry { key, value: url }]);
    }
}

/// Takes `cameras` out of the topology and puts what it means into `workers` and `rings`.
///
/// `has_dir`: recorders have a folder by default.
///
/// The workers of each camera alone.
pub(super) fn expand(
    top: &mut Map,
    has_dir: bool,
    findings: &mut Vec<Finding>,
) -> BTreeMap<String, Vec<WorkerName>> {
    let mut grown = BTreeMap::new();
    let Some(section) = take(top, CAMERAS) else { return grown };
    let place = section.key.place;
    if Section::of(Subject::Topology, &section.key, &section.value, findings).is_none() {
        return grown;
    }
    let read = |entry: &Entry| Camera::read(entry, has_dir, findings);
    let cameras: Vec<Camera> = map(&section.value).iter().filter_map(read).collect();
    if let Some(workers) = section_of(top, WORKERS, place) {
        let mut yard = Yard { own: Map::new(), shared: Map::new(), written: workers, findings };
        for camera in &cameras {
            let before = yard.own.len();
            yard.add(camera);
            // A name that is none is complained of where it is read.
            let own = yard.own[before..].iter().filter_map(|it| it.key.text.parse().ok());
            grown.insert(camera.name.text.clone(), own.collect());
        }
        let Yard { own, shared, .. } = yard;
        // Cameras first: they come before what is written by hand in `ps` too.
        let by_hand = std::mem::take(workers);
        workers.extend(own.into_iter().chain(shared).chain(by_hand));
    }
    if cameras.iter().any(|camera| camera.group.is_some())
        && let Some(groups) = section_of(top, GROUPS, place)
    {
        cameras.iter().for_each(|camera| camera.join_group(groups));
    }
    if let Some(rings) = section_of(top, RINGS, place) {
        cameras.iter().for_each(|camera| camera.ring(rings));
        if rings.is_empty() {
            take(top, RINGS);
        }
    }
    grown
}

/// One camera as meant.
#[derive(Debug)]
struct Camera {
    name: Key,
    /// Keys of its ingest worker.
    ingest: Map,
    /// Keys of the encoder that its sound goes through, if it has one.
    audio: Option<Map>,
    /// The same of its sub stream, which the pictures are taken from.
    sub: Option<Map>,
    /// Keys of its decoder, if it has one.
    frames: Option<Map>,
    motion: Option<Map>,
    detect: Option<Map>,
    /// Keys of who sends it to a server elsewhere, if anybody does.
    push: Option<Map>,
    record: Option<Record>,
    /// The group that it is recorded as one of.
    group: Option<Entry>,
    rtsp: bool,
    web: bool,
    max_bitrate: Option<Entry>,
    restart: Option<Entry>,
}

#[derive(Debug)]
enum Record {
    /// By the recorder that is there, else by one of these keys.
    Joined(Map),
    Own(Map),
}

impl Camera {
    fn read(entry: &Entry, has_dir: bool, findings: &mut Vec<Finding>) -> Option<Self> {
        let subject = Subject::Camera(entry.key.text.clone());
        let mut section = Section::of(subject, &entry.key, &entry.value, findings)?;
        section.refuse_others(&KEYS);
        let motion = switch(&mut section, "motion");
        let detect = detect(&mut section);
        let frames = switch(&mut section, "frames");
        let (rtsp, web) = serve(&mut section);
        let find = |key: &str| section.entries().iter().find(|it| it.key.text == key).cloned();
        let (max_bitrate, restart) = (find("max_bitrate"), find("restart"));
        let mut audio = audio(&mut section);
        let (record, group) = record(&mut section, has_dir);
        let push = push(&mut section);
        let health = health(&mut section);
        if let (Some(keys), Some(Record::Own(record))) = (&mut audio, &record) {
            // What the recorder must not lose may not be lost before it.
            keys.extend(record.iter().filter(|it| it.key.text == "policy").cloned());
        }
        Some(Self {
            name: entry.key.clone(),
            ingest: with_health(ingest(&mut section), health.as_ref(), &RATES),
            audio,
            sub: sub(&mut section),
            // Pictures are what motion is looked for in, and all else.
            frames: frames
                .or_else(|| (motion.is_some() || detect.is_some()).then(Map::new))
                .map(|keys| with_health(keys, health.as_ref(), &PICTURES)),
            motion,
            detect,
            push,
            record,
            group,
            rtsp,
            web,
            max_bitrate,
            restart,
        })
    }

    fn place(&self) -> Place {
        self.name.place
    }

    fn part(&self, part: &str) -> String {
        format!("{}-{part}", self.name.text)
    }

    fn packets(&self) -> String {
        format!("{}.packets", self.name.text)
    }

    /// What comes from the camera itself.
    fn sent(&self) -> String {
        match self.audio {
            Some(_) => format!("{}.source.packets", self.name.text),
            None => self.packets(),
        }
    }

    /// The ring that its pictures are decoded from.
    fn pictures(&self) -> String {
        if self.sub.is_some() { self.sub_packets() } else { self.packets() }
    }

    fn sub_packets(&self) -> String {
        format!("{}.sub.packets", self.name.text)
    }

    fn frames_ring(&self) -> String {
        format!("{}.frames", self.name.text)
    }

    /// Puts it among the members of its group, unless it is one by name already.
    fn join_group(&self, groups: &mut Map) {
        let Some(group) = &self.group else { return };
        let Some(name) = group.value.as_text() else { return };
        if groups.iter().all(|it| it.key.text != name) {
            groups.push(entry(name, group.value.place, Value::List(Vec::new())));
        }
        let Some(members) = groups.iter_mut().find(|it| it.key.text == name) else { return };
        let members = &mut members.value;
        if let Value::Text(_) = members.value {
            members.value = Value::List(vec![members.clone()]);
        }
        let Value::List(members) = &mut members.value else { return };
        if members.iter().all(|member| member.as_text() != Some(self.name.text.as_str())) {
            members.push(Node::text(group.value.place, self.name.text.as_str()));
        }
    }

    fn ring(&self, rings: &mut Map) {
        let Some(bitrate) = &self.max_bitrate else { return };
        let names = [self.packets(), self.sent()];
        // One of them without an encoder between the two.
        for name in &names[..if names[0] == names[1] { 1 } else { 2 }] {
            let setting = vec![bitrate.clone()];
            match rings.iter_mut().find(|ring| ring.key.text == *name) {
                Some(ring) => match &mut ring.value.value {
                    Value::Map(keys) => lay_beneath(keys, &setting),
                    Value::Null => ring.value.value = Value::Map(setting),
                    Value::Broken | Value::List(_) | Value::Text(_) => {}
                },
                None => rings.push(entry(name, bitrate.key.place, Value::Map(setting))),
            }
        }
    }
}

fn ingest(section: &mut Section<'_>) -> Map {
    let mut keys = Map::new();
    let url = section.entries().iter().find(|entry| entry.key.text == "url");
    match url {
        None => {
            section.missing("url");
            keys.push(entry("source", section.place(""), Value::Broken));
        }
        Some(url) => keys.push(source(section, "url", url)),
    }
    let more = section.entries().iter().filter(|it| PASSED_ON.contains(&&*it.key.text));
    keys.extend(more.cloned());
    keys
}

/// Keys of the encoder that makes this of the camera's sound.
fn audio(section: &mut Section<'_>) -> Option<Map> {
    let node = section.get("audio")?;
    match node.as_text() {
        Some("aac" | "opus") => {
            let own = section.entries().iter().filter(|it| it.key.text == "audio");
            Some(own.cloned().collect())
        }
        Some(COPY) => None,
        _ => {
            section.not_a("audio", node, AUDIO);
            None
        }
    }
}

/// The section `health`, whose keys are those of several workers.
fn health(section: &mut Section<'_>) -> Option<Entry> {
    section.below(HEALTH)?.refuse_others(&[RATES.as_slice(), PICTURES.as_slice()].concat());
    section.entries().iter().find(|entry| entry.key.text == HEALTH).cloned()
}

/// A worker's keys with those of `health` that it knows, beneath what it says of it itself.
fn with_health(mut keys: Map, health: Option<&Entry>, known: &[&str]) -> Map {
    let Some(health) = health else { return keys };
    let own = map(&health.value).iter().filter(|entry| known.contains(&&*entry.key.text));
    let own: Map = own.cloned().collect();
    if !own.is_empty() {
        let value = Node { place: health.value.place, value: Value::Map(own) };
        lay_beneath(&mut keys, &[Entry { key: health.key.clone(), value }]);
    }
    keys
}

fn sub(section: &mut Section<'_>) -> Option<Map> {
    let url = section.entries().iter().find(|entry| entry.key.text == "sub")?;
    let mut keys = vec![source(section, "sub", url)];
    let more = section.entries().iter().filter(|it| PASSED_ON.contains(&&*it.key.text));
    keys.extend(more.cloned());
    Some(keys)
}

/// `url` as the source of an ingest worker.
fn source(section: &mut Section<'_>, key: &'static str, url: &Entry) -> Entry {
    let value = if is_source(section, key) { url.value.value.clone() } else { Value::Broken };
    let value = Node { place: url.value.place, value };
    Entry { key: Key { text: "source".to_owned(), ..url.key.clone() }, value }
}

fn is_source(section: &mut Section<'_>, key: &'static str) -> bool {
    let Some(text) = section.text(key, URL) else { return false };
    // What a credential holds is looked at where its value cannot be told.
    if section.get(key).is_some_and(Node::is_secret) {
        return true;
    }
    let parsed = text.value.parse::<Source>();
    if let Err(error) = &parsed {
        let (key, why) = (key.to_owned(), error.to_string());
        section.complain(text.place, KeyProblem::Value { key, why });
    }
    parsed.is_ok()
}

/// A part that is off, on, or on with keys of its own.
fn switch(section: &mut Section<'_>, key: &'static str) -> Option<Map> {
    let node = section.get(key)?;
    match &node.value {
        Value::Map(_) => Some(part(section, key)),
        Value::Broken => None,
        Value::Text(text) if text.value == "true" => Some(Map::new()),
        Value::Text(text) if text.value == "false" => None,
        Value::List(_) | Value::Null | Value::Text(_) => {
            section.not_a(key, node, SWITCH);
            None
        }
    }
}

/// A model is nothing that one could have by default.
fn detect(section: &mut Section<'_>) -> Option<Map> {
    let node = section.get("detect")?;
    match &node.value {
        Value::Map(_) => Some(part(section, "detect")),
        Value::Broken => None,
        Value::List(_) | Value::Null | Value::Text(_) => {
            section.not_a("detect", node, DETECT);
            None
        }
    }
}

/// An address alone, or a section with it.
fn push(section: &mut Section<'_>) -> Option<Map> {
    let entry = section.entries().iter().find(|it| it.key.text == "push")?;
    match &entry.value.value {
        Value::Map(_) => Some(part(section, "push")),
        Value::Broken => None,
        // What a credential holds is looked at where its value cannot be told.
        Value::Text(text) if text.is_secret || PushUrl::parse(&text.value).is_ok() => {
            let key = Key { text: "to".to_owned(), ..entry.key.clone() };
            Some(vec![Entry { key, value: entry.value.clone() }])
        }
        Value::Text(text) if text.value.contains("://") => {
            let why = PushUrl::parse(&text.value).err().map(|error| error.to_string());
            let (key, why) = ("push".to_owned(), why.unwrap_or_default());
            section.complain(entry.value.place, KeyProblem::Value { key, why });
            None
        }
        Value::List(_) | Value::Null | Value::Text(_) => {
            section.not_a("push", &entry.value, PUSH);
            None
        }
    }
}

/// The keys of one part, without those that the expansion says.
fn part(section: &mut Section<'_>, key: &str) -> Map {
    let Some(mut part) = section.below(key) else { return Map::new() };
    let (ours, own): (Vec<&Entry>, Vec<&Entry>) =
        part.entries().iter().partition(|entry| OURS.contains(&&*entry.key.text));
    for entry in ours {
        let problem = KeyProblem::Unknown { key: entry.key.text.clone(), known: Vec::new() };
        part.complain(entry.key.place, problem);
    }
    own.into_iter().cloned().collect()
}

/// By whom it is recorded, and as one of which group.
fn record(section: &mut Section<'_>, has_dir: bool) -> (Option<Record>, Option<Entry>) {
    let Some(node) = section.get("record") else { return (None, None) };
    let dir = |place: Place, path: &str| entry("dir", place, Node::text(place, path).value);
    let mut group = None;
    let record = match &node.value {
        Value::Map(_) => {
            let mut keys = part(section, "record");
            group = take(&mut keys, GROUP_KEY).filter(|group| {
                let is_name = group.value.as_text().is_some();
                if !is_name {
                    section.not_a("record.group", &group.value, GROUP);
                }
                is_name
            });
            if get(&keys, "dir").is_none() && !has_dir {
                keys.push(dir(node.place, RECORDINGS));
            }
            Some(Record::Own(keys))
        }
        Value::Broken => None,
        Value::Text(text) => match text.value.as_str() {
            "true" if has_dir => Some(Record::Joined(Map::new())),
            "true" => Some(Record::Joined(vec![dir(node.place, RECORDINGS)])),
            "false" => None,
            path => Some(Record::Own(vec![dir(node.place, path)])),
        },
        Value::List(_) | Value::Null => {
            section.not_a("record", node, RECORD);
            None
        }
    };
    (record, group)
}

/// Whether over RTSP, whether on the page.
fn serve(section: &mut Section<'_>) -> (bool, bool) {
    let Some(node) = section.get("serve") else { return (true, true) };
    let items = match &node.value {
        Value::List(items) => items.as_slice(),
        Value::Text(text) if text.value == "false" => &[],
        _ => std::slice::from_ref(node),
    };
    let (mut rtsp, mut web) = (false, false);
    for item in items {
        match item.as_text() {
            Some("rtsp") => rtsp = true,
            Some("web") => web = true,
            _ => section.not_a("serve", item, SERVE),
        }
    }
    (rtsp, web)
}

#[cfg(test)]
mod tests;
