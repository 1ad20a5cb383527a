//! Public streams arrive in a reader of the ring as the independent decoder shows them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha1::{Digest, Sha1};

use super::*;

/// Pictures that come out at the end at once: 16 references and 16 threads.
const HISTORY: u32 = 40;

#[test]
fn all_pictures_of_the_conformance_streams_reach_a_reader_of_the_ring_as_ffmpeg_shows_them() {
    let Some(folder) = std::env::var_os("FRAMEVISOR_CONFORMANCE_DIR").map(PathBuf::from) else {
        println!("skipped: FRAMEVISOR_CONFORMANCE_DIR names no folder of streams");
        return;
    };
    let list = std::fs::read_to_string(folder.join("frames.sha1")).unwrap_or_default();
    let published = |name: &str| {
        let lines = list.lines().filter_map(|line| line.split_once("  "));
        lines.filter(|(_, of)| *of == name).map(|(hash, _)| hash.to_owned()).next()
    };
    let is_stream = |path: &PathBuf| {
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        ["264", "h264", "265", "hevc", "bit"].contains(&extension.as_str())
    };
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut streams = 0;
    for path in entries.filter(is_stream) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let expected = hash_by_ffmpeg(&path);
        if let Some(published) = published(&name) {
            assert_eq!(expected, published, "ffmpeg's own decoding of {name}");
        }
        for threads in [1, 3] {
            assert_eq!(hash_in_the_ring(&path, threads), expected, "{name}, {threads} threads");
        }
        streams += 1;
    }
    assert!(streams > 0, "no streams in {}", folder.display());
}

fn hash_in_the_ring(path: &Path, threads: u32) -> String {
    let clip = Clip::read(path);
    let mut bench = Bench::keeping(threads, HISTORY);
    let mut hash = Sha1::new();
    let mut take = |bench: &mut Bench| {
        loop {
            match bench.reader.next(Duration::ZERO).unwrap() {
                Next::Item(frame) => hash.update(pixels(&frame)),
                Next::Quiet => return,
                other => panic!("{}: {other:?}", path.display()),
            }
        }
    };
    for packet in &clip.packets {
        let now = clock::mono();
        bench.decoding.look(now);
        let tally = bench.decoding.take(packet, &clip.track, now);
        assert!(tally.trouble.is_none(), "{}: {tally:?}", path.display());
        take(&mut bench);
    }
    let tally = bench.decoding.drain();
    assert!(tally.trouble.is_none(), "{}: {tally:?}", path.display());
    take(&mut bench);
    hex(&hash.finalize())
}

fn hash_by_ffmpeg(path: &Path) -> String {
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "rawvideo", "-"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the ffmpeg command is installed (Debian package ffmpeg)");
    let mut stdout = child.stdout.take().unwrap();
    let (mut hash, mut part) = (Sha1::new(), vec![0; 1 << 20]);
    loop {
        match stdout.read(&mut part).unwrap() {
            0 => break,
            count => hash.update(&part[..count]),
        }
    }
    assert!(child.wait().unwrap().success());
    hex(&hash.finalize())
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
