//! Whether sound comes with the pictures: by what is heard, since a track of it is no promise of any. Pure.

use shmring::Packet;

/// So long without a sound there is none.
const SILENT_NS: i64 = 3_000_000_000;
/// How long pictures at the begin of an epoch wait for a first sound.
const HELD_NS: i64 = 1_000_000_000;

/// What is known of the sound of the epoch being read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ears {
    epoch: u64,
    /// Decode times of the first picture and of the last sound.
    first_ns: Option<i64>,
    heard_ns: Option<i64>,
}

impl Ears {
    /// `lead` is the track of the pictures, `sound` that of the sound, if there is one.
    pub fn hear(&mut self, packet: &Packet, lead: u32, sound: Option<u32>) {
        if packet.epoch != self.epoch {
            *self = Self { epoch: packet.epoch, ..Self::default() };
        }
        let meta = &packet.meta;
        if Some(meta.track) == sound {
            self.heard_ns = Some(meta.dts_ns);
        } else if meta.track == lead {
            self.first_ns.get_or_insert(meta.dts_ns);
        }
    }

    /// Whether sound comes; `None` while that is not known.
    pub fn flows(&self, now_ns: i64) -> Option<bool> {
        let since = |then_ns: i64| now_ns.saturating_sub(then_ns);
        if let Some(heard_ns) = self.heard_ns {
            return Some(since(heard_ns) < SILENT_NS);
        }
        self.first_ns.filter(|first_ns| since(*first_ns) >= HELD_NS).map(|_| false)
    }
}
