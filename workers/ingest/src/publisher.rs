//! Access units into the packet ring: where a stream may begin, which group a unit is in.

use protocol::control::RingContract;
use protocol::name::{ProjectName, RingName};
use protocol::stream::Track;
use protocol::time::UtcNs;
use shmring::{Error, PacketMeta, PacketWriter, clock};

use crate::gop::GopCounter;
use crate::source::CapturedUnit;

/// The ring's writer, created once the tracks are known.
#[derive(Debug)]
pub(crate) struct Publisher {
    project: ProjectName,
    contract: RingContract,
    ring: Option<PacketWriter>,
    has_video: bool,
    /// The ring tells of what flows.
    is_described: bool,
    gop: GopCounter,
    gate: Gate,
}

impl Publisher {
    pub(crate) fn new(project: &ProjectName, contract: &RingContract, now: UtcNs) -> Self {
        Self {
            project: project.clone(),
            contract: contract.clone(),
            ring: None,
            has_video: false,
            is_described: false,
            gop: GopCounter::new(contract.gop_floor, now),
            gate: Gate::default(),
        }
    }

    /// What flows from here on. Nothing is published of what the ring cannot tell.
    pub(crate) fn describe(&mut self, tracks: &[Track]) -> Result<(), Error> {
        self.has_video = tracks.first().is_some_and(|track| track.codec.is_video());
        let described = self.tell(tracks);
        self.is_described = described.is_ok();
        if !self.is_described {
            self.gate.close();
        }
        described
    }

    fn tell(&mut self, tracks: &[Track]) -> Result<(), Error> {
        match &mut self.ring {
            Some(ring) => ring.set_tracks(tracks),
            None => {
                let ring = PacketWriter::create(&self.project, &self.contract, tracks)?;
                tracing::debug!(epoch = ring.epoch(), "ring {} is there", ring.ring());
                self.ring = Some(ring);
                Ok(())
            }
        }
    }

    pub(crate) fn is_described(&self) -> bool {
        self.is_described
    }

    /// Readers can only come to a ring that is there.
    pub(crate) fn is_there(&self) -> bool {
        self.ring.is_some()
    }

    pub(crate) fn ring_name(&self) -> &RingName {
        &self.contract.name
    }

    /// Asked while the ring's writer waits for an essential reader; `false` ends the wait.
    pub(crate) fn while_waiting(&mut self, go_on: impl FnMut() -> bool + Send + 'static) {
        if let Some(ring) = &mut self.ring {
            ring.while_waiting(go_on);
        }
    }

    /// Answers the packet's sequence; `None` when nobody could use it: nothing can be decoded
    /// before the first key frame of a connection.
    pub(crate) fn publish(&mut self, captured: &CapturedUnit) -> Result<Option<u64>, Error> {
        let unit = &captured.unit;
        let begins_group = unit.key && unit.track == 0;
        if captured.discontinuity {
            self.gate.close();
        }
        if !self.is_described {
            return Ok(None);
        }
        let (Some(ring), Some(discontinuity)) =
            (&mut self.ring, self.gate.pass(begins_group || !self.has_video))
        else {
            return Ok(None);
        };
        if begins_group {
            self.gop.on_key();
        }
        let meta = PacketMeta {
            track: unit.track,
            key: unit.key,
            discontinuity: discontinuity || captured.jumped,
            corrupt: unit.corrupt,
            pts_ns: unit.pts_ns,
            dts_ns: unit.dts_ns,
            duration_ns: unit.duration_ns,
            capture: captured.capture,
            clock: captured.clock,
            ingest: clock::mono(),
            gop_index: self.gop.current(),
            source: None,
        };
        let published = ring.publish(&meta, &unit.payload);
        if published.is_err() {
            self.gate.close(); // what follows refers to what is lost
        }
        published.map(Some)
    }

    /// Nothing follows; readers drain the ring and hear of the end.
    pub(crate) fn finish(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.finish();
        }
    }
}

/// Closed until a stream can be decoded. Pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gate {
    closed: bool,
}

impl Default for Gate {
    fn default() -> Self {
        Self { closed: true }
    }
}

impl Gate {
    fn close(&mut self) {
        self.closed = true;
    }

    /// Whether a unit goes through, and then, whether it is the first one to.
    fn pass(&mut self, opens: bool) -> Option<bool> {
        let first = self.closed;
        self.closed &= !opens;
        (!self.closed).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use media::AccessUnit;
    use protocol::config::RingConfig;
    use protocol::stream::Codec;
    use protocol::time::TimeBase;
    use shmring::census;

    use super::*;

    #[test]
    fn nothing_passes_before_a_key_frame_and_the_first_to_pass_is_marked() {
        let mut gate = Gate::default();
        let units = [false, false, true, false, true];
        let passed = units.map(|key| gate.pass(key));
        assert_eq!(passed, [None, None, Some(true), Some(false), Some(false)]);
        gate.close();
        assert_eq!([false, true].map(|key| gate.pass(key)), [None, Some(true)]);
    }

    fn track(headers: usize) -> Track {
        Track {
            codec: Codec::Mjpeg,
            time_base: TimeBase::VIDEO_90K,
            width: 64,
            height: 64,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: vec![7; headers],
        }
    }

    #[test]
    fn nothing_is_published_of_what_no_ring_can_tell() {
        let project: ProjectName = format!("publisher{}", std::process::id()).parse().unwrap();
        let contract = RingContract::new("cam1.packets".parse().unwrap(), RingConfig::default(), 1);
        let mut publisher = Publisher::new(&project, &contract, UtcNs(1));
        let unit = AccessUnit {
            track: 0,
            key: true,
            corrupt: false,
            pts_ns: 0,
            dts_ns: 0,
            duration_ns: 0,
            payload: vec![7; 100],
        };
        let captured = CapturedUnit::of_here(unit, clock::now(), false, false);
        let mut seen = Vec::new();
        for headers in [100_000, 100, 100_000, 100] {
            let told = publisher.describe(&[track(headers)]);
            assert_eq!(told.is_ok(), headers == 100, "{told:?}");
            seen.push(publisher.publish(&captured).unwrap().is_some());
        }
        drop(publisher);
        census::sweep_unowned(&project);
        assert_eq!(seen, [false, true, false, true]);
    }
}
