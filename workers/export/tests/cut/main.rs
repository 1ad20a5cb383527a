//! What exports of recordings hold, read back by the scanner and by what a manifest says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod camera;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use camera::{Camera, SECOND, ZERO};
use export::{ExportError, Exported, Found, Watch, export, verify};
use fmp4::{Scan, is_intact, scan};
use protocol::stream::FrameId;
use protocol::time::UtcNs;
use protocol::verb::{
    Export, ExportCamera, ExportCut, ExportFormat, ExportGaps, ExportHash, ExportVerify,
};
use recordings::{Remark, add_comment, pin};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Of these cameras, in tenths of a second.
fn wanted(cameras: &[&Camera], from: u64, to: u64, out: &Path) -> Export {
    let camera = |camera: &&Camera| ExportCamera {
        name: camera.folder.file_name().unwrap().to_string_lossy().into_owned(),
        folder: camera.folder.clone(),
    };
    Export {
        name: "hall".to_owned(),
        cameras: cameras.iter().map(camera).collect(),
        from: UtcNs(ZERO + from * SECOND / 10),
        to: UtcNs(ZERO + to * SECOND / 10),
        out: Some(out.to_owned()),
        format: ExportFormat::Mp4,
        cut: ExportCut::default(),
        gaps: ExportGaps::default(),
        manifest: false,
        hash: ExportHash::Sha256,
        sync: true,
        pin: None,
        json: false,
    }
}

fn made(wanted: &Export) -> Exported {
    export(wanted, &Watch::default()).unwrap()
}

/// All of it, with its fragments whole and one behind the other.
fn read_back(path: &Path) -> Scan {
    let mut file = File::open(path).unwrap();
    let found = scan(&mut file).unwrap();
    assert_eq!(found.damage, None);
    let whole = found.fragments.iter().all(|fragment| is_intact(&mut file, fragment).unwrap());
    assert!(whole, "a checksum differs");
    found
}

fn decode_ticks(found: &Scan) -> Vec<u64> {
    found
        .fragments
        .iter()
        .flat_map(|fragment| &fragment.samples)
        .map(|it| it.decode_ticks)
        .collect()
}

fn manifest(made: &Exported) -> Value {
    serde_json::to_value(&made.manifest).unwrap()
}

fn entries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn camera(&self, name: &str) -> Camera {
        Camera::new(&self.dir.path().join("recordings"), name)
    }

    fn out(&self, name: &str) -> PathBuf {
        let folder = self.dir.path().join("out");
        fs::create_dir_all(&folder).unwrap();
        folder.join(name)
    }
}

#[test]
fn a_range_inside_a_group_begins_at_the_key_frame_before_and_holds_the_time_asked_for() {
    let place = Place::new();
    let mut camera = place.camera("cam1");
    camera.record(0, 20);
    let out = place.out("a.mp4");
    let made = made(&wanted(&[&camera], 113, 141, &out));
    assert_eq!(made.out, std::slice::from_ref(&out));
    let found = read_back(&out);
    // From 10 s, where the group begins, to the end of the second that holds 14.1 s.
    assert_eq!((found.fragments[0].origin.first, found.fragments.len()), (251, 5));
    let ticks = decode_ticks(&found);
    assert_eq!((ticks[0], ticks.len(), ticks[124]), (0, 125, 124 * 3600));
    let told = manifest(&made);
    let file = &told["cameras"][0]["files"][0];
    assert_eq!(file["from"], "2026-11-20T13:09:10.000000000Z");
    assert_eq!(file["to"], "2026-11-20T13:09:15.000000000Z");
    assert_eq!(file["packets"], serde_json::json!([{"epoch": 1, "first": 251, "last": 375}]));
    assert_eq!(told["cameras"][0]["gaps"], serde_json::json!([]));
    assert_eq!(told["cameras"][0]["clock"]["source"], "arrival");
}

#[test]
fn files_that_go_on_are_one_and_what_is_missing_stays_a_hole_of_that_length() {
    let place = Place::new();
    let mut camera = place.camera("cam1");
    camera.record(0, 6);
    camera.record(6, 10);
    camera.restart();
    camera.record(14, 18);
    camera.sequence += 50;
    camera.record(20, 22);
    let out = place.out("a.mp4");
    let made = made(&wanted(&[&camera], 40, 300, &out));
    let found = read_back(&out);
    let begins: Vec<u64> =
        found.fragments.iter().map(|of| of.samples[0].decode_ticks / 90_000).collect();
    assert_eq!(begins, [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 16, 17]);
    let gaps = manifest(&made)["cameras"][0]["gaps"].clone();
    let gap = |at: usize, key: &str| gaps[at][key].clone();
    assert_eq!(gaps.as_array().unwrap().len(), 3);
    assert_eq!(gap(0, "reason"), "source_restart");
    assert_eq!(gap(0, "from"), "2026-11-20T13:09:10.000000000Z");
    assert_eq!(gap(0, "to"), "2026-11-20T13:09:14.000000000Z");
    assert_eq!((gap(1, "reason"), gap(1, "packets")), ("missing".into(), 50.into()));
    assert_eq!(gap(2, "reason"), "not_recorded");
    assert_eq!(gap(2, "to"), "2026-11-20T13:09:30.000000000Z");
}

