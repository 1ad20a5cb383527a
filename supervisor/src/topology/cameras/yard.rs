//! Where the workers of cameras grow: those of one camera each, and those that cameras share.

use protocol::config::Kind;

use super::super::problem::{ExpandProblem, Finding, Subject};
use super::super::tree::{Entry, Key, Map, Node, Place, Value, get, lay_beneath, take};
use super::{Camera, OURS, Record};

/// Of a detector: where it looks, which differs from camera to camera.
const ZONES: [&str; 2] = ["zones", "ignore"];

/// The workers that grow out of the cameras.
pub(super) struct Yard<'a> {
    /// Of one camera each.
    pub(super) own: Map,
    /// Of all of them.
    pub(super) shared: Map,
    pub(super) written: &'a mut Map,
    pub(super) findings: &'a mut Vec<Finding>,
}

impl Yard<'_> {
    pub(super) fn add(&mut self, camera: &Camera) {
        let out = |ring: &str| entry("out", camera.place(), Node::text(camera.place(), ring).value);
        let mut ingest = camera.ingest.clone();
        if camera.audio.is_some() {
            ingest.push(out(&camera.sent()));
        }
        self.own(camera, camera.name.text.clone(), Kind::Ingest, None, &ingest);
        if let Some(keys) = &camera.audio {
            let mut keys = keys.clone();
            keys.push(out(&camera.packets()));
            self.own(camera, camera.part("audio"), Kind::Encoder, Some(camera.sent()), &keys);
        }
        let mut seen = vec![camera.packets()];
        if let Some(keys) = &camera.sub {
            let place = camera.place();
            let out = entry("out", place, Node::text(place, camera.sub_packets()).value);
            let keys: Map = keys.iter().cloned().chain([out]).collect();
            self.own(camera, camera.part("sub"), Kind::Ingest, None, &keys);
        }
        if let Some(keys) = &camera.frames {
            let input = Some(camera.pictures());
            self.own(camera, camera.part("decode"), Kind::Decoder, input, keys);
            seen.push(camera.frames_ring());
        }
        if let Some(keys) = &camera.motion {
            let (name, input) = (camera.part("motion"), Some(camera.frames_ring()));
            seen.push(format!("{name}.events"));
            self.own(camera, name, Kind::Motion, input, keys);
        }
        if let Some(keys) = &camera.detect {
            let name = self.detect(camera, keys);
            seen.push(format!("{name}.events"));
        }
        if let Some(keys) = &camera.push {
            let input = Some(camera.packets());
            self.own(camera, camera.part("push"), Kind::RtspPush, input, keys);
        }
        match &camera.record {
            None => {}
            Some(Record::Joined(keys)) => {
                self.join(camera, Kind::Recorder, keys, &[camera.packets()]);
            }
            Some(Record::Own(keys)) => {
                self.grouped(camera, Kind::Recorder, "record", keys, camera.packets());
            }
        }
        if camera.rtsp {
            self.join(camera, Kind::Rtsp, &Map::new(), &[camera.packets()]);
        }
        if camera.web {
            self.join(camera, Kind::Web, &Map::new(), &seen);
        }
    }

    fn own(
        &mut self,
        camera: &Camera,
        name: String,
        kind: Kind,
        input: Option<String>,
        keys: &[Entry],
    ) {
        self.must_be_free(camera, &name);
        let place = camera.place();
        let mut all = worker(kind, place, input.into_iter().collect());
        all.extend(keys.iter().cloned());
        if let Some(restart) = &camera.restart {
            lay_beneath(&mut all, std::slice::from_ref(restart));
        }
        self.own.push(entry(&name, place, Value::Map(all)));
    }

    fn must_be_free(&mut self, camera: &Camera, name: &str) {
        let Some(other) = self.written.iter().find(|worker| worker.key.text == name) else {
            return;
        };
        let (worker, first) = (name.to_owned(), other.key.place);
        let subject = Subject::Camera(camera.name.text.clone());
        let problem = ExpandProblem::CameraWorker { worker, first }.into();
        self.findings.push(Finding { place: Some(camera.place()), subject, problem });
    }

    /// Its worker of the model. Zones are of the camera that says them: cameras share a worker, and so its runs,
    /// also when they look elsewhere.
    fn detect(&mut self, camera: &Camera, keys: &[Entry]) -> String {
        let mut keys = keys.to_vec();
        let zones = own_zones(camera, &mut keys);
        let name = self.grouped(camera, Kind::Detect, "detect", &keys, camera.frames_ring());
        let worker = self.shared.iter_mut().find(|worker| worker.key.text == name);
        if let Some(Value::Map(there)) = worker.map(|worker| &mut worker.value.value) {
            add_zones(there, zones);
        }
        name
    }

    /// Cameras with the same settings share a worker of the kind; the first settings get the plain name. Which
    /// worker it is.
    fn grouped(
        &mut self,
        camera: &Camera,
        kind: Kind,
        part: &str,
        keys: &[Entry],
        ring: String,
    ) -> String {
        let same = |worker: &&mut Entry| {
            let Value::Map(there) = &worker.value.value else { return false };
            is_kind(worker, kind) && same_settings(there, keys)
        };
        let input = [ring];
        if let Some(worker) = self.shared.iter_mut().find(same) {
            add_inputs(worker, &input, camera.place());
            return worker.key.text.clone();
        }
        let plain = kind.as_str();
        let is_free =
            [&self.shared, &*self.written].iter().all(|workers| get(workers, plain).is_none());
        let name = if is_free { plain.to_owned() } else { camera.part(part) };
        self.make(camera, &name, kind, keys, &input);
        name
    }

    /// The camera's rings go to the worker named after the kind, else to the first of that kind
    /// that is written by hand, else to a new one.
    fn join(&mut self, camera: &Camera, kind: Kind, keys: &[Entry], rings: &[String]) {
        let name = kind.as_str();
        let place = camera.place();
        let by_hand = self.written.iter().position(|worker| worker.key.text == name);
        let by_hand = by_hand.or_else(|| self.written.iter().position(|it| is_kind(it, kind)));
        if let Some(at) = by_hand.filter(|&at| is_kind(&self.written[at], kind)) {
            add_inputs(&mut self.written[at], rings, place);
        } else if let Some(shared) = self.shared.iter_mut().find(|it| it.key.text == name) {
            add_inputs(shared, rings, place);
        } else {
            self.make(camera, name, kind, keys, rings);
        }
    }

    fn make(&mut self, camera: &Camera, name: &str, kind: Kind, keys: &[Entry], rings: &[String]) {
        self.must_be_free(camera, name);
        let mut all = worker(kind, camera.place(), rings.to_vec());
        all.extend(keys.iter().cloned());
        self.shared.push(entry(name, camera.place(), Value::Map(all)));
    }
}

