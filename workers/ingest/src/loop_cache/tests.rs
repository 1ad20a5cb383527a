//! One process encodes the loop, the others wait for it.

use protocol::config::ingest::Source;

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        Self(std::env::temp_dir().join(format!("ingest-loop-{test}-{}", std::process::id())))
    }

    fn open(&self) -> LoopSource {
        let Ok(Source::Test(wanted)) = "test:?size=128x64&fps=2&gop=4&mode=loop".parse() else {
            panic!("a pattern that reads");
        };
        LoopSource::open_in(&self.0, &wanted, Arc::default()).unwrap()
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
    let deadline = clock::mono() + Duration::from_secs(20);
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

#[test]
fn a_link_in_place_of_the_cache_folder_is_refused() {
    let (folder, real) = (Folder::new("link"), Folder::new("linked"));
    fs::create_dir(&real.0).unwrap();
    std::os::unix::fs::symlink(&real.0, &folder.0).unwrap();
    let wanted = TestPattern::default();
    let refused = LoopSource::open_in(&folder.0, &wanted, Arc::default());
    fs::remove_file(&folder.0).unwrap();
    assert!(refused.is_err());
}