#[test]
fn other_tracks_get_a_file_of_their_own() {
    let place = Place::new();
    let mut camera = place.camera("cam1");
    camera.record(0, 4);
    camera.width = 1280;
    camera.record(4, 8);
    let out = place.out("a.mp4");
    let made = made(&wanted(&[&camera], 0, 80, &out));
    assert_eq!(made.out, [out.clone(), place.out("a-2.mp4")]);
    assert_eq!(decode_ticks(&read_back(&place.out("a-2.mp4")))[0], 0);
    let told = manifest(&made);
    assert_eq!(told["cameras"][0]["files"][1]["from"], "2026-11-20T13:09:04.000000000Z");
}

#[test]
fn what_was_not_recorded_is_said_and_leaves_nothing() {
    let place = Place::new();
    let mut camera = place.camera("cam1");
    camera.record(0, 4);
    let out = place.out("a.mp4");
    let refused = export(&wanted(&[&camera], 1000, 1100, &out), &Watch::default()).unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("nothing is recorded from 2026-11-20T13:10:40.000Z"), "{said}");
    assert!(entries(out.parent().unwrap()).is_empty());
}

#[test]
fn a_group_is_a_folder_with_hashes_gaps_skew_and_a_page() {
    let place = Place::new();
    let (mut one, mut other) = (place.camera("cam1"), place.camera("cam2"));
    // Three times in four some ms late.
    other.late = |second| [0, 30, 50, 20][usize::try_from(second % 4).unwrap()] * 1_000_000;
    one.record(0, 20);
    other.record(0, 8);
    let out = place.out("hall");
    let made = made(&wanted(&[&one, &other], 20, 200, &out));
    let names = ["SHA256SUMS", "cam1.mp4", "cam2.mp4", "index.html", "manifest.json"];
    assert_eq!(entries(&out), names);
    let told: Value =
        serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(told, manifest(&made));
    for camera in told["cameras"].as_array().unwrap() {
        let file = &camera["files"][0];
        let bytes = fs::read(out.join(file["file"].as_str().unwrap())).unwrap();
        assert_eq!(file["hash"], serde_json::json!({"algorithm": "sha256", "hex": hex(&bytes)}));
        assert_eq!(file["bytes"], bytes.len());
    }
    let jitter = told["cameras"][1]["clock"]["jitter_ms"].as_f64().unwrap();
    assert!((30.0..=50.0).contains(&jitter), "{jitter}");
    // The late arrivals are not the time of the pictures, which were taken together.
    assert_eq!(told["skew"]["median_ms"], 0.0, "{}", told["skew"]);
    assert_eq!(told["cameras"][1]["gaps"][0]["from"], "2026-11-20T13:09:08.000000000Z");
}

#[test]
fn a_comment_is_in_the_manifest_and_on_the_page_at_its_frame() {
    let place = Place::new();
    let mut camera = place.camera("cam1");
    camera.record(0, 20);
    let frame = FrameId { ring: "cam1.packets".parse().unwrap(), epoch: 1, sequence: 76 };
    for (second, text) in [(3, "a <b> fox"), (30, "later")] {
        let remark = Remark {
            utc_ns: UtcNs(ZERO + second * SECOND),
            frame: Some(frame.clone()),
            author: "me".to_owned(),
            text: text.to_owned(),
            tags: vec!["animal".to_owned()],
        };
        add_comment(&camera.folder, &remark, UtcNs(ZERO + 40 * SECOND)).unwrap();
    }
    let out = place.out("fox");
    let mut wanted = wanted(&[&camera], 20, 100, &out);
    wanted.manifest = true;
    let told = manifest(&made(&wanted));
    assert_eq!(told["comments"].as_array().unwrap().len(), 1);
    let comment = &told["comments"][0];
    assert_eq!(
        (&comment["text"], &comment["at"]),
        (&"a <b> fox".into(), &"2026-11-20T13:09:03.000000000Z".into())
    );
    assert_eq!(comment["frame"]["sequence"], 76);
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("a \\u003cb> fox") && page.contains("animal"));
}

