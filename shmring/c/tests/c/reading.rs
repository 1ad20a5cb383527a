//! What a C program is told while a writer in Rust lives, dies and changes.

use std::process::{Command, Stdio};
use std::time::Duration;

use protocol::control::Essential;
use protocol::stream::PixelFormat;
use protocol::units::Span;
use shmring::{PacketMeta, PacketWriter, census, clock};

use crate::tools::{Painter, Project, Running, compile, text};

fn sample(plane: usize, x: usize, y: usize) -> u8 {
    u8::try_from((plane * 83 + x * 5 + y * 11) % 256).unwrap()
}

/// As `follow.c` sums a picture up.
fn checksum((width, height): (u32, u32), format: PixelFormat) -> u32 {
    let mut sum = 0u32;
    for plane in 0..format.planes() {
        let extent = format.plane_extent(plane, width, height);
        for y in 0..extent.rows as usize {
            for x in 0..extent.row_bytes as usize {
                sum = sum.wrapping_mul(31).wrapping_add(sample(plane, x, y).into());
            }
        }
    }
    sum
}

/// The line of `follow.c` for a picture of [`Painter::paint`].
fn line(sequence: u64, size: (u32, u32), format: PixelFormat, is_changed: bool) -> String {
    format!(
        "frame {sequence} {}x{} {} planes {} changed {} id cam1.packets/77/5 sum {}",
        size.0,
        size.1,
        format.as_str(),
        format.planes(),
        u8::from(is_changed),
        checksum(size, format)
    )
}

fn follow(project: &Project, folder: &tempfile::TempDir) -> Running {
    let program = compile("tests/programs/follow.c", folder.path());
    let mut follow = Running::start(Command::new(program).args([project.as_str(), "cam1.frames"]));
    assert_eq!(follow.line(), "attached");
    follow
}

fn paint(painter: &Painter, size: (u32, u32), format: PixelFormat) -> u64 {
    painter.paint(size, format, sample)
}

#[test]
fn a_reader_in_c_carries_on_over_a_writers_restart_and_other_pictures_and_is_told() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let first = project.painter("cam1.frames");
    let mut follow = follow(&project, &folder);
    // Each line is awaited before the next picture, so none is overwritten before its turn.
    let mut expect = |painter: &Painter, sequence, size, format, is_changed| {
        assert_eq!(paint(painter, size, format), sequence);
        assert_eq!(follow.line(), line(sequence, size, format, is_changed));
    };
    let (small, large) = ((64, 36), (321, 243));
    expect(&first, 1, small, PixelFormat::Yuv420p, true);
    expect(&first, 2, small, PixelFormat::Yuv420p, false);
    expect(&first, 3, large, PixelFormat::Yuv420p, true);
    expect(&first, 4, large, PixelFormat::Nv12, true);
    expect(&first, 5, large, PixelFormat::Nv12, false);

    // As a crash would leave it.
    drop(first);
    let second = project.painter("cam1.frames");
    assert_eq!(paint(&second, large, PixelFormat::Nv12), 1);
    assert_eq!(follow.line(), "SHMRING_NEW_EPOCH 0");
    assert_eq!(follow.line(), line(1, large, PixelFormat::Nv12, false));
    assert_eq!(paint(&second, small, PixelFormat::Rgba), 2);
    assert_eq!(follow.line(), line(2, small, PixelFormat::Rgba, true));
    second.writer.finish();
    assert_eq!(follow.line(), "SHMRING_ENDED 0");
    assert!(follow.ends_well());
}

#[test]
fn every_pixel_format_arrives_in_c_sample_by_sample() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let painter = project.painter("cam1.frames");
    let mut follow = follow(&project, &folder);
    for (format, sequence) in PixelFormat::ALL.into_iter().zip(1..) {
        let odd = (33, 19);
        assert_eq!(paint(&painter, odd, format), sequence);
        assert_eq!(follow.line(), line(sequence, odd, format, true));
    }
    painter.writer.finish();
    assert_eq!(follow.line(), "SHMRING_ENDED 0");
}

