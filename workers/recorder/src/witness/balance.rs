//! What was seen against what should be there, parted into windows. Pure.

use std::collections::HashSet;
use std::time::Duration;

use protocol::name::RingName;
use protocol::time::MonoNs;
use protocol::witness::SeenWindow;

use super::Id;

/// A decoder that was parked, or slow because nobody wanted more, hears of a new reader within this.
const GETS_GOING: Duration = Duration::from_millis(800);

/// One packet, without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) id: Id,
    pub(super) published: MonoNs,
    pub(super) capture: MonoNs,
    pub(super) dts_ns: i64,
    /// Of the first video track.
    pub(super) video: bool,
    /// A file can hold it.
    pub(super) carried: bool,
}

/// One picture, by the packet it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) id: Id,
    /// Of its own ring.
    pub(super) epoch: u64,
    pub(super) published: MonoNs,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pictures {
    /// The ring of their packets.
    pub(super) source: Option<RingName>,
    pub(super) seen: Vec<Picture>,
    /// When the reader found that it was too slow for some.
    pub(super) unread: Vec<MonoNs>,
}

impl Pictures {
    pub(super) fn add(&mut self, source: RingName, picture: Picture) {
        self.source = Some(source);
        self.seen.push(picture);
    }
}

/// What a watch of one ring saw, in its order.
#[derive(Clone, Debug)]
pub(super) enum Story {
    Packets(Vec<Packet>),
    Pictures(Pictures),
}

/// Published packets against recorded ones, and against the source's own times. `recorded` is `None` for
/// a ring that nobody records.
pub(super) fn packets(
    packets: &[Packet],
    recorded: Option<&HashSet<Id>>,
    marks: &[MonoNs],
) -> Vec<SeenWindow> {
    let empty = SeenWindow { lost: recorded.map(|_| 0), ..SeenWindow::default() };
    let mut windows = vec![empty; marks.len() + 1];
    let usual = Usual::of(packets, marks);
    for packet in packets {
        let window = &mut windows[window_of(packet.published, marks)];
        window.items += 1;
        if let (Some(recorded), Some(lost)) = (recorded, &mut window.lost) {
            *lost += u64::from(packet.carried && !recorded.contains(&packet.id));
        }
    }
    for pair in packets.windows(2) {
        let [before, after] = pair else { continue };
        let window = &mut windows[window_of(after.published, marks)];
        pause(window, before.published, after.published);
        if before.id.0 != after.id.0 {
            window.new_epochs += 1;
            let gap = after.capture.saturating_since(before.capture).saturating_sub(usual.step);
            let gap_ms = window.source_gap_ms.get_or_insert(0.0);
            *gap_ms = gap_ms.max(gap.as_secs_f64() * 1000.0);
        }
    }
    let video: Vec<&Packet> = packets.iter().filter(|packet| packet.video).collect();
    for pair in video.windows(2) {
        let [before, after] = pair else { continue };
        if before.id.0 == after.id.0 {
            windows[window_of(after.published, marks)].missing += usual.missing(before, after);
        }
    }
    windows
}

/// Pictures against the packets they should have come from.
pub(super) fn pictures(
    pictures: &Pictures,
    source: Option<&Story>,
    marks: &[MonoNs],
) -> Vec<SeenWindow> {
    let mut windows = vec![SeenWindow::default(); marks.len() + 1];
    for picture in &pictures.seen {
        windows[window_of(picture.published, marks)].items += 1;
    }
    for pair in pictures.seen.windows(2) {
        let [before, after] = pair else { continue };
        let window = &mut windows[window_of(after.published, marks)];
        pause(window, before.published, after.published);
        window.new_epochs += u64::from(before.epoch != after.epoch);
    }
    if let Some(lost) = lost_pictures(pictures, source, marks) {
        for (window, lost) in windows.iter_mut().zip(lost) {
            window.lost = lost;
        }
    }
    windows
}

