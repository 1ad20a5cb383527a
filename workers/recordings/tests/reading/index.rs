//! The index says what the files say, however it came to be, and however it was lost.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use fmp4::OriginFlags;
use protocol::stream::FrameId;
use protocol::time::{MonoNs, UtcNs};
use recordings::cut::{Footage, Why};
use recordings::index::{Found, INDEX_FILE, Index, IndexError, Indexer, Notes};
use recordings::{
    Facts, GapReason, Growth, Outline, Range, Reel, Remark, Upload, add_comment, add_upload,
    forget_uploads, list, remove_comment,
};

use crate::camera::{Camera, time_of};

/// Later than any look at a directory has to wait.
const LATER: Duration = Duration::from_secs(3600);

/// Who fills the index of a camera.
struct Filler {
    indexer: Indexer,
    notes: Notes,
    now: MonoNs,
}

impl Filler {
    /// As a recorder begins that finds the camera's files as they are.
    fn start(camera: &Camera) -> Self {
        let notes = Notes::new();
        notes.opened(&camera.path(), camera.number);
        Self { indexer: Indexer::new(camera.root()), notes, now: MonoNs(1) }
    }

    /// Until there is nothing left to do; how the index was found on the way.
    fn settle(&mut self) -> Result<Option<Found>, IndexError> {
        let mut found = None;
        loop {
            let turn = self.indexer.turn(self.notes.take(), self.now)?;
            assert!(turn.unreadable.is_empty(), "{:?}", turn.unreadable);
            found = found.or(turn.found);
            if !turn.more {
                return Ok(found);
            }
        }
    }

    fn settle_later(&mut self) {
        self.now = self.now + LATER;
        self.settle().unwrap();
    }
}

fn index_file(camera: &Camera) -> std::path::PathBuf {
    camera.root().join(INDEX_FILE)
}

fn file_of(camera: &Camera, number: u64) -> std::path::PathBuf {
    let entries = list(&camera.path()).unwrap();
    entries.into_iter().find(|entry| entry.number == number).unwrap().path
}

fn rows(camera: &Camera) -> Vec<String> {
    Index::read(camera.root()).unwrap().dump().unwrap()
}

fn rows_of(camera: &Camera, table: &str) -> Vec<String> {
    rows(camera).into_iter().filter(|row| row.starts_with(table)).collect()
}

/// The same from nothing but the files.
fn rebuilt(camera: &Camera) -> Vec<String> {
    fs::remove_file(index_file(camera)).unwrap();
    Filler::start(camera).settle().unwrap();
    rows(camera)
}

/// Two lives of a camera with a hole, a discontinuity and a comment.
fn eventful() -> Camera {
    let mut camera = Camera::new();
    camera.file(1..=200);
    camera.file(301..=400);
    camera.flags = OriginFlags { discontinuity: true, ..OriginFlags::default() };
    camera.file(401..=470);
    camera.epoch = 8;
    camera.file(3..=100);
    add_comment(&camera.path(), &remark("a car"), UtcNs(5)).unwrap();
    camera
}

fn remark(text: &str) -> Remark {
    let frame = FrameId { ring: "cam1.packets".parse().unwrap(), epoch: 7, sequence: 320 };
    let (author, text) = ("anna".to_owned(), text.to_owned());
    let tags = vec!["car".to_owned(), "red".to_owned()];
    Remark { utc_ns: time_of(320), frame: Some(frame), author, text, tags }
}

