//! What is shown when no pictures come any more: the last one, dark, with a bar that wanders, so that whoever looks
//! sees that the stream lives and its program does not. Pure.

use std::time::Duration;

use media::Still;
use protocol::stream::PixelFormat;
use protocol::time::{MonoNs, Stamp};
use shmring::FrameMeta;

/// A program that stands still for so long is told from one that is slow.
const AFTER: Duration = Duration::from_secs(2);
/// Enough for players to go on, and next to no work.
const PERIOD: Duration = Duration::from_millis(200);
/// How much of its light is left of a picture: a third.
const DIMMED: u8 = 3;
/// Of 8 bits, in both ranges of luma and in colours.
const WHITE: u8 = 235;
/// The bar's steps from side to side.
const STEPS: usize = 16;

/// The last picture, and how long it has been the last.
#[derive(Debug, Default)]
pub(crate) struct Slate {
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    still: Still,
    meta: FrameMeta,
    came: MonoNs,
    due: MonoNs,
    /// Slates shown since; the picture is dark from the first on.
    shown: usize,
}

impl Slate {
    /// Gives back the memory of the picture before.
    pub(crate) fn came(&mut self, still: Still, meta: &FrameMeta, now: MonoNs) -> Vec<u8> {
        let last = Last { still, meta: *meta, came: now, due: now + AFTER, shown: 0 };
        self.last.replace(last).map(|before| before.still.samples).unwrap_or_default()
    }

    /// Nobody looks: no slate comes sooner than after whoever comes had time to get a picture.
    pub(crate) fn rests(&mut self, now: MonoNs) {
        if let Some(last) = &mut self.last {
            last.due = now + AFTER;
        }
    }

    /// Whether a picture that comes now, of this time, was overtaken by a slate: it was made before that was shown, and
    /// took longer on its way than the last one. Of pictures whose times begin anew this is not so.
    pub(crate) fn has_overtaken(&self, pts_ns: i64, last_pts_ns: Option<i64>) -> bool {
        let near_ns = i64::try_from(PERIOD.as_nanos()).unwrap_or(0);
        let behind_ns = last_pts_ns.map_or(-1, |last_ns| last_ns.saturating_sub(pts_ns));
        self.is_shown() && (0..near_ns).contains(&behind_ns)
    }

    /// Whether there was a picture to show one of.
    pub(crate) fn has_picture(&self) -> bool {
        self.last.is_some()
    }

    /// Whether one is shown.
    pub(crate) fn is_shown(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.shown > 0)
    }

    /// The next one, if it is due. Its times go on behind the last picture's.
    pub(crate) fn next(&mut self, now: Stamp) -> Option<(Still, FrameMeta)> {
        let last = self.last.as_mut().filter(|last| now.mono >= last.due)?;
        last.due = now.mono + PERIOD;
        if last.shown == 0 {
            dim(&mut last.still);
        }
        let mut still = last.still.clone();
        draw_bar(&mut still, last.shown % STEPS);
        last.shown += 1;
        let since_ns = now.mono.saturating_since(last.came).as_nanos();
        let since_ns = i64::try_from(since_ns).unwrap_or(i64::MAX);
        let meta = FrameMeta {
            pts_ns: last.meta.pts_ns.saturating_add(since_ns),
            duration_ns: i64::try_from(PERIOD.as_nanos()).unwrap_or(0),
            capture: now,
            ingest: now.mono,
            source: None,
            corrupt: false,
            discontinuity: last.shown == 1,
            ..last.meta
        };
        Some((still, meta))
    }
}

fn dim(still: &mut Still) {
    let (format, packed) = (still.format, still.format.pixel_bytes() > 1);
    for number in 0..format.planes() {
        let (start, end) = extent(still, number);
        let samples = still.samples.get_mut(start..end).unwrap_or_default();
        // Black is 16 of luma, and no colour is 128: both stay where they are.
        let ground = match (packed, number) {
            (true, _) => 0,
            (false, 0) => 16,
            (false, _) => 128,
        };
        for (at, sample) in samples.iter_mut().enumerate() {
            if !is_alpha(format, at) {
                *sample = ground - ground / DIMMED + *sample / DIMMED;
            }
        }
    }
}

fn draw_bar(still: &mut Still, step: usize) {
    let Still { format, width, height, .. } = *still;
    let (width, height) = (width as usize, height as usize);
    let pixel = format.pixel_bytes() as usize;
    let (bar, rows) = ((width / 8).max(1), (height / 32).max(1));
    let left = (width - bar.min(width)) * step / (STEPS - 1);
    let top = height * 7 / 8;
    for y in top..(top + rows).min(height) {
        let start = (y * width + left) * pixel;
        let row = still.samples.get_mut(start..start + bar * pixel).unwrap_or_default();
        for (at, sample) in row.iter_mut().enumerate() {
            if !is_alpha(format, at) {
                *sample = WHITE;
            }
        }
    }
}

fn is_alpha(format: PixelFormat, at: usize) -> bool {
    format == PixelFormat::Rgba && at % 4 == 3
}