#[test]
fn an_archive_holds_the_same_as_the_folder() {
    let place = Place::new();
    let mut camera = place.camera("cam1");
    camera.record(0, 20);
    let (folder, file) = (place.out("hall"), place.out("hall.zip"));
    let mut wanted = wanted(&[&camera], 20, 200, &folder);
    wanted.manifest = true;
    made(&wanted);
    wanted.out = Some(file.clone());
    made(&wanted);
    let mut archive = zip::ZipArchive::new(File::open(&file).unwrap()).unwrap();
    let mut held = BTreeMap::new();
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        held.insert(entry.name().unwrap().into_owned(), bytes);
    }
    let names: Vec<&str> = held.keys().map(String::as_str).collect();
    assert_eq!(names, ["SHA256SUMS", "cam1.mp4", "index.html", "manifest.json"]);
    assert_eq!(held["cam1.mp4"], fs::read(folder.join("cam1.mp4")).unwrap());
    assert_eq!(entries(file.parent().unwrap()), ["hall", "hall.zip"]);
}

/// Of two cameras, as a folder or an archive.
fn evidence(place: &Place, name: &str, hash: ExportHash) -> PathBuf {
    let (mut one, mut other) = (place.camera("cam1"), place.camera("cam2"));
    one.record(0, 6);
    other.record(0, 6);
    let out = place.out(name);
    made(&Export { hash, ..wanted(&[&one, &other], 0, 60, &out) });
    out
}

/// What is said of each file that is not as it was, and whether nothing is amiss.
fn verified(path: &Path) -> (bool, Vec<(String, Found)>) {
    let wanted = ExportVerify { path: path.to_owned(), json: false };
    let seen = verify(&wanted, &Watch::default()).unwrap();
    let others = seen.files.into_iter().filter(|file| file.found != Found::Same);
    (seen.whole, others.map(|file| (file.file, file.found)).collect())
}

#[test]
fn an_export_is_verified_as_a_folder_and_as_an_archive_with_either_hash() {
    for (hash, sums) in [(ExportHash::Blake3, "B3SUMS"), (ExportHash::Sha256, "SHA256SUMS")] {
        for name in ["hall", "hall.zip"] {
            let place = Place::new();
            let out = evidence(&place, name, hash);
            assert_eq!(verified(&out), (true, vec![]));
            if out.is_dir() {
                let lines = fs::read_to_string(out.join(sums)).unwrap();
                let named: Vec<&str> = lines.lines().map(|line| &line[66..]).collect();
                assert_eq!(named, ["cam1.mp4", "cam2.mp4", "manifest.json", "index.html"]);
            }
        }
    }
}

#[test]
fn whatever_was_changed_in_an_export_is_found_and_named() {
    let place = Place::new();
    let out = evidence(&place, "hall", ExportHash::Blake3);
    let change = |name: &str, work: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = fs::read(out.join(name)).unwrap();
        work(&mut bytes);
        fs::write(out.join(name), bytes).unwrap();
    };
    change("cam1.mp4", &|bytes| *bytes.last_mut().unwrap() ^= 1);
    change("index.html", &|bytes| bytes.push(b' '));
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let named = |name: &str, found| (name.to_owned(), found);
    let unknown = named("notes.txt", Found::Unknown);
    let differ = [named("cam1.mp4", Found::Differs), named("index.html", Found::Differs)];
    assert_eq!(verified(&out), (false, [&differ[..], std::slice::from_ref(&unknown)].concat()));
    // Sums that say something else than the manifest.
    let wrong = fs::read_to_string(out.join("B3SUMS")).unwrap();
    let honest = wrong.lines().find(|line| line.ends_with("cam2.mp4")).unwrap();
    let forged = honest.replace(&honest[..8], "00000000");
    fs::write(out.join("B3SUMS"), wrong.replace(honest, &forged)).unwrap();
    let (_, seen) = verified(&out);
    assert!(seen.contains(&named("cam2.mp4", Found::Disputed)), "{seen:?}");
    fs::remove_file(out.join("cam2.mp4")).unwrap();
    let (_, seen) = verified(&out);
    assert!(seen.contains(&named("cam2.mp4", Found::Missing)), "{seen:?}");
}

