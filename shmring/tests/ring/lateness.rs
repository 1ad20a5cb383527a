//! What the census tells of how late items came, and how much was published.

use protocol::time::{MonoNs, Stamp};
use shmring::{FrameMeta, FrameWriter, PacketMeta, PacketWriter, census, clock};

use crate::Project;
use crate::frames::gray;

const MS: u64 = 1_000_000;
const HOUR_MS: u64 = 3_600_000;

/// A capture so long ago.
fn ago(ms: u64) -> Stamp {
    let Stamp { mono, utc } = clock::now();
    Stamp { mono: MonoNs(mono.0.saturating_sub(ms * MS)), utc }
}

#[test]
fn the_newest_key_packet_tells_how_late_it_was_and_the_log_how_much_there_was() {
    let project = Project::new();
    let contract = project.contract("cam.packets", 1);
    let mut writer = PacketWriter::create(&project.0, &contract, &[]).unwrap();
    let look = || census::status(&project.0, &contract.name, clock::mono());
    assert_eq!((look().late_ns, look().published_bytes), (None, 0));
    let mut publish = |key, late_ms| {
        let meta = PacketMeta { key, capture: ago(late_ms), ..PacketMeta::default() };
        writer.publish(&meta, &[7; 10_000]).unwrap()
    };
    let first = publish(true, 40);
    publish(false, HOUR_MS);
    let seen = look();
    let late_ns = seen.late_ns.unwrap();
    assert!(
        (40 * MS..HOUR_MS * MS).contains(&late_ns),
        "{late_ns} ns: the key packet's, not the other's"
    );
    assert_eq!(seen.late_sequence, first);
    assert!((20_000..30_000).contains(&seen.published_bytes), "{}", seen.published_bytes);
    // More than the log holds: what lies there now is of its next round.
    for _ in 0..3_000 {
        publish(true, 5_000);
    }
    let seen = look();
    assert!(seen.late_ns.unwrap() >= 5_000 * MS && seen.late_sequence == 3_002, "{seen:?}");
    assert!(seen.published_bytes > 30_000_000);
}

#[test]
fn the_newest_picture_tells_how_late_it_was_unless_nobody_knows() {
    let project = Project::new();
    let contract = project.contract("cam.frames", 1);
    let writer = FrameWriter::create(&project.0, &contract, None).unwrap();
    let look = || census::status(&project.0, &contract.name, clock::mono());
    let publish = |meta: &FrameMeta| {
        let loan = writer.loan(64 * 64, 1).unwrap();
        writer.publish(loan.slot(), meta).unwrap()
    };
    publish(&FrameMeta { capture: Stamp::default(), ..gray(64) });
    assert_eq!((look().late_ns, look().published_bytes), (None, 64 * 64));
    let second = publish(&FrameMeta { capture: ago(70), ..gray(64) });
    let seen = look();
    assert!(seen.late_ns.unwrap() >= 70 * MS && seen.late_sequence == second, "{seen:?}");
    assert_eq!(seen.published_bytes, 2 * 64 * 64);
}
