//! Ten public JVT streams decode to the hashes their publisher lists, straight into lent memory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{Pool, decode_all, open};
use media::PictureHome;
use sha1::{Digest, Sha1};

#[test]
fn the_conformance_streams_decode_to_their_published_hashes() {
    let Some(folder) = std::env::var_os("FRAMEVISOR_CONFORMANCE_DIR").map(PathBuf::from) else {
        eprintln!("skipped: FRAMEVISOR_CONFORMANCE_DIR names no folder of H.264 streams");
        return;
    };
    let list = std::fs::read_to_string(folder.join("frames.sha1")).unwrap();
    let mut streams = 0;
    for line in list.lines() {
        let (expected, name) = line.split_once("  ").unwrap();
        for threads in [1, 3] {
            assert_eq!(
                decoded_hash(&folder.join(name), threads),
                expected,
                "{name}, {threads} threads"
            );
        }
        streams += 1;
    }
    assert_eq!(streams, 10, "streams listed in frames.sha1");
}

fn decoded_hash(path: &Path, threads: u32) -> String {
    let pool = Arc::new(Pool::default());
    let mut hash = Sha1::new();
    let mut tight = Vec::new();
    let mut expected = Vec::new();
    decode_all(&mut open(path), threads, &pool, |picture| {
        tight.resize(picture.tight_layout().bytes, 0);
        picture.copy_to(&mut tight).unwrap();
        hash.update(&tight);
        let PictureHome::Lent { tag, planes } = picture.home else {
            panic!("{}: a picture on the heap", path.display());
        };
        expected.push((tag, planes, picture.width, picture.height, tight.clone()));
    });
    assert_eq!(pool.out(), 0, "memory that never came back");
    assert!(
        pool.most_out() <= pool.most_needed(),
        "{}: the decoder held {} pieces and had announced {}",
        path.display(),
        pool.most_out(),
        pool.most_needed()
    );
    assert_lies_where_it_says(&pool, &expected);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

type Seen = (u64, [media::PlaneAt; 4], u32, u32, Vec<u8>);

/// The bytes at the planes' places are the picture, and FFmpeg left them alone after giving it out.
fn assert_lies_where_it_says(pool: &Pool, pictures: &[Seen]) {
    let returned: std::collections::HashMap<u64, Vec<u8>> = pool.returned().into_iter().collect();
    for (tag, planes, width, height, tight) in pictures {
        let memory = &returned[tag];
        let mut seen = Vec::new();
        for (plane, at) in planes.iter().enumerate().take(3) {
            let extent =
                protocol::stream::PixelFormat::Yuv420p.plane_extent(plane, *width, *height);
            for y in 0..extent.rows as usize {
                let start = at.offset_bytes + y * at.linesize_bytes;
                seen.extend_from_slice(&memory[start..start + extent.row_bytes as usize]);
            }
        }
        assert!(&seen == tight, "picture in piece {tag} is not where it says");
    }
}
