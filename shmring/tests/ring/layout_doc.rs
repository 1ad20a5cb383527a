//! `LAYOUT.md` says what `layout.rs` says: every constant, by name and value, and every code.

use std::collections::BTreeMap;

use protocol::stream::{Codec, DType, PixelFormat};
use protocol::time::ClockSource;
use shmring::layout;

const DOCUMENT: &str = include_str!("../../LAYOUT.md");
const SOURCE: &str = include_str!("../../src/layout.rs");

/// Names and values of constants, as the document writes the names.
macro_rules! constants {
    ($($name:ident)* $(, $module:ident: $($member:ident)*)*) => {
        BTreeMap::from([
            $((stringify!($name).to_owned(), layout::$name as u64),)*
            $($((concat!(stringify!($module), "::", stringify!($member)).to_owned(), layout::$module::$member as u64),)*)*
        ])
    };
}

fn in_code() -> BTreeMap<String, u64> {
    constants!(
        MAJOR MINOR PAGE LINE,
        kind: FRAMES PACKETS EVENTS,
        anchor: MAGIC BYTES AT_MAGIC AT_MAJOR AT_MINOR AT_KIND AT_EPOCH AT_PREVIOUS AT_BELL AT_WRITER_PID,
        index: MAGIC HEADER AT_MAGIC AT_MAJOR AT_MINOR AT_KIND AT_PLACES AT_QUOTA AT_SLOTS AT_DESCRIPTORS
            AT_MEMORY AT_EPOCH AT_LOG_BYTES AT_BEFORE AT_HEAD AT_HEAD_POSITION AT_BELL AT_FLOOR AT_LAST_KEY AT_ENDED
            AT_GENERATION AT_PUBLISHED_NS AT_GOP AT_WIDTH AT_HEIGHT AT_DROPPED AT_COPIED AT_DATA_BYTES
            AT_TOO_LARGE AT_LET_GO AT_EVICTIONS AT_GOP_OVERFLOW
            AT_STREAM_LOCK AT_STREAM STREAM_BYTES AT_VERSIONS NO_POSITION DEVICE_MAJOR,
        memory: HOST CUDA,
        device: MAGIC BYTES AT_MAGIC AT_MEMORY AT_GENERATION AT_EPOCH AT_BYTES AT_DEVICE DEVICE_BYTES
            AT_HANDLE HANDLE_BYTES,
        stream: AT_TRACKS AT_SOURCE_BYTES AT_SOURCE SOURCE_MAX AT_TABLE TRACK_BYTES TRACK_CODEC
            TRACK_BASE_NUM TRACK_BASE_DEN TRACK_WIDTH TRACK_HEIGHT TRACK_RATE TRACK_CHANNELS
            TRACK_FPS_NUM TRACK_FPS_DEN TRACK_EXTRA_AT TRACK_EXTRA_BYTES AT_EXTRA,
        record: HEADER ALIGN TAIL AT_SEQUENCE AT_TYPE AT_PAYLOAD_BYTES AT_TRACK AT_FLAGS AT_PTS_NS
            AT_DTS_NS AT_DURATION_NS AT_CAPTURE_MONO_NS AT_CAPTURE_UTC_NS AT_INGEST_NS AT_PUBLISHED_NS
            AT_GOP AT_SOURCE_EPOCH AT_SOURCE_SEQUENCE AT_CLOCK AT_SEGMENT AT_SEGMENT_BYTES RECORD PAD,
        flag: KEY DISCONTINUITY CORRUPT COPIED FORMAT_CHANGE,
        descriptor: BYTES AT_SEQUENCE AT_TOKEN AT_FLAGS AT_PLANES AT_FORMAT AT_WIDTH AT_HEIGHT AT_COLOUR
            AT_PTS_NS AT_DURATION_NS AT_CAPTURE_MONO_NS AT_CAPTURE_UTC_NS AT_INGEST_NS AT_DECODED_NS
            AT_PUBLISHED_NS AT_SOURCE_EPOCH AT_SOURCE_SEQUENCE AT_PLANE_OFFSETS AT_LINESIZES
            AT_SLOT_BYTES AT_GOP AT_CLOCK AT_USER USER_BYTES PLANES_MAX TENSOR AT_OFFSET AT_STRIDES
            AT_AXES AT_DTYPE AT_SHAPE AXES_MAX,
        lease: MAGIC BYTES AT_MAGIC AT_MAJOR AT_MINOR AT_EPOCH AT_HAZARDS HAZARDS AT_CURSOR AT_MISSED
            AT_PID AT_MAX_FPS AT_NAME_BYTES AT_NAME NAME_MAX AT_EVERY AT_KEY_ONLY AT_HELD_SINCE_NS
            AT_EVICTED AT_REFUSED,
        eviction: BYTES AT_LOCK AT_HEAD AT_TAKEN AT_DEADLINE_NS AT_REASON LATE FULL WAITED,
        token: SLOT_BITS VERSION_BITS SLOTS_MAX GENERATION_MAX
    )
}