/// By window; `None` where it cannot be told: the reader missed some itself (a window), the packets were
/// not read, or the decoder leaves pictures out although nothing disturbs it (all).
fn lost_pictures(
    pictures: &Pictures,
    source: Option<&Story>,
    marks: &[MonoNs],
) -> Option<Vec<Option<u64>>> {
    let Some(Story::Packets(packets)) = source else { return None };
    let made: HashSet<Id> = pictures.seen.iter().map(|picture| picture.id).collect();
    let attached = pictures.seen.first()?.published;
    let at_full_rate = |picture: &&Picture| picture.published >= attached + GETS_GOING;
    let ids = || pictures.seen.iter().filter(at_full_rate).map(|picture| picture.id);
    let (first, last) = (ids().min()?, ids().max()?);
    let mut lost = vec![Some(0); marks.len() + 1];
    for packet in packets.iter().filter(|packet| packet.video) {
        let expected = first <= packet.id && packet.id <= last;
        if let Some(lost) = &mut lost[window_of(packet.published, marks)] {
            *lost += u64::from(expected && !made.contains(&packet.id));
        }
    }
    pictures.unread.iter().for_each(|when| lost[window_of(*when, marks)] = None);
    (lost[0] == Some(0)).then_some(lost)
}

fn pause(window: &mut SeenWindow, before: MonoNs, after: MonoNs) {
    let pause_ms = after.saturating_since(before).as_secs_f64() * 1000.0;
    window.pause_ms = window.pause_ms.max(pause_ms);
}

/// The number of marks that are not after it.
fn window_of(published: MonoNs, marks: &[MonoNs]) -> usize {
    marks.partition_point(|mark| *mark <= published)
}

/// How far apart the source's pictures are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Usual {
    /// The median.
    step: Duration,
    /// The longest while nothing was disturbed.
    longest: Duration,
}

impl Usual {
    fn of(packets: &[Packet], marks: &[MonoNs]) -> Self {
        let video: Vec<&Packet> = packets.iter().filter(|packet| packet.video).collect();
        let steps = video.windows(2).filter_map(|pair| {
            let [before, after] = pair else { return None };
            let calm = window_of(after.published, marks) == 0;
            (before.id.0 == after.id.0).then(|| (step(before, after), calm))
        });
        let steps: Vec<(Duration, bool)> = steps.collect();
        let longest = steps.iter().filter(|(_, calm)| *calm).map(|(step, _)| *step).max();
        let mut all: Vec<Duration> = steps.iter().map(|(step, _)| *step).collect();
        all.sort_unstable();
        let step = all.get(all.len() / 2).copied().unwrap_or_default();
        Self { step, longest: longest.unwrap_or_default() }
    }

    /// Pictures that should lie between these two, by their own times. A camera whose pictures come
    /// unevenly by itself is measured by its longest step.
    fn missing(self, before: &Packet, after: &Packet) -> u64 {
        let seen = step(before, after);
        if self.step.is_zero() || seen * 2 <= self.step.max(self.longest) * 3 {
            return 0;
        }
        let steps = (seen + self.step / 2).as_nanos() / self.step.as_nanos();
        u64::try_from(steps).unwrap_or(u64::MAX).saturating_sub(1)
    }
}

