//! Times of one connection: from zero on, and rising over restarts of the camera. Pure.

use media::AccessUnit;
use worker::timeline::{Timeline, Times};

use crate::backlog::Unit;

#[derive(Debug, Default)]
pub(crate) struct Line {
    timeline: Timeline,
    /// When the first unit is decoded, on the ring's line.
    zero_ns: Option<i64>,
    epoch: Option<u64>,
}

impl Line {
    /// The unit as the connection's track `track`; `None` for sound from before its first picture.
    pub(crate) fn place(&mut self, unit: Unit, track: u32) -> Option<AccessUnit> {
        let meta = unit.packet.meta;
        if self.epoch.replace(unit.packet.epoch).is_some_and(|last| last != unit.packet.epoch) {
            self.timeline.cut();
        }
        let times = Times { pts_ns: meta.pts_ns, dts_ns: meta.dts_ns };
        let times = self.timeline.place(times, meta.discontinuity, unit.packet.published);
        let zero_ns = *self.zero_ns.get_or_insert(times.dts_ns);
        let dts_ns = times.dts_ns.saturating_sub(zero_ns);
        (dts_ns >= 0).then(|| AccessUnit {
            track,
            key: meta.key,
            corrupt: meta.corrupt,
            pts_ns: times.pts_ns.saturating_sub(zero_ns),
            dts_ns,
            duration_ns: meta.duration_ns,
            payload: unit.packet.payload,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::time::MonoNs;
    use shmring::{Packet, PacketMeta};

    use super::*;

    const MS: i64 = 1_000_000;

    fn unit(epoch: u64, at_ms: i64, host_ms: u64) -> Unit {
        let (pts_ns, dts_ns) = ((at_ms + 40) * MS, at_ms * MS);
        let meta = PacketMeta { pts_ns, dts_ns, ..PacketMeta::default() };
        let published = MonoNs(host_ms * 1_000_000);
        let packet = Packet { epoch, sequence: 1, meta, published, payload: vec![7] };
        Unit { packet, tracks: Arc::new([]), begins: false }
    }

    #[test]
    fn a_connection_begins_at_zero_and_goes_on_over_a_restart_of_the_camera() {
        let mut line = Line::default();
        let mut place = |epoch, at_ms, host_ms| {
            line.place(unit(epoch, at_ms, host_ms), 0).map(|unit| unit.dts_ns / MS)
        };
        assert_eq!(place(1, 90_000, 1_000), Some(0));
        assert_eq!(place(1, 89_990, 1_001), None, "sound from before the first picture");
        assert_eq!(place(1, 90_040, 1_040), Some(40));
        assert_eq!(place(2, 0, 3_040), Some(2_040));
        assert_eq!(place(2, 40, 3_090), Some(2_080));
    }

    #[test]
    fn what_is_shown_later_than_it_is_decoded_stays_so() {
        let placed = Line::default().place(unit(1, 500, 0), 3).unwrap();
        assert_eq!((placed.pts_ns, placed.dts_ns, placed.track), (40 * MS, 0, 3));
    }
}