/// Where a plane's samples begin and end.
fn extent(still: &Still, number: usize) -> (usize, usize) {
    let bytes = |number| {
        let extent = still.format.plane_extent(number, still.width, still.height);
        extent.row_bytes as usize * extent.rows as usize
    };
    let start = (0..number).map(bytes).sum::<usize>();
    (start, start + bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::stream::Colour;
    use protocol::time::UtcNs;
    use shmring::Picture;

    const SIZE: (u32, u32) = (64, 32);

    fn still(format: PixelFormat, sample: u8) -> Still {
        let of = |number| {
            let extent = format.plane_extent(number, SIZE.0, SIZE.1);
            extent.row_bytes as usize * extent.rows as usize
        };
        let bytes = (0..format.planes()).map(of).sum();
        let samples = vec![sample; bytes];
        Still { format, width: SIZE.0, height: SIZE.1, colour: Colour::default(), samples }
    }

    fn meta(pts_ns: i64) -> FrameMeta {
        let picture = Picture::packed(SIZE.0, SIZE.1, PixelFormat::Gray8, 64).unwrap();
        FrameMeta { pts_ns, ..FrameMeta::of(picture) }
    }

    fn at(ms: u64) -> Stamp {
        Stamp { mono: MonoNs(ms * 1_000_000), utc: UtcNs(ms * 1_000_000 + 7) }
    }

    #[test]
    fn before_the_first_picture_and_while_they_come_there_is_none() {
        let mut slate = Slate::default();
        assert!(slate.next(at(9_000)).is_none() && !slate.has_picture());
        for ms in (0..10_000).step_by(40) {
            slate.came(still(PixelFormat::Gray8, 9), &meta(0), at(ms).mono);
            assert!(slate.next(at(ms + 39)).is_none() && !slate.is_shown());
        }
    }

    #[test]
    fn its_times_go_on_behind_the_last_picture_five_times_a_second() {
        let mut slate = Slate::default();
        slate.came(still(PixelFormat::Gray8, 9), &meta(500_000_000), at(1_000).mono);
        let shown: Vec<FrameMeta> =
            (1_000..4_000).filter_map(|ms| slate.next(at(ms))).map(|(_, meta)| meta).collect();
        let times: Vec<i64> = shown.iter().map(|meta| meta.pts_ns / 1_000_000).collect();
        assert_eq!(times, [2_500, 2_700, 2_900, 3_100, 3_300]);
        let marked: Vec<bool> = shown.iter().map(|meta| meta.discontinuity).collect();
        assert_eq!(marked, [true, false, false, false, false]);
        assert_eq!((shown[0].capture, shown[0].source), (at(3_000), None));
        assert!(slate.is_shown());
        slate.came(still(PixelFormat::Gray8, 9), &meta(0), at(4_000).mono);
        assert!(!slate.is_shown());
    }

    #[test]
    fn whoever_comes_back_is_not_shown_one_before_a_picture_had_time_to_come() {
        let mut slate = Slate::default();
        slate.rests(at(0).mono);
        slate.came(still(PixelFormat::Gray8, 9), &meta(0), at(1_000).mono);
        for ms in (1_000..60_000).step_by(100) {
            slate.rests(at(ms).mono);
        }
        assert!(slate.next(at(61_000)).is_none());
        assert!(slate.next(at(62_000)).is_some());
    }

    #[test]
    fn a_picture_that_a_slate_has_overtaken_is_told_from_one_whose_times_begin_anew() {
        let mut slate = Slate::default();
        slate.came(still(PixelFormat::Gray8, 9), &meta(0), at(0).mono);
        assert!(!slate.has_overtaken(-1, Some(0)));
        let (_, shown) = slate.next(at(2_000)).unwrap();
        let last = Some(shown.pts_ns);
        assert!(slate.has_overtaken(2_000_000_000, last));
        assert!(slate.has_overtaken(1_990_000_000, last));
        assert!(!slate.has_overtaken(2_000_000_001, last));
        assert!(!slate.has_overtaken(0, last) && !slate.has_overtaken(0, None));
    }

    #[test]
    fn it_is_the_last_picture_darker_with_a_bar_that_wanders() {
        for format in [PixelFormat::Yuv420p, PixelFormat::Nv12, PixelFormat::Gray8] {
            let mut slate = Slate::default();
            slate.came(still(format, 116), &meta(0), at(0).mono);
            let (first, _) = slate.next(at(2_000)).unwrap();
            let (second, _) = slate.next(at(2_200)).unwrap();
            assert_eq!(first.samples.len(), still(format, 0).samples.len());
            // A third of what lies above black.
            assert_eq!(first.samples[0], 11 + 116 / 3, "{format:?}");
            assert_ne!(first.samples, second.samples, "{format:?}");
            let white = |still: &Still| still.samples.iter().filter(|it| **it == WHITE).count();
            assert_eq!((white(&first), white(&second)), (8, 8), "{format:?}");
        }
    }

    #[test]
    fn colour_fades_and_what_is_transparent_stays_so() {
        let mut slate = Slate::default();
        slate.came(still(PixelFormat::Yuv420p, 128), &meta(0), at(0).mono);
        let (planar, _) = slate.next(at(2_000)).unwrap();
        assert_eq!(planar.samples.last(), Some(&128));
        slate.came(still(PixelFormat::Rgba, 90), &meta(0), at(0).mono);
        let (packed, _) = slate.next(at(2_000)).unwrap();
        assert_eq!(packed.samples[..4], [30, 30, 30, 90]);
        assert!(packed.samples.iter().skip(3).step_by(4).all(|alpha| *alpha == 90));
    }
}
