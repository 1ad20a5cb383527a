//! When a fragment ends and when a file ends. Pure.
//!
//! * A fragment is a group of pictures or one second, whichever is shorter.
//! * A file ends at the key frame nearest to a multiple of `segment` on the clock, so that the files of
//!   all cameras begin together; also at the next key frame when times or tracks do not continue, and at
//!   once when they cannot share a timeline.

use protocol::time::UtcNs;

/// Longest span of a fragment: what a SIGKILL of the whole system costs.
const FRAGMENT_NS: i64 = 1_000_000_000;
/// Most payload in a fragment; bounds the recorder's memory. One second at 256 Mbit/s.
const FRAGMENT_BYTES: usize = 32 << 20;
/// Times may step back this far (jitter of a camera's clock); farther, they are another timeline.
const BACK_MAX_NS: i64 = 1_000_000_000;
/// Times may step ahead this far; farther, the file goes on at the next key frame in a new one.
const AHEAD_MAX_NS: i64 = 10_000_000_000;

/// When a file that begins at `begin` should end: at the multiple of the segment on the clock that is
/// nearest to a full segment later. A file that begins a little before a multiple is not cut there.
pub(crate) fn boundary(begin: UtcNs, segment_ns: i64) -> UtcNs {
    let segment_ns = segment_ns.unsigned_abs().max(1);
    let middle = begin.0.saturating_add(segment_ns / 2);
    UtcNs(middle.div_ceil(segment_ns).saturating_mul(segment_ns))
}

/// What is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    /// From the topology: how long a file lasts.
    pub(crate) segment_ns: i64,
    /// Decode time of the file's first packet.
    pub(crate) file_dts_ns: i64,
    /// When the file should end; see [`boundary`].
    pub(crate) boundary: UtcNs,
    /// Decode time of the last packet that began a group of pictures, or any without video.
    pub(crate) entry_dts_ns: i64,
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
    pub(crate) capture: UtcNs,
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
    let jumps = arrival.discontinuity || step_ns > AHEAD_MAX_NS;
    if arrival.entry && (is_time(progress, arrival) || progress.renew || jumps) {
        return Cut::File;
    }
    let span_ns = arrival.dts_ns.saturating_sub(progress.fragment_dts_ns);
    let full = progress.fragment_bytes + arrival.payload_bytes > FRAGMENT_BYTES;
    if arrival.group || jumps || span_ns >= FRAGMENT_NS || full { Cut::Fragment } else { Cut::None }
}

/// Whether this entry is the one nearest to the boundary: the next will come a group later.
fn is_time(progress: &Progress, arrival: &Arrival) -> bool {
    let group_ns = arrival.dts_ns.saturating_sub(progress.entry_dts_ns).max(0);
    let nearest_ns = arrival.capture.0.saturating_add(group_ns.unsigned_abs() / 2);
    // A clock that was set back, or media faster than it, does not make files longer and longer.
    let age_ns = arrival.dts_ns.saturating_sub(progress.file_dts_ns);
    let overdue_ns = progress.segment_ns.saturating_add(progress.segment_ns / 2);
    nearest_ns >= progress.boundary.0 || age_ns >= overdue_ns
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

    /// A file that began with the minute.
    fn progress() -> Progress {
        Progress {
            segment_ns: 60 * SECOND,
            file_dts_ns: 0,
            boundary: utc(60 * SECOND),
            entry_dts_ns: 30 * SECOND,
            fragment_dts_ns: 30 * SECOND,
            fragment_bytes: 1000,
            renew: false,
        }
    }

    fn utc(ns: i64) -> UtcNs {
        UtcNs(ns.unsigned_abs())
    }

    fn packet_at(dts_ns: i64) -> Arrival {
        let previous_dts_ns = Some(dts_ns - 40_000_000);
        let capture = utc(dts_ns);
        Arrival { dts_ns, capture, previous_dts_ns, payload_bytes: 100, ..Arrival::default() }
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
        let of_the_minute = Arrival { dts_ns: 60 * SECOND, capture: utc(60 * SECOND), ..sound };
        assert_eq!(decide(&progress(), &of_the_minute), Cut::File);
    }

    #[test]
    fn a_file_ends_at_the_key_frame_nearest_to_the_clocks_mark() {
        let groups_of_4_s = |last: i64| Progress { entry_dts_ns: last * SECOND, ..progress() };
        assert_eq!(decide(&groups_of_4_s(53), &key_at(57 * SECOND)), Cut::Fragment);
        assert_eq!(decide(&groups_of_4_s(57), &key_at(61 * SECOND)), Cut::File);
        assert_eq!(decide(&groups_of_4_s(54), &key_at(58 * SECOND)), Cut::File);
        assert_eq!(decide(&progress(), &packet_at(60 * SECOND)), Cut::Fragment);
    }

    #[test]
    fn files_begin_with_the_clock_whenever_the_first_began() {
        let end = |begin: i64| boundary(utc(begin * SECOND), 60 * SECOND);
        assert_eq!(end(0), utc(60 * SECOND));
        // Begun a little early, or in the middle of a minute.
        assert_eq!(end(59), utc(120 * SECOND));
        assert_eq!(end(20), utc(60 * SECOND));
        assert_eq!(end(40), utc(120 * SECOND));
        assert_eq!(boundary(UtcNs(u64::MAX), 1), UtcNs(u64::MAX));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_make_a_file_endless() {
        let set_back = |dts_ns| Arrival { capture: UtcNs(0), ..key_at(dts_ns) };
        assert_eq!(decide(&progress(), &set_back(89 * SECOND)), Cut::Fragment);
        assert_eq!(decide(&progress(), &set_back(90 * SECOND)), Cut::File);
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