#[test]
fn an_index_made_of_files_tells_their_fragments_gaps_and_comments() {
    let camera = eventful();
    assert_eq!(Filler::start(&camera).settle().unwrap(), Some(Found::New));
    let count = |table| rows_of(&camera, table).len();
    assert_eq!((count("segments"), count("fragments"), count("comments")), (4, 10, 1));
    let reasons: Vec<String> = rows_of(&camera, "gaps")
        .iter()
        .map(|row| row.split('|').nth(7).unwrap().to_owned())
        .collect();
    let expected = [GapReason::Missing, GapReason::Discontinuity, GapReason::SourceRestart];
    assert_eq!(reasons, expected.map(GapReason::as_str));
    let comment = rows_of(&camera, "comments").remove(0);
    assert!(comment.ends_with(r#"|cam1.packets|7|320|anna|a car|["car","red"]"#), "{comment}");
}

#[test]
fn the_index_names_the_object_of_each_uploaded_file_as_far_as_it_is_told() {
    let camera = eventful();
    let upload = |number: u64, bytes| {
        let url = format!("s3://cameras/cam1/{number}.mp4");
        let upload = Upload::new(number, bytes, "00ff".to_owned(), url, UtcNs(number));
        upload.at(Some("http://10.0.0.9:9000".to_owned()))
    };
    let told = |number, bytes| add_upload(&camera.path(), &upload(number, bytes)).unwrap();
    told(1, 10);
    let mut filler = Filler::start(&camera);
    filler.settle().unwrap();
    assert_eq!(rows_of(&camera, "uploads").len(), 1);
    // One more, and a word about the first that is newer.
    told(2, 20);
    told(1, 11);
    filler.settle().unwrap();
    let rows = rows_of(&camera, "uploads");
    let expected = "|1|s3://cameras/cam1/1.mp4|http://10.0.0.9:9000|11|00ff|1";
    assert!(rows.len() == 2 && rows[0].ends_with(expected), "{rows:?}");
    forget_uploads(&camera.path(), |upload| upload.number > 1).unwrap();
    filler.settle().unwrap();
    let rows = rows_of(&camera, "uploads");
    assert!(rows.len() == 1 && rows[0].contains("/2.mp4|"), "{rows:?}");
    assert_eq!(rebuilt(&camera).iter().filter(|row| row.starts_with("uploads")).count(), 1);
    // A view has them with their files, as long as these are as they were sent.
    let bytes = fs::metadata(file_of(&camera, 3)).unwrap().len();
    told(3, bytes);
    told(4, 1);
    filler.notes.opened(&camera.path(), camera.number);
    filler.settle().unwrap();
    let db = rusqlite::Connection::open(index_file(&camera)).unwrap();
    let query = "SELECT file, url FROM objects";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let objects: Vec<(String, String)> =
        db.prepare(query).unwrap().query_map([], row).unwrap().map(Result::unwrap).collect();
    let name = file_of(&camera, 3).file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(objects, [(name, "s3://cameras/cam1/3.mp4".to_owned())]);
}

#[test]
fn what_the_index_says_of_a_file_is_what_the_file_says() {
    let camera = eventful();
    Filler::start(&camera).settle().unwrap();
    let index = Index::read(camera.root()).unwrap();
    for entry in list(&camera.path()).unwrap() {
        let told = index.facts("cam1", &entry).unwrap();
        assert_eq!(told, Some(Facts::read(&entry.path).unwrap()));
    }
    let timeline = camera.all();
    fs::remove_file(index_file(&camera)).unwrap();
    let by_files = camera.all();
    assert_eq!(timeline.fragments, by_files.fragments);
    assert_eq!((timeline.gaps, timeline.spans), (by_files.gaps, by_files.spans));
    assert_eq!(timeline.comments, by_files.comments);
}

#[test]
fn a_file_that_has_changed_is_asked_itself() {
    let camera = eventful();
    Filler::start(&camera).settle().unwrap();
    let entry = list(&camera.path()).unwrap().remove(0);
    let whole = fs::read(&entry.path).unwrap();
    fs::write(&entry.path, &whole[..whole.len() - 1]).unwrap();
    let changed = list(&camera.path()).unwrap().remove(0);
    let index = Index::read(camera.root()).unwrap();
    assert_eq!(index.facts("cam1", &changed).unwrap(), None);
    assert!(camera.all().gaps.iter().any(|gap| gap.reason == GapReason::Damage));
}

/// Writes what a recorder would, a fragment at a time, with a turn behind each.
fn record(camera: &mut Camera, filler: &mut Filler, packets: std::ops::RangeInclusive<u64>) {
    let path = camera.file(packets);
    let whole = fs::read(&path).unwrap();
    let facts = Facts::read(&path).unwrap();
    fs::write(&path, b"").unwrap();
    for fragment in facts.fragments {
        let end = fragment.at_bytes + fragment.bytes;
        // More is written than is durable.
        let written = whole.len().min(usize::try_from(end).unwrap() + 99);
        fs::write(&path, &whole[..written]).unwrap();
        filler.notes.durable(&path, end);
        filler.settle().unwrap();
        let row = rows_of(camera, "fragments").pop().unwrap();
        let last = format!("|{}|{}|", fragment.at_bytes, fragment.bytes);
        assert!(row.contains(&last), "{row} has not {last}");
    }
    fs::write(&path, &whole).unwrap();
    filler.notes.durable(&path, whole.len() as u64);
    filler.settle().unwrap();
}

#[test]
fn an_index_that_grew_with_the_recording_is_the_same_as_one_made_of_its_files() {
    let mut camera = Camera::new();
    let mut filler = Filler::start(&camera);
    filler.settle().unwrap();
    record(&mut camera, &mut filler, 1..=230);
    record(&mut camera, &mut filler, 231..=400);
    camera.epoch = 8;
    record(&mut camera, &mut filler, 11..=120);
    let comment = add_comment(&camera.path(), &remark("a"), UtcNs(1)).unwrap();
    add_comment(&camera.path(), &remark("b"), UtcNs(2)).unwrap();
    filler.settle().unwrap();
    remove_comment(&camera.path(), comment.id, UtcNs(3)).unwrap();
    filler.settle().unwrap();
    assert_eq!(rows_of(&camera, "comments").len(), 1);
    let grown = rows(&camera);
    assert_eq!(grown, rebuilt(&camera));
}

#[test]
fn a_joint_leaves_no_trace() {
    let mut camera = Camera::new();
    let mut filler = Filler::start(&camera);
    let old = camera.file(1..=250);
    let group_at = Facts::read(&old).unwrap().fragments[4].at_bytes;
    filler.notes.opened(&camera.path(), 1);
    filler.settle().unwrap();
    // The group that began at 201 is recorded again, and then cut off the old file.
    record(&mut camera, &mut filler, 201..=300);
    assert_eq!(rows_of(&camera, "gaps"), Vec::<String>::new());
    fs::OpenOptions::new().write(true).open(&old).unwrap().set_len(group_at).unwrap();
    filler.notes.changed(&old);
    filler.settle().unwrap();
    let grown = rows(&camera);
    assert_eq!(rows_of(&camera, "fragments").len(), 6);
    assert_eq!(grown, rebuilt(&camera));
}

/// Breaks the header of a fragment, in a way that the file's length and time do not tell.
fn spoil(file: &Path, at_bytes: u64) {
    let modified = fs::metadata(file).unwrap().modified().unwrap();
    let opened = fs::OpenOptions::new().write(true).open(file).unwrap();
    opened.write_all_at(&[0; 64], at_bytes).unwrap();
    opened.set_modified(modified).unwrap();
}

#[test]
fn what_cannot_be_read_any_more_is_a_gap_and_the_rest_is_there() {
    let mut camera = Camera::new();
    let files = [1, 301, 601].map(|first| camera.file(first..=first + 299));
    Filler::start(&camera).settle().unwrap();
    let fragments = Facts::read(&files[1]).unwrap().fragments;
    // Packets 401 to 450; what follows them up to the key frame 501 refers to them.
    spoil(&files[1], fragments[2].at_bytes);
    let footage = || Footage::read("cam1", &camera.path(), Range::ALL).unwrap();
    let gaps = |footage: &Footage| -> Vec<(Why, Option<u64>)> {
        footage.missing.iter().map(|missing| (missing.why, missing.packets)).collect()
    };
    let damaged = Why::Gap(GapReason::Damage);
    let cut = footage();
    assert!(gaps(&cut).contains(&(damaged, Some(100))), "{:?}", cut.missing);
    assert_eq!(cut.parts[0].pieces.len(), 18 - 2);
    assert_eq!(cut.timeline.unread.len(), 1);
    // Behind it times are what they were.
    let last = cut.parts[0].pieces.last().unwrap();
    assert_eq!(last.begins_ns[0].1, 850 * 20_000_000);
    // The first file as a whole: that is at the end of the range.
    spoil(&files[0], 0);
    let cut = footage();
    assert_eq!(gaps(&cut)[0], (damaged, None), "{:?}", cut.missing);
    assert_eq!(cut.parts[0].pieces.len(), 12 - 2);
    let reel = Reel::read(&camera.path(), Range::ALL, Growth::None).unwrap();
    let (first, last) = (reel.segments[0], reel.segments.last().unwrap());
    assert_eq!((first.utc, last.begin_ns), (time_of(301), 500 * 20_000_000));
}

#[test]
fn a_file_that_went_leaves_the_index_and_the_hole_it_leaves_comes_in() {
    let mut camera = Camera::new();
    let files = [1, 101, 201, 301].map(|first| camera.file(first..=first + 99));
    let mut filler = Filler::start(&camera);
    filler.settle().unwrap();
    assert_eq!(rows_of(&camera, "gaps").len(), 0);
    // By hand: found when the directory is looked through.
    fs::remove_file(&files[1]).unwrap();
    filler.settle_later();
    let gap = rows_of(&camera, "gaps").remove(0);
    assert!(gap.contains("|100|removed|7|100|7|201"), "{gap}");
    let outline = || Outline::read(&camera.path(), Range::ALL).unwrap().gaps;
    assert_eq!((outline().len(), outline()[0].reason), (1, GapReason::Removed));
    assert_eq!(outline(), camera.all().gaps);
    // By retention, which says so.
    fs::remove_file(&files[0]).unwrap();
    filler.notes.removed(&files[0]);
    filler.settle().unwrap();
    assert_eq!(rows_of(&camera, "gaps").len(), 0, "nothing is known of what was before");
    assert_eq!(rows_of(&camera, "segments").len(), 2);
    let kept = rows(&camera);
    assert_eq!(kept, rebuilt(&camera));
}

#[test]
fn files_that_changed_while_nobody_looked_are_read_again() {
    let mut camera = Camera::new();
    let torn = camera.file(1..=100);
    camera.file(101..=200);
    Filler::start(&camera).settle().unwrap();
    let bytes = fs::metadata(&torn).unwrap().len();
    fs::OpenOptions::new().write(true).open(&torn).unwrap().set_len(bytes - 5).unwrap();
    camera.file(201..=300);
    assert_eq!(Filler::start(&camera).settle().unwrap(), Some(Found::AsItWas));
    assert_eq!(rows_of(&camera, "segments").len(), 3);
    assert_eq!(rows_of(&camera, "gaps").len(), 1, "behind the torn file");
    let caught_up = rows(&camera);
    assert_eq!(caught_up, rebuilt(&camera));
}

/// Spoils the index of a camera; it comes back as it was.
fn spoiled(spoil: impl Fn(&Path)) {
    let camera = eventful();
    Filler::start(&camera).settle().unwrap();
    let before = rows(&camera);
    spoil(&index_file(&camera));
    let found = Filler::start(&camera).settle().unwrap();
    assert!(matches!(found, Some(Found::New | Found::Unfit)), "{found:?}");
    assert_eq!(rows(&camera), before);
}

#[test]
fn a_deleted_index_is_made_anew() {
    spoiled(|path| fs::remove_file(path).unwrap());
}

#[test]
fn an_emptied_index_is_made_anew() {
    spoiled(|path| fs::write(path, b"").unwrap());
}

#[test]
fn an_index_that_is_none_is_made_anew() {
    spoiled(|path| fs::write(path, vec![0x55; 20_000]).unwrap());
}

#[test]
fn an_index_whose_pages_are_damaged_is_made_anew() {
    spoiled(|path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[4096..].fill(0xff);
        fs::write(path, bytes).unwrap();
    });
}

#[test]
fn an_index_of_another_version_is_made_anew() {
    spoiled(|path| {
        let db = rusqlite::Connection::open(path).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        db.execute_batch("CREATE TABLE later (x); DROP TABLE gaps;").unwrap();
    });
}

#[test]
fn an_index_of_another_version_is_no_index_for_readers() {
    let camera = eventful();
    assert!(Index::read(camera.root()).is_none());
    Filler::start(&camera).settle().unwrap();
    rusqlite::Connection::open(index_file(&camera))
        .unwrap()
        .pragma_update(None, "user_version", 99)
        .unwrap();
    assert!(Index::read(camera.root()).is_none());
    assert_eq!(camera.all().fragments.len(), 10);
}

#[test]
fn an_index_that_is_lost_while_it_is_written_is_made_anew() {
    let mut camera = eventful();
    let mut filler = Filler::start(&camera);
    filler.settle().unwrap();
    let before = rows(&camera);
    fs::remove_file(index_file(&camera)).unwrap();
    assert_eq!(filler.settle().unwrap(), Some(Found::New));
    assert_eq!(rows(&camera), before);
    record(&mut camera, &mut filler, 101..=200);
    let grown = rows(&camera);
    assert_eq!(grown, rebuilt(&camera));
}

#[test]
fn the_file_being_written_is_in_an_index_that_is_made_anew_meanwhile() {
    let mut camera = Camera::new();
    let mut filler = Filler::start(&camera);
    record(&mut camera, &mut filler, 1..=100);
    fs::remove_file(index_file(&camera)).unwrap();
    filler.settle().unwrap();
    // It ended with what was durable: nothing more is noted of it.
    record(&mut camera, &mut filler, 101..=200);
    assert_eq!(rows_of(&camera, "segments").len(), 2);
}

#[test]
fn nothing_is_written_where_another_disk_came_in_place_of_the_right_one() {
    let camera = eventful();
    let mut filler = Filler::start(&camera);
    filler.settle().unwrap();
    let away = camera.root().with_extension("away");
    fs::rename(camera.root(), &away).unwrap();
    fs::create_dir(camera.root()).unwrap();
    let refused = filler.settle().unwrap_err().to_string();
    assert!(refused.contains("not on the disk"), "{refused}");
    assert_eq!(camera.root().read_dir().unwrap().count(), 0);
    fs::remove_dir(camera.root()).unwrap();
    fs::rename(&away, camera.root()).unwrap();
    filler.settle().unwrap();
    assert_eq!(rows_of(&camera, "segments").len(), 4);
}

#[test]
fn an_index_that_somebody_holds_is_told_and_catches_up() {
    let mut camera = eventful();
    let mut filler = Filler::start(&camera);
    filler.settle().unwrap();
    let other = rusqlite::Connection::open(index_file(&camera)).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let path = camera.file(101..=200);
    filler.notes.durable(&path, fs::metadata(&path).unwrap().len());
    let refused = filler.settle().unwrap_err().to_string();
    assert!(refused.contains("a program holds it"), "{refused}");
    // A reader does not wait for it for long.
    assert_eq!(camera.all().fragments.len(), 12);
    other.execute_batch("ROLLBACK").unwrap();
    filler.settle().unwrap();
    let caught_up = rows(&camera);
    assert_eq!(caught_up, rebuilt(&camera));
}

#[test]
fn a_camera_whose_directory_is_gone_is_forgotten() {
    let camera = eventful();
    fs::create_dir(camera.root().join("cam2")).unwrap();
    let copied = list(&camera.path()).unwrap().remove(0);
    let name = copied.path.file_name().unwrap();
    fs::copy(&copied.path, camera.root().join("cam2").join(name)).unwrap();
    let mut filler = Filler::start(&camera);
    filler.notes.opened(&camera.root().join("cam2"), 9);
    filler.settle().unwrap();
    let of_cam2 = || rows(&camera).iter().filter(|row| row.contains("|cam2|")).count();
    assert_eq!(of_cam2(), 1 + 4);
    fs::remove_dir_all(camera.root().join("cam2")).unwrap();
    Filler::start(&camera).settle().unwrap();
    assert_eq!(of_cam2(), 0);
}

#[test]
fn an_outline_is_the_same_from_the_index_as_from_the_files() {
    let mut camera = Camera::new();
    camera.file(1..=300);
    camera.file(301..=600);
    camera.flags = OriginFlags { discontinuity: true, ..OriginFlags::default() };
    camera.file(1001..=1200);
    let of_files = Outline::read(&camera.path(), Range::ALL).unwrap();
    assert_eq!((of_files.files, of_files.ranges.len(), of_files.gaps.len()), (3, 2, 1));
    assert_eq!((of_files.from, of_files.ranges[1].0), (Some(time_of(1)), time_of(1001)));
    Filler::start(&camera).settle().unwrap();
    let of_index = Outline::read(&camera.path(), Range::ALL).unwrap();
    assert_eq!(of_index, of_files);
    // One that does not know all the files is not asked.
    camera.file(1201..=1300);
    assert_eq!(Outline::read(&camera.path(), Range::ALL).unwrap().files, 4);
}