#[test]
fn what_is_no_export_or_leads_out_of_it_is_refused() {
    let place = Place::new();
    let refused = |path: &Path| {
        let wanted = ExportVerify { path: path.to_owned(), json: false };
        verify(&wanted, &Watch::default()).unwrap_err().to_string()
    };
    let file = place.out("a.mp4");
    fs::write(&file, b"x").unwrap();
    for path in [&file, file.parent().unwrap()] {
        let said = refused(path);
        assert!(said.contains("there is no manifest.json"), "{said}");
    }
    let out = evidence(&place, "hall", ExportHash::Blake3);
    let lines = fs::read_to_string(out.join("B3SUMS")).unwrap();
    fs::write(out.join("B3SUMS"), lines.replace("cam2.mp4", "../cam2.mp4")).unwrap();
    let said = refused(&out);
    assert!(said.contains("'../cam2.mp4' is no file beside it"), "{said}");
}

#[test]
fn a_trimmed_file_has_the_pictures_from_the_key_frame_on_and_shows_those_asked_for() {
    let place = Place::new();
    let mut camera = place.camera("cam1");
    camera.record(0, 20);
    let out = place.out("a.mp4");
    // 1.3 s into a group of two seconds, in the middle of a picture.
    let mut wanted = wanted(&[&camera], 0, 0, &out);
    wanted.from = UtcNs(ZERO + 11_310_000_000);
    wanted.to = UtcNs(ZERO + 14_110_000_000);
    wanted.cut = ExportCut::EditList;
    let told = manifest(&made(&wanted));
    let file = &told["cameras"][0]["files"][0];
    assert_eq!(file["from"], "2026-11-20T13:09:11.280000000Z");
    assert_eq!(file["to"], "2026-11-20T13:09:14.120000000Z");
    assert_eq!(told["cut"], "edit_list");
    let bytes = fs::read(&out).unwrap();
    // Duration in ms, where it begins in the media, and the pace of an edit list of one entry.
    let list = bytes.windows(4).position(|word| word == b"elst").unwrap();
    let word = |at: usize| u32::from_be_bytes(bytes[list + at..][..4].try_into().unwrap());
    assert_eq!((word(8), word(12), word(20)), (1, 2840, 0x0001_0000));
    let media_hz = bytes.windows(4).position(|word| word == b"mdhd").unwrap();
    let hz = u32::from_be_bytes(bytes[media_hz + 16..][..4].try_into().unwrap());
    assert_eq!(u64::from(word(16)) * 1000, 1280 * u64::from(hz));
}

#[test]
fn recordings_of_an_export_are_pinned_when_that_is_wanted_and_no_others() {
    let place = Place::new();
    let mut camera = place.camera("cam1");
    let files = [camera.record(0, 4), camera.record(4, 8), camera.record(8, 12)];
    pin(&files[1], "an older reason").unwrap();
    let mut wanted = wanted(&[&camera], 10, 60, &place.out("a.mp4"));
    wanted.pin = Some("case 7".to_owned());
    made(&wanted);
    let pins = files.each_ref().map(|file| recordings::pinned(file));
    assert_eq!(pins, [Some("case 7".to_owned()), Some("an older reason".to_owned()), None]);
}

#[test]
fn damage_is_told_and_stays_visible() {
    let place = Place::new();
    let mut camera = place.camera("cam1");
    let path = camera.record(0, 4);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    let out = place.out("a.mp4");
    let made = made(&wanted(&[&camera], 0, 40, &out));
    assert_eq!(manifest(&made)["cameras"][0]["files"][0]["damaged"], 1);
    let mut file = File::open(&out).unwrap();
    let found = scan(&mut file).unwrap();
    let intact: Vec<bool> =
        found.fragments.iter().map(|of| is_intact(&mut file, of).unwrap()).collect();
    assert_eq!(intact, [true, true, true, false]);
}

#[test]
fn what_is_interrupted_or_in_the_way_leaves_all_as_it_was() {
    let place = Place::new();
    let mut camera = place.camera("cam1");
    camera.record(0, 20);
    let out = place.out("a.mp4");
    let watch = Watch::default();
    watch.interrupt(2);
    let ended = export(&wanted(&[&camera], 0, 200, &out), &watch);
    assert!(matches!(ended, Err(ExportError::Interrupted { signal: 2 })), "{ended:?}");
    assert!(entries(out.parent().unwrap()).is_empty());
    fs::write(&out, b"mine").unwrap();
    let refused = export(&wanted(&[&camera], 0, 200, &out), &Watch::default()).unwrap_err();
    assert!(matches!(refused, ExportError::Exists(_)), "{refused}");
    assert_eq!(fs::read(&out).unwrap(), b"mine");
    assert_eq!(entries(out.parent().unwrap()), ["a.mp4"]);
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
