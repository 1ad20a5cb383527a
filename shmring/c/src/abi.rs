//! The structs and numbers of `include/shmring.h`, which says what they mean. A test compiles the
//! header and compares sizes, offsets, numbers and prototypes.

use std::ffi::{c_char, c_int};

use crate::item::Item;

pub const ABI_MAJOR: u32 = 0;
pub const ABI_MINOR: u32 = 2;

pub mod status {
    use super::c_int;

    pub const OK: c_int = 0;
    pub const OVERRUN: c_int = 1;
    pub const NEW_EPOCH: c_int = 2;
    pub const QUIET: c_int = 3;
    pub const ENDED: c_int = 4;
    pub const EVICTED: c_int = 5;
    pub const MESSAGE: c_int = 6;
    pub const STOP: c_int = 7;

    pub const E_ARGUMENT: c_int = -1;
    pub const E_NO_RING: c_int = -2;
    pub const E_AMBIGUOUS: c_int = -3;
    pub const E_WRONG_KIND: c_int = -4;
    pub const E_NO_PLACE: c_int = -5;
    pub const E_NO_LEASE: c_int = -6;
    pub const E_NO_SLOT: c_int = -7;
    pub const E_TOO_LARGE: c_int = -8;
    pub const E_HAS_WRITER: c_int = -9;
    pub const E_DENIED: c_int = -10;
    pub const E_NO_SPACE: c_int = -11;
    pub const E_LAYOUT: c_int = -12;
    pub const E_DAMAGED: c_int = -13;
    pub const E_BAD_RECORD: c_int = -14;
    pub const E_FORKED: c_int = -15;
    pub const E_IO: c_int = -16;
    pub const E_BUG: c_int = -17;

    /// Each with its name in the header.
    pub const ALL: &[(c_int, &std::ffi::CStr)] = &[
        (OK, c"SHMRING_OK"),
        (OVERRUN, c"SHMRING_OVERRUN"),
        (NEW_EPOCH, c"SHMRING_NEW_EPOCH"),
        (QUIET, c"SHMRING_QUIET"),
        (ENDED, c"SHMRING_ENDED"),
        (EVICTED, c"SHMRING_EVICTED"),
        (MESSAGE, c"SHMRING_MESSAGE"),
        (STOP, c"SHMRING_STOP"),
        (E_ARGUMENT, c"SHMRING_E_ARGUMENT"),
        (E_NO_RING, c"SHMRING_E_NO_RING"),
        (E_AMBIGUOUS, c"SHMRING_E_AMBIGUOUS"),
        (E_WRONG_KIND, c"SHMRING_E_WRONG_KIND"),
        (E_NO_PLACE, c"SHMRING_E_NO_PLACE"),
        (E_NO_LEASE, c"SHMRING_E_NO_LEASE"),
        (E_NO_SLOT, c"SHMRING_E_NO_SLOT"),
        (E_TOO_LARGE, c"SHMRING_E_TOO_LARGE"),
        (E_HAS_WRITER, c"SHMRING_E_HAS_WRITER"),
        (E_DENIED, c"SHMRING_E_DENIED"),
        (E_NO_SPACE, c"SHMRING_E_NO_SPACE"),
        (E_LAYOUT, c"SHMRING_E_LAYOUT"),
        (E_DAMAGED, c"SHMRING_E_DAMAGED"),
        (E_BAD_RECORD, c"SHMRING_E_BAD_RECORD"),
        (E_FORKED, c"SHMRING_E_FORKED"),
        (E_IO, c"SHMRING_E_IO"),
        (E_BUG, c"SHMRING_E_BUG"),
    ];
}

pub mod flag {
    pub const KEY: u32 = 1;
    pub const CORRUPT: u32 = 2;
    pub const DISCONTINUITY: u32 = 4;
    pub const COPIED: u32 = 8;
}

pub mod content {
    pub const PICTURE: u32 = 0;
    pub const TENSOR: u32 = 1;
}

pub mod policy {
    pub const DEFAULT: u32 = 0;
    pub const LATEST: u32 = 1;
    pub const SEQUENTIAL: u32 = 2;
}

pub mod condition {
    pub const FLOWING: u32 = 0;
    pub const WAITING: u32 = 1;
    pub const DEGRADED: u32 = 2;
    pub const PARKED: u32 = 3;
}

pub mod start {
    pub const DEFAULT: u32 = 0;
    pub const NEWEST: u32 = 1;
    pub const NEWEST_KEY: u32 = 2;
    pub const OLDEST: u32 = 3;
    pub const AFTER: u32 = 4;
}