#[test]
fn a_reader_in_c_is_told_what_it_missed() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let painter = project.painter("cam1.frames");
    let mut follow = follow(&project, &folder);
    let size = (16, 16);
    paint(&painter, size, PixelFormat::Gray8);
    assert_eq!(follow.line(), line(1, size, PixelFormat::Gray8, true));
    // While it sleeps, more pictures than the ring has slots.
    follow.stop();
    let last = 101;
    for sequence in 2..=last {
        assert_eq!(paint(&painter, size, PixelFormat::Gray8), sequence);
    }
    follow.go_on();
    let told = follow.line();
    let missed: u64 = told.strip_prefix("SHMRING_OVERRUN ").expect(&told).parse().unwrap();
    assert!(missed > 50 && missed < 100, "{missed}");
    for sequence in missed + 2..=last {
        assert_eq!(follow.line(), line(sequence, size, PixelFormat::Gray8, false));
    }
}

#[test]
fn a_picture_held_in_c_does_not_change_and_holds_nobody_up() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let painter = project.painter("cam1.frames");
    paint(&painter, (64, 36), PixelFormat::Yuv420p);
    let program = compile("tests/programs/hold.c", folder.path());
    let mut command = Command::new(program);
    command.args([project.as_str(), "cam1.frames"]).stdin(Stdio::piped());
    let mut hold = Running::start(&mut command);
    let sum = hold.line();
    assert_eq!(leases(&project), [1]);
    for sequence in 2..=100 {
        let other = |_, x: usize, _| u8::try_from(x % 7).unwrap();
        assert_eq!(painter.paint((64, 36), PixelFormat::Yuv420p, other), sequence);
    }
    hold.tell("look again");
    assert_eq!(hold.line(), sum);
    hold.tell("release");
    assert_eq!(hold.line(), "released");
    assert_eq!(leases(&project), [0]);
}

/// Leases that each reader holds, by its own page.
fn leases(project: &Project) -> Vec<u32> {
    let ring = "cam1.frames".parse().unwrap();
    let status = census::status(project.name(), &ring, clock::mono());
    status.readers.iter().map(|reader| reader.leases).collect()
}

#[test]
fn a_reader_in_c_waits_for_its_ring_and_follows_it_through_down_and_up() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let program = compile("tests/programs/follow.c", folder.path());
    let mut follow = Running::start(Command::new(program).args([project.as_str(), "cam1.frames"]));
    let size = (16, 16);
    let painter = project.painter("cam1.frames");
    assert_eq!(follow.line(), "attached");
    paint(&painter, size, PixelFormat::Gray8);
    assert_eq!(follow.line(), line(1, size, PixelFormat::Gray8, true));
    // As `framevisor down` does it: not one file is left.
    drop(painter);
    census::sweep_unowned(project.name());
    let painter = project.painter("cam1.frames");
    paint(&painter, size, PixelFormat::Gray8);
    assert_eq!(follow.line(), "SHMRING_NEW_EPOCH 0");
    assert_eq!(follow.line(), line(1, size, PixelFormat::Gray8, false));
}

#[test]
fn the_policy_latest_skips_to_the_newest_picture() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let painter = project.painter("cam1.frames");
    let size = (16, 16);
    for _ in 0..5 {
        paint(&painter, size, PixelFormat::Gray8);
    }
    let program = compile("tests/programs/follow.c", folder.path());
    let mut command = Command::new(program);
    command.args([project.as_str(), "cam1.frames", "latest"]);
    let mut follow = Running::start(&mut command);
    assert_eq!(follow.line(), "attached");
    assert_eq!(follow.line(), line(5, size, PixelFormat::Gray8, true));
    follow.stop();
    for _ in 0..5 {
        paint(&painter, size, PixelFormat::Gray8);
    }
    follow.go_on();
    assert_eq!(follow.line(), line(10, size, PixelFormat::Gray8, false));
}

