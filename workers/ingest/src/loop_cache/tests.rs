//! One process encodes the loop, the others wait for it.

use protocol::config::ingest::Source;

use super::*;
use crate::source::CapturedUnit;

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        Self(std::env::temp_dir().join(format!("ingest-loop-{test}-{}", std::process::id())))
    }

    fn open(&self) -> LoopSource {
        let Ok(Source::Test(wanted)) = "test:?size=128x64&fps=2&gop=4&mode=loop".parse() else {
            panic!("a pattern that reads");
        };
        LoopSource::open_in(&self.0, &wanted).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn next(source: &mut LoopSource) -> Event {
    source.next(Duration::from_millis(5)).unwrap()
}

/// Runs until the loop plays and its tracks are told.
fn until_it_plays(source: &mut LoopSource) {
    let deadline = clock::mono() + Duration::from_secs(60);
    while !matches!(next(source), Event::Tracks(_)) {
        assert!(clock::mono() < deadline, "the loop does not play: {:?}", source.state);
    }
}

#[test]
fn the_loop_is_encoded_once_and_then_found() {
    let folder = Folder::new("once");
    let (mut first, mut second) = (folder.open(), folder.open());
    assert!(matches!(first.state, State::Building(_)), "{:?}", first.state);
    assert!(matches!(second.state, State::Waiting), "{:?}", second.state);
    assert!(matches!(next(&mut second), Event::Preparing(_)));
    until_it_plays(&mut first);
    until_it_plays(&mut second);
    assert!(matches!(folder.open().state, State::Playing(_)));
    let files: Vec<_> = fs::read_dir(&folder.0).unwrap().flatten().map(|f| f.file_name()).collect();
    assert_eq!(files.len(), 2, "the loop and its lock, no temporary file: {files:?}");
}

#[test]
fn what_a_killed_builder_left_is_encoded_again() {
    let folder = Folder::new("again");
    let half_done = folder.open();
    drop(half_done);
    let mut source = folder.open();
    assert!(matches!(source.state, State::Building(_)), "{:?}", source.state);
    until_it_plays(&mut source);
    let bytes = fs::metadata(&source.path).unwrap().len();
    // 60 s at the default 2 Mbit/s.
    assert!((14_000_000..16_000_000).contains(&bytes), "{bytes} bytes");
}

/// The loop of a folder, and one that plays it.
fn playing(folder: &Folder) -> LoopSource {
    let mut source = folder.open();
    until_it_plays(&mut source);
    source
}

/// The next `count` units.
fn units(source: &mut LoopSource, count: usize) -> Vec<CapturedUnit> {
    let deadline = clock::mono() + Duration::from_secs(60);
    let mut units = Vec::new();
    while units.len() < count {
        assert!(clock::mono() < deadline, "{} units of {count}", units.len());
        if let Event::Unit(captured) = source.next(Duration::from_secs(1)).unwrap() {
            units.push(captured);
        }
    }
    units
}

#[test]
fn the_minute_is_joined_to_itself_without_a_seam() {
    let folder = Folder::new("seam");
    let mut source = playing(&folder);
    let State::Playing(player) = &mut source.state else { panic!("{:?}", source.state) };
    // All but the last picture of the round, without waiting for it.
    let (wanted, path) = (source.wanted, source.path.clone());
    let mut minute = Minute::open(&path).unwrap();
    (1..120).for_each(|_| drop(minute.next().unwrap()));
    **player = Player::new(minute, &wanted, 119);
    let units = units(&mut source, 3);
    assert!(units[0].discontinuity && !units[1].discontinuity && !units[2].discontinuity);
    // Two pictures a second, a key frame every fourth: the round's last, its first, its second.
    assert_eq!(units.iter().map(|it| it.unit.key).collect::<Vec<_>>(), [false, true, false]);
    for pair in units.windows(2) {
        assert_eq!(pair[1].unit.dts_ns - pair[0].unit.dts_ns, 500_000_000);
        let apart = pair[1].capture.mono.saturating_since(pair[0].capture.mono);
        assert_eq!(apart, Duration::from_millis(500));
    }
}

#[test]
fn a_loop_that_is_cut_short_is_encoded_again() {
    let folder = Folder::new("short");
    let path = playing(&folder).path;
    let whole = fs::metadata(&path).unwrap().len();
    File::options().write(true).open(&path).unwrap().set_len(whole / 2).unwrap();
    let mut source = folder.open();
    assert!(matches!(source.state, State::Building(_)), "{:?}", source.state);
    until_it_plays(&mut source);
    assert_eq!(fs::metadata(&path).unwrap().len(), whole);
}

#[test]
fn damage_that_is_found_on_the_way_is_mended_and_times_go_on() {
    use std::os::unix::fs::FileExt;

    let folder = Folder::new("damage");
    let mut source = playing(&folder);
    let first = units(&mut source, 1);
    let file = File::options().write(true).open(&source.path).unwrap();
    // The rest is read from the file once what was read ahead is played.
    let end = file.metadata().unwrap().len();
    file.write_all_at(&vec![0xff; 1 << 20], 200_000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), end);
    let State::Playing(player) = &mut source.state else { panic!("{:?}", source.state) };
    let error = loop {
        if let Err(error) = player.next(Duration::from_secs(1)) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    let played = player.played();
    assert!(!matches!(next(&mut source), Event::Unit(_)));
    until_it_plays(&mut source);
    let again = units(&mut source, 1);
    assert!(again[0].discontinuity && again[0].unit.key);
    assert!(again[0].unit.dts_ns > first[0].unit.dts_ns && source.played >= played);
    assert!(Minute::is_sound(&source.path));
}

#[test]
fn a_link_in_place_of_the_cache_folder_is_refused() {
    let (folder, real) = (Folder::new("link"), Folder::new("linked"));
    fs::create_dir(&real.0).unwrap();
    std::os::unix::fs::symlink(&real.0, &folder.0).unwrap();
    let wanted = TestPattern::default();
    let refused = LoopSource::open_in(&folder.0, &wanted);
    fs::remove_file(&folder.0).unwrap();
    assert!(refused.is_err());
}
