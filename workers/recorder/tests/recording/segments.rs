//! Complete files are told of: once each in a life, with what is in them, and those of an earlier life at least once.

use std::time::Duration;

use recorder::{Segment, Segments};

use crate::feed::Feed;
use crate::rig::{InThread, Rig};

/// A group of pictures a file.
fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.segment = Duration::from_secs(1);
    rig
}

fn record(rig: &Rig, feed: &mut Feed, pictures: usize) {
    let mut writer = rig.writer(&feed.tracks);
    let recorder: InThread = rig.recorder();
    let published = feed.publish(&mut writer, pictures, Duration::ZERO);
    let (_, last) = *published.last().unwrap();
    recorder.wait_until("all read", |status| status.read().1 == last);
    recorder.stop();
}

fn paths(told: &[Segment]) -> Vec<&std::path::Path> {
    told.iter().map(|segment| segment.path.as_path()).collect()
}

#[test]
fn each_complete_file_is_told_once_with_what_is_in_it() {
    let rig = rig();
    record(&rig, &mut Feed::made_up(1000), 300);
    let (told, recorded) = (rig.segments.take(), rig.recorded());
    assert!(told.len() > 3, "{told:?}");
    let files: Vec<_> = recorded.files.iter().map(|(path, _)| path.as_path()).collect();
    assert_eq!(paths(&told), files);
    for (segment, (path, found)) in told.iter().zip(&recorded.files) {
        let (first, last) = (&found.fragments[0], found.fragments.last().unwrap());
        assert_eq!(segment.bytes, path.metadata().unwrap().len());
        assert_eq!(
            (segment.first.sequence, segment.last.sequence),
            (first.origin.first, last.origin.last())
        );
        assert_eq!(segment.from, first.origin.capture);
        assert!(segment.from < segment.to);
    }
    assert!(rig.segments.take().is_empty());
}

#[test]
fn the_two_newest_files_of_an_earlier_life_are_told_when_the_next_one_begins() {
    let mut rig = rig();
    let mut feed = Feed::made_up(1000);
    record(&rig, &mut feed, 100);
    let before = rig.segments.take();
    // Another process knows nothing of what was told.
    rig.segments = Segments::default();
    feed.restart();
    record(&rig, &mut feed, 100);
    let told = rig.segments.take();
    assert_eq!(told[..2], before[before.len() - 2..]);
    let all = rig.recorded().files.len();
    assert_eq!(told.len() - 2, all - before.len(), "each of the new ones once");
}
