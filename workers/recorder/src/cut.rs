//! When a fragment ends and when a file ends. Pure.
//!
//! * A fragment is a group of pictures or one second, whichever is shorter.
//! * A file ends at the first key frame after `segment`; also at the next key frame when times or
//!   tracks do not continue, and at once when they cannot share a timeline.

/// Longest span of a fragment: what a SIGKILL of the whole system costs.
const FRAGMENT_NS: i64 = 1_000_000_000;
/// Most payload in a fragment; bounds the recorder's memory. One second at 256 Mbit/s.
const FRAGMENT_BYTES: usize = 32 << 20;
/// Times may step back this far (jitter of a camera's clock); farther, they are another timeline.
const BACK_MAX_NS: i64 = 1_000_000_000;
/// Times may step ahead this far; farther, the file goes on at the next key frame in a new one.
const AHEAD_MAX_NS: i64 = 10_000_000_000;

/// What is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// From the topology: how long a file lasts.
    pub(crate) segment_ns: i64,
    /// Decode time of the file's first packet.
    pub(crate) file_dts_ns: i64,
    /// Decode time of the open fragment's first packet.
    pub(crate) fragment_dts_ns: i64,
    pub(crate) fragment_bytes: usize,
    /// Something since the file's begin asks for a new one at the next key frame.
    pub(crate) renew: bool,
}

/// The packet that comes next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    /// A file may begin here: a key frame of the first video track, or any packet without video.
    pub(crate) entry: bool,
    /// A group of pictures begins here: an entry of a ring with video.
    pub(crate) group: bool,
    pub(crate) dts_ns: i64,
    /// Decode time of the packet before it on the same track.
    pub(crate) previous_dts_ns: Option<i64>,
    pub(crate) payload_bytes: usize,
    pub(crate) discontinuity: bool,
}

/// What to do before the packet is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nothing.
    None,
    /// End the fragment.
    Fragment,
    /// End the fragment and the file.
    File,
}

pub(crate) fn decide(progress: &Progress, arrival: &Arrival) -> Cut {
    let step_ns = arrival.previous_dts_ns.map_or(0, |dts_ns| arrival.dts_ns.saturating_sub(dts_ns));
    if step_ns < -BACK_MAX_NS {
        return Cut::File;
    }
    let age_ns = arrival.dts_ns.saturating_sub(progress.file_dts_ns);
    let jumps = arrival.discontinuity || step_ns > AHEAD_MAX_NS;
    if arrival.entry && (age_ns >= progress.segment_ns || progress.renew || jumps) {
        return Cut::File;
    }
    let span_ns = arrival.dts_ns.saturating_sub(progress.fragment_dts_ns);
    let full = progress.fragment_bytes + arrival.payload_bytes > FRAGMENT_BYTES;
    if arrival.group || jumps || span_ns >= FRAGMENT_NS || full { Cut::Fragment } else { Cut::None }
}

/// Whether the file is to be renewed at the next key frame once this packet is in it.
pub(crate) fn asks_for_renewal(arrival: &Arrival) -> bool {
    let ahead = |dts_ns| arrival.dts_ns.saturating_sub(dts_ns) > AHEAD_MAX_NS;
    arrival.discontinuity || arrival.previous_dts_ns.is_some_and(ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn progress() -> Progress {
        Progress {
            segment_ns: 60 * SECOND,
            file_dts_ns: 0,
            fragment_dts_ns: 30 * SECOND,
            fragment_bytes: 1000,
            renew: false,
        }
    }

    fn packet_at(dts_ns: i64) -> Arrival {
        let previous_dts_ns = Some(dts_ns - 40_000_000);
        Arrival { dts_ns, previous_dts_ns, payload_bytes: 100, ..Arrival::default() }
    }

    fn key_at(dts_ns: i64) -> Arrival {
        Arrival { entry: true, group: true, ..packet_at(dts_ns) }
    }

    #[test]
    fn a_fragment_is_a_group_of_pictures_or_a_second() {
        assert_eq!(decide(&progress(), &packet_at(31 * SECOND - 1)), Cut::None);
        assert_eq!(decide(&progress(), &packet_at(31 * SECOND)), Cut::Fragment);
        assert_eq!(decide(&progress(), &key_at(30 * SECOND + 500_000_000)), Cut::Fragment);
    }

    #[test]
    fn sound_alone_is_cut_by_time() {
        let sound = Arrival { entry: true, ..packet_at(30 * SECOND + 1) };
        assert_eq!(decide(&progress(), &sound), Cut::None);
        assert_eq!(decide(&progress(), &Arrival { dts_ns: 60 * SECOND, ..sound }), Cut::File);
    }

    #[test]
    fn a_file_ends_at_the_first_key_frame_after_the_segment() {
        assert_eq!(decide(&progress(), &packet_at(60 * SECOND)), Cut::Fragment);
        assert_eq!(decide(&progress(), &key_at(60 * SECOND - 1)), Cut::Fragment);
        assert_eq!(decide(&progress(), &key_at(60 * SECOND)), Cut::File);
    }

    #[test]
    fn a_discontinuity_waits_for_its_key_frame() {
        let jump = Arrival { discontinuity: true, ..packet_at(30 * SECOND + 1) };
        assert_eq!(decide(&progress(), &jump), Cut::Fragment);
        assert!(asks_for_renewal(&jump));
        let renewed = Progress { renew: true, ..progress() };
        assert_eq!(decide(&renewed, &packet_at(30 * SECOND + 2)), Cut::None);
        assert_eq!(decide(&renewed, &key_at(30 * SECOND + 2)), Cut::File);
        let at_key = Arrival { discontinuity: true, ..key_at(30 * SECOND + 1) };
        assert_eq!(decide(&progress(), &at_key), Cut::File);
    }

    #[test]
    fn times_that_run_back_get_a_file_of_their_own() {
        let back = Arrival { previous_dts_ns: Some(45 * SECOND), ..packet_at(30 * SECOND) };
        assert_eq!(decide(&progress(), &back), Cut::File);
        let jitter = Arrival { previous_dts_ns: Some(30 * SECOND + 5), ..packet_at(30 * SECOND) };
        assert_eq!(decide(&progress(), &jitter), Cut::None);
    }

    #[test]
    fn a_leap_ahead_ends_the_file_at_the_next_key_frame() {
        let leap = Arrival { previous_dts_ns: Some(30 * SECOND), ..packet_at(45 * SECOND) };
        assert_eq!(decide(&progress(), &leap), Cut::Fragment);
        assert!(asks_for_renewal(&leap));
    }

    #[test]
    fn memory_is_bounded() {
        let full = Progress { fragment_bytes: FRAGMENT_BYTES, ..progress() };
        assert_eq!(decide(&full, &packet_at(30 * SECOND + 1)), Cut::Fragment);
    }
}