pub(super) fn entry(name: &str, place: Place, value: Value) -> Entry {
    Entry { key: Key { text: name.to_owned(), place }, value: Node { place, value } }
}

fn worker(kind: Kind, place: Place, rings: Vec<String>) -> Map {
    let mut keys = vec![entry("use", place, Node::text(place, kind.as_str()).value)];
    if !rings.is_empty() {
        let input = match (kind.single_input(), &rings[..]) {
            (true, [ring]) => Node::text(place, ring.as_str()).value,
            _ => Value::List(rings.into_iter().map(|ring| Node::text(place, ring)).collect()),
        };
        keys.push(entry("in", place, input));
    }
    keys
}

fn is_kind(worker: &Entry, kind: Kind) -> bool {
    let Value::Map(keys) = &worker.value.value else { return false };
    get(keys, "use").and_then(Node::as_text) == Some(kind.as_str())
}

fn add_inputs(worker: &mut Entry, rings: &[String], place: Place) {
    let Value::Map(keys) = &mut worker.value.value else { return };
    if get(keys, "in").is_none_or(|node| matches!(node.value, Value::Null)) {
        take(keys, "in");
        keys.push(entry("in", place, Value::List(Vec::new())));
    }
    let Some(inputs) = keys.iter_mut().find(|entry| entry.key.text == "in") else { return };
    let inputs = &mut inputs.value;
    if let Value::Text(_) = inputs.value {
        inputs.value = Value::List(vec![inputs.clone()]);
    }
    if let Value::List(items) = &mut inputs.value {
        for ring in rings {
            // What several cameras write to is read once.
            if items.iter().all(|item| item.as_text() != Some(ring.as_str())) {
                items.push(Node::text(place, ring.as_str()));
            }
        }
    }
}

/// Takes what a camera says of where is looked out of `keys`, under names that are its own.
fn own_zones(camera: &Camera, keys: &mut Map) -> Map {
    let mut own: Map = ZONES.iter().filter_map(|key| take(keys, key)).collect();
    for entry in &mut own {
        let Value::Map(zones) = &mut entry.value.value else { continue };
        for zone in zones.iter_mut().filter(|zone| !zone.key.text.contains('.')) {
            zone.key.text = format!("{}.{}", camera.name.text, zone.key.text);
        }
    }
    own
}

fn add_zones(worker: &mut Map, zones: Map) {
    for entry in zones {
        match worker.iter_mut().find(|there| there.key.text == entry.key.text) {
            None => worker.push(entry),
            Some(there) => {
                if let (Value::Map(there), Value::Map(more)) =
                    (&mut there.value.value, entry.value.value)
                {
                    there.extend(more);
                }
            }
        }
    }
}

/// Whether a worker's keys, beside those of the expansion, say the same as `keys`.
fn same_settings(worker: &[Entry], keys: &[Entry]) -> bool {
    let is_setting = |entry: &&Entry| {
        let key = &&*entry.key.text;
        !OURS.contains(key) && !ZONES.contains(key)
    };
    let settings: Vec<&Entry> = worker.iter().filter(is_setting).collect();
    let has = |key: &&Entry| {
        keys.iter().any(|own| own.key.text == key.key.text && own.value.says_the_same(&key.value))
    };
    settings.len() == keys.len() && settings.iter().all(has)
}