/// Room for the longest ring name: three parts, two dots and the end.
pub const RING_NAME_BYTES: usize = 96;
/// Room for a sentence.
pub const REASON_BYTES: usize = 192;
pub const PLANES: usize = 4;
pub const AXES: usize = 6;
pub const USER_BYTES: usize = 64;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FrameId {
    pub ring: [c_char; RING_NAME_BYTES],
    pub epoch: u64,
    pub sequence: u64,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AttachOptions {
    pub size: u32,
    pub policy: u32,
    pub reader: *const c_char,
    pub wait_ns: i64,
    pub quota: u32,
    pub max_fps: u32,
    pub every: u32,
    pub start: u32,
    pub after_epoch: u64,
    pub after_sequence: u64,
    pub key_only: u32,
    pub messages: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct News {
    pub item: *mut Item,
    pub epoch: u64,
    pub missed: u64,
    pub format_changed: u32,
    pub reserved: u32,
    pub message: u64,
    pub data_json: *mut c_char,
    pub more_reserved: [u32; 4],
    pub reason: [c_char; REASON_BYTES],
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Plane {
    pub data: *const u8,
    pub offset: u64,
    pub linesize: u64,
    pub row_bytes: u32,
    pub rows: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Tensor {
    pub data: *const u8,
    pub offset: u64,
    pub bytes: u64,
    pub dtype: u32,
    pub axes: u32,
    pub shape: [u32; AXES],
    pub strides: [u32; AXES],
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Frame {
    pub size: u32,
    pub flags: u32,
    pub epoch: u64,
    pub sequence: u64,
    pub id: FrameId,
    pub width: u32,
    pub height: u32,
    pub format: u32,
    pub plane_count: u32,
    pub planes: [Plane; PLANES],
    pub tensor: Tensor,
    pub slot_bytes: u64,
    pub content: u32,
    pub colour_range: u8,
    pub colour_matrix: u8,
    pub colour_primaries: u8,
    pub colour_transfer: u8,
    pub clock: u32,
    pub reserved: u32,
    pub pts_ns: i64,
    pub duration_ns: i64,
    pub capture_mono_ns: u64,
    pub capture_utc_ns: u64,
    pub ingest_mono_ns: u64,
    pub decoded_mono_ns: u64,
    pub published_mono_ns: u64,
    pub gop_index: u64,
    pub user: [u8; USER_BYTES],
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Track {
    pub codec: u32,
    pub time_base_num: u32,
    pub time_base_den: u32,
    pub width: u32,
    pub height: u32,
    pub sample_rate_hz: u32,
    pub channels: u32,
    pub frame_rate_num: u32,
    pub frame_rate_den: u32,
    pub reserved: [u32; 5],
    pub extradata: *const u8,
    pub extradata_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Packet {
    pub size: u32,
    pub flags: u32,
    pub epoch: u64,
    pub sequence: u64,
    pub id: FrameId,
    pub data: *const u8,
    pub bytes: u64,
    pub track: u32,
    pub track_count: u32,
    pub tracks: *const Track,
    pub track_info: *const Track,
    pub pts_ns: i64,
    pub dts_ns: i64,
    pub duration_ns: i64,
    pub capture_mono_ns: u64,
    pub capture_utc_ns: u64,
    pub ingest_mono_ns: u64,
    pub published_mono_ns: u64,
    pub gop_index: u64,
    pub clock: u32,
    pub reserved: u32,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Record {
    pub size: u32,
    pub reserved: u32,
    pub epoch: u64,
    pub sequence: u64,
    pub json: *const c_char,
    pub id: *const c_char,
    pub kind: *const c_char,
    pub camera: *const c_char,
    pub data_json: *const c_char,
    pub frame: FrameId,
    pub time_utc_ns: u64,
    pub published_mono_ns: u64,
}

#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct WriterOptions {
    pub size: u32,
    pub readers: u32,
    pub history: u32,
    pub loans: u32,
    pub source: *const c_char,
    pub max_bitrate: u64,
    pub tracks: *const Track,
    pub track_count: u32,
    pub reserved: u32,
}

/// As much of a text as fits into its place with the NUL behind it, in whole characters.
pub(crate) fn text<const BYTES: usize>(text: &str) -> [c_char; BYTES] {
    let mut place = [0; BYTES];
    let fitting = text.floor_char_boundary(BYTES.saturating_sub(1));
    let bytes = text[..fitting].bytes().take_while(|byte| *byte != 0);
    place.iter_mut().zip(bytes).for_each(|(to, from)| *to = c_char::from_ne_bytes([from]));
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_ends_before_the_character_that_does_not_fit() {
        let bytes = |place: [c_char; 4]| place.map(|byte| byte.to_ne_bytes()[0]);
        assert_eq!(bytes(text("abcdef")), *b"abc\0");
        assert_eq!(bytes(text("ab\u{e9}")), *b"ab\0\0");
        assert_eq!(bytes(text("a\0b")), *b"a\0\0\0");
    }
}