#[test]
fn an_essential_reader_in_c_that_is_too_slow_is_told_why_nothing_is_kept_for_it() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let mut contract = project.contract("cam1.frames");
    let deadline = Span::from_millis(20);
    contract.essential = vec![Essential { reader: "follow".to_owned(), deadline }];
    let painter = project.painter_under(&contract);
    let mut follow = follow(&project, &folder);
    let size = (16, 16);
    paint(&painter, size, PixelFormat::Gray8);
    assert_eq!(follow.line(), line(1, size, PixelFormat::Gray8, true));
    follow.stop();
    let given_up = clock::mono() + Duration::from_secs(20);
    while census::status(project.name(), &contract.name, clock::mono()).drops.let_go == 0 {
        assert!(clock::mono() < given_up, "never let go of");
        paint(&painter, size, PixelFormat::Gray8);
        std::thread::sleep(Duration::from_millis(2));
    }
    follow.go_on();
    let told = follow.line();
    assert!(
        told.starts_with("SHMRING_EVICTED 0 ring cam1.frames: this reader is essential"),
        "{told}"
    );
}

#[test]
fn the_default_policy_is_the_one_of_the_supervisor() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let program = compile("tests/programs/follow.c", folder.path());
    let size = (16, 16);
    let follow = |policy: &str, project: &Project| {
        let mut command = Command::new(&program);
        command.args([project.as_str(), "cam1.frames", "default"]);
        Running::start(command.env("FRAMEVISOR_POLICY", policy))
    };
    for (policy, next) in [("", 4), ("latest", 4), ("sequential", 2), ("essential 2s", 2)] {
        let project = Project::new();
        let painter = project.painter("cam1.frames");
        paint(&painter, size, PixelFormat::Gray8);
        let mut follow = follow(policy, &project);
        assert_eq!(follow.line(), "attached", "{policy}");
        assert_eq!(follow.line(), line(1, size, PixelFormat::Gray8, true), "{policy}");
        follow.stop();
        for _ in 2..=4 {
            paint(&painter, size, PixelFormat::Gray8);
        }
        follow.go_on();
        assert_eq!(follow.line(), line(next, size, PixelFormat::Gray8, false), "{policy}");
    }
    let mut follow = follow("backwards", &project);
    assert!(follow.line().contains("FRAMEVISOR_POLICY is 'backwards'"));
}

#[test]
fn what_is_no_record_is_an_error_and_the_next_record_is_read() {
    let (project, folder) = (Project::new(), tempfile::tempdir().unwrap());
    let mut writer =
        PacketWriter::create(project.name(), &project.contract("w.events"), &[]).unwrap();
    let good = r#"{"id":"1","type":"t","camera":"","frame":null,"time_utc_ns":5,"data":[true]}"#;
    // In a field that nobody asked for.
    let foreign = [&good.as_bytes()[..good.len() - 1], b",\"x\":\"\xff\"}"].concat();
    let nul = good.replace("\"t\"", r#""a\u0000b""#);
    let bad = [b"not json", b"\xff\xfe".as_slice(), br#"{"id":"1"}"#, nul.as_bytes(), &foreign];
    for payload in bad.iter().chain([&good.as_bytes()]) {
        writer.publish(&PacketMeta::default(), payload).unwrap();
    }
    let program = compile("tests/programs/records.c", folder.path());
    let output = Command::new(program).args([project.as_str(), "w.events"]).output().unwrap();
    let lines = text(output);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), bad.len() + 1, "{lines:?}");
    for (line, sequence) in lines[..bad.len()].iter().zip(1..) {
        let start = format!("SHMRING_E_BAD_RECORD: ring w.events: its record {sequence} is none: ");
        assert!(line.starts_with(&start), "{line}");
    }
    assert_eq!(lines[bad.len()], format!("6 t [true] {good}"));
}