/// The names `layout.rs` gives, so that none can be forgotten in the list above.
fn in_source() -> Vec<String> {
    let mut module = String::new();
    let mut names = Vec::new();
    for line in SOURCE.lines() {
        if let Some(opened) = line.strip_prefix("pub mod ") {
            module = format!("{}::", opened.trim_end_matches(" {"));
        } else if line == "}" {
            module.clear();
        } else if let Some(constant) = line.trim_start().strip_prefix("pub const ") {
            let name = constant.split(':').next().unwrap_or_default();
            names.push(format!("{module}{name}"));
        }
    }
    names.sort();
    names
}

/// First two cells of the rows of all tables whose first column is headed `heading`.
fn rows(heading: &str) -> Vec<(String, u64)> {
    let mut inside = false;
    let mut rows = Vec::new();
    for line in DOCUMENT.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let &[_, first, second, ..] = cells.as_slice() else {
            inside = false;
            continue;
        };
        if !first.starts_with('`') {
            inside = first == heading || (inside && first.starts_with("---"));
        } else if inside {
            rows.push((first.trim_matches('`').to_owned(), number(second)));
        }
    }
    rows.sort();
    rows
}

fn number(text: &str) -> u64 {
    let digits = text.replace('_', "");
    let parsed = match digits.strip_prefix("0x") {
        Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16),
        None => digits.parse(),
    };
    parsed.unwrap_or_else(|error| panic!("LAYOUT.md: '{text}' is no number: {error}"))
}

#[test]
fn the_document_gives_every_constant_its_value() {
    let code: Vec<(String, u64)> = in_code().into_iter().collect();
    assert_eq!(code.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), in_source());
    assert_eq!(rows("constant"), code);
}

#[test]
fn the_document_gives_every_code() {
    let named = |codes: Vec<(String, u64)>| codes.into_iter().collect::<BTreeMap<_, _>>();
    let formats = PixelFormat::ALL.map(|format| (format.as_str().to_owned(), format as u64));
    assert_eq!(named(rows("pixel format")), BTreeMap::from(formats));
    let dtypes = DType::ALL.map(|dtype| (dtype.as_str().to_owned(), dtype as u64));
    assert_eq!(named(rows("element type")), BTreeMap::from(dtypes));
    let codecs = Codec::ALL.map(|codec| (format!("{codec:?}").to_lowercase(), codec as u64));
    assert_eq!(named(rows("codec")), BTreeMap::from(codecs));
    let clocks = [ClockSource::Arrival, ClockSource::Camera];
    let clocks = clocks.map(|clock| (format!("{clock:?}").to_lowercase(), clock as u64));
    assert_eq!(named(rows("clock")), BTreeMap::from(clocks));
}

#[test]
fn the_document_and_the_source_name_the_same_ordering_pairs() {
    let ordering = include_str!("../../src/sync.rs");
    let pairs = |text: &str, prefix: &str| {
        let names = text.lines().filter_map(|line| line.strip_prefix(prefix)?.split('`').next());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let document = DOCUMENT.split("| pair |").nth(1).unwrap_or_default();
    let table = document.split("\n\n").next().unwrap_or_default();
    assert_eq!(pairs(table, "| `"), pairs(ordering, "//! | `"));
}
