//! Files of a project as text: per file its name and length, then the words in it that are not zero,
//! by their place. `N*` before a word repeats it.
//!
//! ```text
//! # a remark
//! file .cam.frames 4096
//! 0 46564e43484e5231 0100000000000000
//! 10 3*0102030405060708
//! ```

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;

use protocol::name::ProjectName;

const WORD: usize = 8;
const ZEROS: [u8; WORD] = [0; WORD];

pub(super) fn pack(project: &ProjectName) -> String {
    let stem = format!("fv.{project}");
    let names = std::fs::read_dir("/dev/shm").unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut suffixes: Vec<String> = names
        .filter_map(|name| Some(name.strip_prefix(&stem)?.to_owned()))
        .filter(|suffix| suffix.starts_with('.'))
        .collect();
    suffixes.sort();
    let mut text = String::new();
    for suffix in suffixes {
        let bytes = std::fs::read(format!("/dev/shm/{stem}{suffix}")).unwrap();
        writeln!(text, "file {suffix} {}", bytes.len()).unwrap();
        pack_file(&mut text, &bytes);
    }
    text
}

fn pack_file(text: &mut String, bytes: &[u8]) {
    let (words, rest) = bytes.as_chunks::<WORD>();
    assert!(rest.is_empty());
    let mut at = 0;
    for stretch in words.chunk_by(|one, next| (*one == ZEROS) == (*next == ZEROS)) {
        if stretch[0] != ZEROS {
            write!(text, "{at:x}").unwrap();
            for same in stretch.chunk_by(|one, next| one == next) {
                let count = if same.len() > 1 { format!("{}*", same.len()) } else { String::new() };
                write!(text, " {count}{:016x}", u64::from_be_bytes(same[0])).unwrap();
            }
            text.push('\n');
        }
        at += stretch.len() * WORD;
    }
}

pub(super) fn unpack(image: &str, project: &ProjectName) {
    let mut file: Option<File> = None;
    for line in image.lines().filter(|line| !line.starts_with('#')) {
        let mut parts = line.split(' ');
        let first = parts.next().unwrap();
        if first == "file" {
            let (suffix, bytes) = (parts.next().unwrap(), parts.next().unwrap());
            let created = File::create_new(format!("/dev/shm/fv.{project}{suffix}")).unwrap();
            created.set_len(bytes.parse().unwrap()).unwrap();
            file = Some(created);
        } else {
            let at = u64::from_str_radix(first, 16).unwrap();
            let bytes: Vec<u8> = parts.flat_map(words).collect();
            file.as_ref().unwrap().write_all_at(&bytes, at).unwrap();
        }
    }
}

fn words(text: &str) -> Vec<u8> {
    let (count, word) = text.split_once('*').unwrap_or(("1", text));
    let word = u64::from_str_radix(word, 16).unwrap();
    word.to_be_bytes().repeat(count.parse().unwrap())
}

#[test]
fn a_packed_file_is_unpacked_as_it_was() {
    let mut bytes = vec![0; 4096];
    for (at, value) in [(0, 1), (1, 2), (8, 3), (16, 3), (4095, 9)] {
        bytes[at] = value;
    }
    bytes[512..1024].fill(7);
    let mut text = "file .x 4096\n".to_owned();
    pack_file(&mut text, &bytes);
    let project = crate::Project::new();
    unpack(&text, &project.0);
    assert_eq!(std::fs::read(format!("/dev/shm/fv.{}.x", project.0)).unwrap(), bytes);
    std::fs::remove_file(format!("/dev/shm/fv.{}.x", project.0)).unwrap();
}
