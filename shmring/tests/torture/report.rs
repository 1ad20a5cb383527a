//! The verdict over what the parts have written down.

use serde_json::{Value, json};

use crate::Plan;
use crate::director::Role;
use crate::ledger::Figures;

/// More than a reader may take between two looks at the same ring.
const SLACK_DESCRIPTORS: u64 = 6;
const SLACK_MAPPINGS: u64 = 6;
/// Two logs and two generations of slots may be mapped at once.
const SLACK_SPACE_KIB: u64 = 48 << 10;

#[expect(unexpected_cfgs, reason = "set by scripts/torture --sabotage pin alone")]
const SABOTAGED: bool = cfg!(shmring_sabotage);

/// What the director did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) killed_readers: u64,
    pub(crate) killed_writers: u64,
    pub(crate) stops: u64,
    pub(crate) sweeps: u64,
    /// Parts found dead that nobody had killed.
    pub(crate) ended_by_themselves: u64,
}

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) plan: Plan,
    pub(crate) tally: Tally,
    pub(crate) figures: Vec<(&'static str, Role, Figures)>,
    pub(crate) all_ended: bool,
    pub(crate) names_left: Vec<String>,
}

impl Report {
    /// With the pin sabotaged, torn pictures are what must come out.
    pub(crate) fn is_ok(&self) -> bool {
        if SABOTAGED {
            return self.sum(|figures| figures.torn) > 0;
        }
        let faults = self.sum(|figures| {
            figures.torn + figures.bad + figures.unaccounted + figures.errors + figures.starved
        });
        faults == 0
            && self.tally.ended_by_themselves == 0
            && self.all_ended
            && self.is_accounted()
            && self.names_left.is_empty()
            && self.witnesses().all(|figures| is_flat(&figures))
            // Nothing is proven by nothing.
            && self.items("frame-reader") > 0
            && self.items("packet-reader") > 0
            && self.tally.killed_writers > 0
    }

    /// Whether every packet reader came to the very packet that the writer published last.
    fn is_accounted(&self) -> bool {
        let last = |figures: &Figures| (figures.epoch, figures.sequence);
        let named = |wanted: &str| {
            let wanted = wanted.to_owned();
            self.figures.iter().filter(move |(name, ..)| *name == wanted).map(|(.., f)| f)
        };
        let published = named("packet-writer").map(last).next();
        ["packet-reader", "packet-witness"]
            .into_iter()
            .all(|name| named(name).all(|figures| Some(last(figures)) == published))
    }

    fn witnesses(&self) -> impl Iterator<Item = Figures> {
        let witnesses = self.figures.iter().filter(|(_, role, _)| *role == Role::Witness);
        witnesses.map(|(.., figures)| *figures)
    }

    fn sum(&self, of: impl Fn(&Figures) -> u64) -> u64 {
        self.figures.iter().map(|(.., figures)| of(figures)).sum()
    }

    fn items(&self, prefix: &str) -> u64 {
        let named = self.figures.iter().filter(|(name, ..)| name.starts_with(prefix));
        named.map(|(.., figures)| figures.items).sum()
    }

    pub(crate) fn json(&self) -> Value {
        let holdings: Vec<Value> = self.witnesses().map(|figures| holding(&figures)).collect();
        json!({
            "ok": self.is_ok(),
            "sabotage": if SABOTAGED { "pin" } else { "none" },
            "seconds": self.plan.time.as_secs(),
            "seed": self.plan.seed,
            "killed": {
                "readers": self.tally.killed_readers,
                "writers": self.tally.killed_writers,
            },
            "stopped_readers": self.tally.stops,
            "sweeps": self.tally.sweeps,
            "frames": {
                "published": self.items("frame-writer"),
                "checked": self.items("frame-reader") + self.items("frame-witness"),
                "torn": self.sum(|figures| figures.torn),
            },
            "packets": {
                "published": self.items("packet-writer"),
                "checked": self.items("packet-reader") + self.items("packet-witness"),
                "bad": self.sum(|figures| figures.bad),
                "missed_and_told": self.sum(|figures| figures.missed),
                "unaccounted": self.sum(|figures| figures.unaccounted),
                "read_to_the_last": self.is_accounted(),
            },
            "epochs_lost_and_told": self.sum(|figures| figures.lost_epochs),
            "starved": self.sum(|figures| figures.starved),
            "errors": self.sum(|figures| figures.errors),
            "ended_by_themselves": self.tally.ended_by_themselves,
            "all_ended": self.all_ended,
            "names_left": self.names_left,
            "witnesses": holdings,
        })
    }
}

fn holding(figures: &Figures) -> Value {
    json!({
        "epochs": figures.new_epochs,
        "descriptors": [figures.descriptors_first, figures.descriptors_most],
        "mappings": [figures.mappings_first, figures.mappings_most],
        "address_space_kib": [figures.space_first_kib, figures.space_most_kib],
        "flat": is_flat(figures),
    })
}

fn is_flat(figures: &Figures) -> bool {
    let within = |first: u64, most: u64, slack: u64| most <= first + slack;
    within(figures.descriptors_first, figures.descriptors_most, SLACK_DESCRIPTORS)
        && within(figures.mappings_first, figures.mappings_most, SLACK_MAPPINGS)
        && within(figures.space_first_kib, figures.space_most_kib, SLACK_SPACE_KIB)
}
