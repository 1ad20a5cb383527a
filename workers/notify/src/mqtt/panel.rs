//! Topics and what stands in them: a project's state for anybody, and how Home Assistant finds it. Pure.
//!
//! ```text
//! PREFIX/status                          online | offline (the last will)
//! PREFIX/event/NAME                      each event, as a web server gets it; not retained
//! PREFIX/camera/CAM/connected            ON | OFF          PREFIX/camera/CAM/health     ok, frozen, black...
//! PREFIX/camera/CAM/recording            ON | OFF          PREFIX/camera/CAM/rule/RULE  ON | OFF
//! PREFIX/camera/CAM/rule/RULE/about      the rule's last event
//! ```

use std::collections::BTreeMap;

use protocol::name::ProjectName;
use serde_json::{Value, json};

use crate::home::{Camera, Home};

pub(crate) const ONLINE: &str = "online";
pub(crate) const OFFLINE: &str = "offline";
const MAKER: &str = "framevisor";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Topics with what is retained in them.
pub(crate) type Retained = BTreeMap<String, String>;

/// How topics are called.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) project: ProjectName,
    pub(crate) prefix: String,
    /// `None` when nobody is to find anything.
    pub(crate) discovery: Option<String>,
}

/// What Home Assistant shows as one thing of a device.
struct Entity<'a> {
    /// Below the device's own.
    id: String,
    name: &'a str,
    class: Option<&'a str>,
    topic: String,
    /// How the topic says yes and no.
    words: (&'a str, &'a str),
    more: Value,
}

impl Panel {
    pub(crate) fn status(&self) -> String {
        format!("{}/status", self.prefix)
    }

    pub(crate) fn event(&self, name: &str) -> String {
        format!("{}/event/{name}", self.prefix)
    }

    /// Where Home Assistant says that it has started, and so forgotten.
    pub(crate) fn birth(&self) -> Option<String> {
        self.discovery.as_ref().map(|prefix| format!("{prefix}/status"))
    }

    /// All that is to stand at the broker, while the worker runs and when it has ended.
    pub(crate) fn retained(&self, home: &Home, runs: bool) -> Retained {
        let mut all = Retained::new();
        all.insert(self.status(), if runs { ONLINE } else { OFFLINE }.to_owned());
        let own = Entity {
            id: "online".to_owned(),
            name: "Online",
            class: Some("connectivity"),
            topic: self.status(),
            words: (ONLINE, OFFLINE),
            more: json!({}),
        };
        self.announce(&mut all, None, own);
        for (name, camera) in &home.cameras {
            self.camera(&mut all, name, camera);
        }
        for (camera, rules) in home.rules.iter().filter(|(it, _)| home.cameras.contains_key(*it)) {
            for (rule, state) in rules {
                let topic = format!("{}/camera/{camera}/rule/{rule}", self.prefix);
                let about = format!("{topic}/about");
                all.insert(topic.clone(), on_off(state.is_on));
                all.insert(about.clone(), state.about.clone());
                let entity = Entity {
                    id: format!("rule_{rule}"),
                    name: rule,
                    class: Some("motion"),
                    topic,
                    words: ("ON", "OFF"),
                    more: json!({ "json_attributes_topic": about }),
                };
                self.announce(&mut all, Some(camera), entity);
            }
        }
        // An empty one is no state: it takes the topic away.
        all.retain(|_, payload| !payload.is_empty());
        all
    }

    fn camera(&self, all: &mut Retained, name: &str, camera: &Camera) {
        let topic = |what: &str| format!("{}/camera/{name}/{what}", self.prefix);
        let entity = |what: &str, shown, class, words: (&'static str, &'static str), more| Entity {
            id: what.to_owned(),
            name: shown,
            class: Some(class),
            topic: topic(what),
            words,
            more,
        };
        let plain = ("ON", "OFF");
        if let Some(is) = camera.connected {
            all.insert(topic("connected"), on_off(is));
            let connected = entity("connected", "Connected", "connectivity", plain, json!({}));
            self.announce(all, Some(name), connected);
        }
        if let Some(health) = &camera.health {
            all.insert(topic("health"), health.clone());
            // "problem" is on when something is wrong, and the topic has a word for each wrong.
            let is_wrong = "{{ 'OFF' if value in ['ok', 'unknown'] else 'ON' }}";
            let more = json!({ "value_template": is_wrong });
            self.announce(all, Some(name), entity("health", "Picture", "problem", plain, more));
        }
        if let Some(is) = camera.recording {
            all.insert(topic("recording"), on_off(is));
            let recording = entity("recording", "Recording", "running", plain, json!({}));
            self.announce(all, Some(name), recording);
        }
    }