fn step(before: &Packet, after: &Packet) -> Duration {
    Duration::from_nanos(u64::try_from(after.dts_ns - before.dts_ns).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> MonoNs {
        MonoNs(ms * 1_000_000)
    }

    /// Packet `sequence` of an epoch, 40 ms after the one before it.
    fn packet(epoch: u64, sequence: u64, at_ms: u64) -> Packet {
        let dts_ns = i64::try_from(sequence * 40_000_000).unwrap();
        Packet {
            id: (epoch, sequence),
            published: ms(at_ms),
            capture: ms(at_ms),
            dts_ns,
            video: true,
            carried: true,
        }
    }

    fn run(epoch: u64, from: u64, to: u64, at_ms: u64) -> Vec<Packet> {
        (from..=to).map(|n| packet(epoch, n, at_ms + (n - from) * 40)).collect()
    }

    fn all_but(packets: &[Packet], lost: &[Id]) -> HashSet<Id> {
        packets.iter().map(|packet| packet.id).filter(|id| !lost.contains(id)).collect()
    }

    #[test]
    fn a_packet_that_is_in_no_file_is_lost_in_the_window_it_was_published_in() {
        let seen = run(7, 1, 10, 0);
        let recorded = all_but(&seen, &[(7, 6)]);
        let windows = packets(&seen, Some(&recorded), &[ms(100), ms(300)]);
        let lost: Vec<_> = windows.iter().map(|window| (window.items, window.lost)).collect();
        assert_eq!(lost, [(3, Some(0)), (5, Some(1)), (2, Some(0))]);
        let unrecorded = packets(&seen, None, &[ms(100)]);
        assert_eq!(unrecorded[1].lost, None);
    }

    #[test]
    fn what_no_file_can_carry_is_not_lost() {
        let mut seen = run(7, 1, 3, 0);
        seen[1].carried = false;
        let windows = packets(&seen, Some(&all_but(&seen, &[(7, 2)])), &[]);
        assert_eq!(windows[0].lost, Some(0));
    }

    #[test]
    fn a_restarted_source_costs_a_gap_and_no_packet() {
        let seen = [run(7, 1, 5, 0), run(8, 1, 5, 460)].concat();
        let windows = packets(&seen, Some(&all_but(&seen, &[])), &[ms(150)]);
        assert_eq!(windows[1].new_epochs, 1);
        assert_eq!(windows[1].source_gap_ms, Some(260.0));
        assert_eq!((windows[1].missing, windows[1].lost), (0, Some(0)));
        assert_eq!(windows[0].source_gap_ms, None);
    }

    #[test]
    fn a_hole_in_the_sources_own_times_is_missing_packets() {
        let mut seen = run(7, 1, 10, 0);
        // The ring numbers what it gets: three pictures never came to it.
        for packet in &mut seen[6..] {
            packet.dts_ns += 3 * 40_000_000;
        }
        let windows = packets(&seen, None, &[ms(100)]);
        assert_eq!((windows[0].missing, windows[1].missing), (0, 3));
    }

    #[test]
    fn a_camera_that_is_uneven_by_itself_misses_nothing() {
        let mut seen = run(7, 1, 20, 0);
        let mut late = 0;
        for packet in &mut seen {
            late += if packet.id.1.is_multiple_of(3) { 40_000_000 } else { 0 };
            packet.dts_ns += late;
        }
        let windows = packets(&seen, None, &[ms(200)]);
        assert!(windows.iter().all(|window| window.missing == 0), "{windows:?}");
    }

    /// Of a source that came `GETS_GOING` after the reader.
    fn picture(id: Id, epoch: u64, at_ms: u64) -> Picture {
        Picture { id, epoch, published: ms(at_ms) }
    }

    fn attached() -> Vec<Picture> {
        vec![picture((6, 1), 1, 0)]
    }

    #[test]
    fn a_packet_without_a_picture_is_a_lost_picture() {
        let packets = run(7, 1, 10, 1000);
        let mut seen = Pictures { seen: attached(), ..Pictures::default() };
        for packet in packets.iter().filter(|packet| !(5..=7).contains(&packet.id.1)) {
            let epoch = if packet.id.1 < 5 { 1 } else { 2 };
            seen.seen.push(picture(packet.id, epoch, packet.published.0 / 1_000_000 + 5));
        }
        let source = Story::Packets(packets);
        let windows = pictures(&seen, Some(&source), &[ms(1130)]);
        assert_eq!((windows[0].lost, windows[1].lost), (Some(0), Some(3)));
        assert_eq!(windows[1].new_epochs, 1);
        assert_eq!(pictures(&seen, None, &[])[0].lost, None);
        seen.unread = vec![ms(1200)];
        let windows = pictures(&seen, Some(&source), &[ms(1130)]);
        assert_eq!((windows[0].lost, windows[1].lost), (Some(0), None));
    }

    #[test]
    fn a_decoder_that_leaves_pictures_out_in_calm_times_is_not_counted() {
        let packets = run(7, 1, 10, 1000);
        let odd = packets.iter().filter(|packet| packet.id.1 % 2 == 1);
        let seen = odd.map(|packet| picture(packet.id, 1, packet.published.0 / 1_000_000));
        let seen = attached().into_iter().chain(seen).collect();
        let seen = Pictures { seen, ..Pictures::default() };
        let windows = pictures(&seen, Some(&Story::Packets(packets)), &[ms(1200)]);
        assert!(windows.iter().all(|window| window.lost.is_none()));
    }
}