    /// The project itself is a device too, without a camera's name.
    fn announce(&self, all: &mut Retained, camera: Option<&str>, entity: Entity<'_>) {
        let Some(discovery) = &self.discovery else { return };
        let own = format!("{MAKER}_{}", self.project);
        let device_id = camera.map_or_else(|| own.clone(), |camera| format!("{own}_{camera}"));
        let mut device = json!({
            "identifiers": [device_id],
            "name": camera.unwrap_or(self.project.as_str()),
            "manufacturer": MAKER,
            "model": if camera.is_some() { "camera" } else { "project" },
            "sw_version": VERSION,
        });
        let (on, off) = entity.words;
        let mut config = json!({
            "name": entity.name,
            "unique_id": format!("{device_id}_{}", entity.id),
            "state_topic": entity.topic,
            "payload_on": on,
            "payload_off": off,
            "origin": { "name": MAKER, "sw_version": VERSION },
        });
        if camera.is_some() {
            device["via_device"] = own.into();
            config["availability_topic"] = self.status().into();
        }
        if let Some(class) = entity.class {
            config["device_class"] = class.into();
        }
        for (key, value) in entity.more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        config["device"] = device;
        let topic = format!("{discovery}/binary_sensor/{device_id}/{}/config", entity.id);
        all.insert(topic, config.to_string());
    }
}

fn on_off(is: bool) -> String {
    if is { "ON" } else { "OFF" }.to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::home::tests::{happened, yard};

    pub(crate) fn panel() -> Panel {
        let discovery = Some("homeassistant".to_owned());
        Panel { project: "yard".parse().unwrap(), prefix: "framevisor/yard".to_owned(), discovery }
    }

    fn at<'a>(all: &'a Retained, topic: &str) -> &'a str {
        all.get(topic).unwrap_or_else(|| panic!("no {topic} in {:?}", all.keys()))
    }

    #[test]
    fn the_state_of_each_camera_stands_in_topics_of_its_own() {
        let mut home = yard();
        let data = json!({"camera": "front", "rule": "night", "score": 0.5});
        home.hear(&happened("rule.night.begin", "alerts", "", data));
        let all = panel().retained(&home, true);
        assert_eq!(at(&all, "framevisor/yard/status"), "online");
        assert_eq!(at(&all, "framevisor/yard/camera/front/connected"), "ON");
        assert_eq!(at(&all, "framevisor/yard/camera/door/connected"), "OFF");
        assert_eq!(at(&all, "framevisor/yard/camera/front/rule/night"), "ON");
        assert!(at(&all, "framevisor/yard/camera/front/rule/night/about").contains("0.5"));
        // What nobody has said is not made up.
        assert!(!all.contains_key("framevisor/yard/camera/front/recording"));
        assert_eq!(at(&panel().retained(&home, false), "framevisor/yard/status"), "offline");
    }

    #[test]
    fn home_assistant_finds_each_with_its_topic_its_device_and_when_it_is_there() {
        let all = panel().retained(&yard(), true);
        let topic = "homeassistant/binary_sensor/framevisor_yard_front/connected/config";
        let config: Value = serde_json::from_str(at(&all, topic)).unwrap();
        assert_eq!(config["state_topic"], "framevisor/yard/camera/front/connected");
        assert_eq!(config["availability_topic"], "framevisor/yard/status");
        assert_eq!(config["unique_id"], "framevisor_yard_front_connected");
        assert_eq!(config["device"]["via_device"], "framevisor_yard");
        assert_eq!(config["device"]["identifiers"], json!(["framevisor_yard_front"]));
        let own = "homeassistant/binary_sensor/framevisor_yard/online/config";
        let own: Value = serde_json::from_str(at(&all, own)).unwrap();
        assert_eq!(
            (own["payload_on"].as_str(), own.get("availability_topic")),
            (Some("online"), None)
        );
        let mut ids: Vec<Value> = Vec::new();
        for (topic, payload) in all.iter().filter(|(topic, _)| topic.ends_with("/config")) {
            let config: Value = serde_json::from_str(payload).unwrap();
            let state = config["state_topic"].as_str().unwrap();
            assert!(all.contains_key(state), "{topic} is about {state}, where nothing stands");
            assert!(!ids.contains(&config["unique_id"]), "{topic}: an id twice");
            ids.push(config["unique_id"].clone());
        }
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn without_discovery_only_the_state_stands_there() {
        let all = Panel { discovery: None, ..panel() }.retained(&yard(), true);
        assert!(all.keys().all(|topic| topic.starts_with("framevisor/yard/")), "{all:?}");
    }
}
