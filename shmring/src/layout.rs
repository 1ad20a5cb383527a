//! The numbers of `LAYOUT.md`: offsets, sizes and codes. No logic.
//!
//! Everything is little-endian, u32 or u64, naturally aligned. A reader refuses another major
//! version; a higher minor version only adds words where this one has zeros, and codes.

/// Version of the layout.
pub const MAJOR: u32 = 1;
pub const MINOR: u32 = 2;

/// Smallest unit of every file; also the alignment of slots.
pub const PAGE: usize = 4096;
/// Hot words stand on lines of their own; 128 because x86 prefetches pairs of 64-byte lines.
pub const LINE: usize = 128;

/// What a ring carries, as the anchor and index state it.
pub mod kind {
    pub const FRAMES: u32 = 1;
    pub const PACKETS: u32 = 2;
    pub const EVENTS: u32 = 3;
}

/// Where pictures lie, as the index and a device block state it.
pub mod memory {
    pub const HOST: u32 = 0;
    pub const CUDA: u32 = 1;
}

/// The anchor: one page that lives as long as the ring's name.
pub mod anchor {
    pub const MAGIC: u64 = u64::from_le_bytes(*b"FVANCHR1");
    pub const BYTES: usize = super::PAGE;

    pub const AT_MAGIC: usize = 0;
    pub const AT_MAJOR: usize = 8;
    pub const AT_MINOR: usize = 12;
    pub const AT_KIND: usize = 16;
    /// u64: the live epoch; 0 before the first.
    pub const AT_EPOCH: usize = 128;
    /// u64: the epoch before it; 0 when there was none.
    pub const AT_PREVIOUS: usize = 136;
    /// u32 futex word: raised after every change of the epoch.
    pub const AT_BELL: usize = 256;
    /// u64, advisory: pid of the writer.
    pub const AT_WRITER_PID: usize = 384;
}

/// The index of one epoch.
pub mod index {
    pub const MAGIC: u64 = u64::from_le_bytes(*b"FVINDEX1");
    /// Bytes before the stream block.
    pub const HEADER: usize = super::PAGE;

    pub const AT_MAGIC: usize = 0;
    pub const AT_MAJOR: usize = 8;
    pub const AT_MINOR: usize = 12;
    pub const AT_KIND: usize = 16;
    /// u32: lease pages the writer looks at.
    pub const AT_PLACES: usize = 20;
    /// u32: leases of each page it looks at.
    pub const AT_QUOTA: usize = 24;
    /// u32, frames: slots of each generation.
    pub const AT_SLOTS: usize = 28;
    /// u32, frames: descriptors in the descriptor ring, a power of two.
    pub const AT_DESCRIPTORS: usize = 32;
    /// u32, frames, since 1.2: where the pictures lie.
    pub const AT_MEMORY: usize = 36;
    /// u64: this epoch.
    pub const AT_EPOCH: usize = 40;
    /// u64, packets: bytes of the log.
    pub const AT_LOG_BYTES: usize = 48;
    /// u64: the epoch that was live before this one; 0 when there was none.
    pub const AT_BEFORE: usize = 56;

    /// u64: sequence of the newest item; the first is 1.
    pub const AT_HEAD: usize = 128;
    /// u64, packets: byte position behind the newest record.
    pub const AT_HEAD_POSITION: usize = 136;
    /// u32 futex word: raised after every publish.
    pub const AT_BELL: usize = 256;
    /// u64, packets: byte position of the oldest record that may be read.
    pub const AT_FLOOR: usize = 384;
    /// u64, packets: byte position of the newest key record; `NO_POSITION` before the first.
    pub const AT_LAST_KEY: usize = 512;
    /// u32: 1 once the writer has finished.
    pub const AT_ENDED: usize = 640;
    /// u32, frames: generation of the newest slots, counted from 1; 0 before the first.
    pub const AT_GENERATION: usize = 644;
    // Figures for people, written by the writer, believed by nobody.
    /// u64: CLOCK_MONOTONIC ns of the newest publish.
    pub const AT_PUBLISHED_NS: usize = 768;
    /// u64, packets: highest group of pictures.
    pub const AT_GOP: usize = 776;
    pub const AT_WIDTH: usize = 784;
    pub const AT_HEIGHT: usize = 788;
    /// u64: items dropped because no slot was free.
    pub const AT_DROPPED: usize = 792;
    /// u64: pictures that had to be copied into a slot.
    pub const AT_COPIED: usize = 800;
    /// u64: bytes of all data segments of this epoch.
    pub const AT_DATA_BYTES: usize = 808;

    // Since 1.1.
    /// u64: items refused because they are too large for the ring.
    pub const AT_TOO_LARGE: usize = 816;
    /// u64: how often an essential reader was let go of.
    pub const AT_LET_GO: usize = 824;
    /// u64: where the table of evictions begins, one entry a place; 0 when there is none.
    pub const AT_EVICTIONS: usize = 832;
    /// u64, packets: how often the newest key record was overwritten before the next one came.
    pub const AT_GOP_OVERFLOW: usize = 864;

    /// u64 seqlock of the stream block: odd while it is written.
    pub const AT_STREAM_LOCK: usize = 896;
    pub const AT_STREAM: usize = HEADER;
    /// Room for the track table and 60 KiB of extradata.
    pub const STREAM_BYTES: usize = 16 * super::PAGE;

    /// Frames: two banks of u64 slot versions, then the descriptor ring.
    pub const AT_VERSIONS: usize = AT_STREAM + STREAM_BYTES;

    pub const NO_POSITION: u64 = u64::MAX;

    /// `AT_MAJOR` of a ring whose pictures lie in a device's memory: readers of before 1.2 refuse it. The next major version
    /// of the layout is 3.
    pub const DEVICE_MAJOR: u32 = 2;
}

/// A generation's data file where the pictures lie in a device's memory: where they do.
pub mod device {
    pub const MAGIC: u64 = u64::from_le_bytes(*b"FVDEVIC1");
    pub const BYTES: usize = super::PAGE;

    pub const AT_MAGIC: usize = 0;
    /// u32: as the index's `AT_MEMORY`.
    pub const AT_MEMORY: usize = 8;
    /// u32: the generation whose slots lie there.
    pub const AT_GENERATION: usize = 12;
    pub const AT_EPOCH: usize = 16;
    /// u64: bytes of the allocation.
    pub const AT_BYTES: usize = 24;
    /// 16 bytes: UUID of the device.
    pub const AT_DEVICE: usize = 32;
    pub const DEVICE_BYTES: usize = 16;
    /// 64 bytes: the handle by which another process opens the allocation.
    pub const AT_HANDLE: usize = 64;
    pub const HANDLE_BYTES: usize = 64;
}

/// An entry of the table of evictions: how the reader in this place was let go of last.
pub mod eviction {
    pub const BYTES: usize = 64;

    /// u64 seqlock, odd while the entry is written; 0 while there was none.
    pub const AT_LOCK: usize = 0;
    /// u64: sequence of the newest item then.
    pub const AT_HEAD: usize = 8;
    /// u64: sequence of the last item the reader had taken then.
    pub const AT_TAKEN: usize = 16;
    pub const AT_DEADLINE_NS: usize = 24;
    /// u64: one of the below.
    pub const AT_REASON: usize = 32;

    /// The oldest item it had not taken was older than its deadline.
    pub const LATE: u64 = 1;
    /// The ring was full of what it had not taken.
    pub const FULL: u64 = 2;
    /// The writer waited for it as long as its deadline.
    pub const WAITED: u64 = 3;
}

/// The stream block: what flows in the ring.
pub mod stream {
    /// u32: tracks in the table.
    pub const AT_TRACKS: usize = 0;
    /// u32: bytes of the source ring's name, then the name itself (frame rings).
    pub const AT_SOURCE_BYTES: usize = 4;
    pub const AT_SOURCE: usize = 8;
    pub const SOURCE_MAX: usize = 120;
    /// Track table: `TRACKS_MAX` entries.
    pub const AT_TABLE: usize = 128;
    pub const TRACK_BYTES: usize = 64;
    /// Offsets within an entry, all u32.
    pub const TRACK_CODEC: usize = 0;
    pub const TRACK_BASE_NUM: usize = 4;
    pub const TRACK_BASE_DEN: usize = 8;
    pub const TRACK_WIDTH: usize = 12;
    pub const TRACK_HEIGHT: usize = 16;
    pub const TRACK_RATE: usize = 20;
    pub const TRACK_CHANNELS: usize = 24;
    pub const TRACK_FPS_NUM: usize = 28;
    pub const TRACK_FPS_DEN: usize = 32;
    /// Offset from the start of the stream block, and length.
    pub const TRACK_EXTRA_AT: usize = 36;
    pub const TRACK_EXTRA_BYTES: usize = 40;
    pub const AT_EXTRA: usize = AT_TABLE + protocol::stream::TRACKS_MAX * TRACK_BYTES;
}

/// A record of the packet log: header, payload, at least `TAIL` zero bytes, rounded up to `ALIGN`.
pub mod record {
    pub const HEADER: usize = 128;
    pub const ALIGN: usize = 128;
    /// FFmpeg reads up to 64 bytes behind a packet (AV_INPUT_BUFFER_PADDING_SIZE).
    pub const TAIL: usize = 64;

    pub const AT_SEQUENCE: usize = 0;
    /// u32: `RECORD` or `PAD` (the rest of the log up to its end).
    pub const AT_TYPE: usize = 8;
    pub const AT_PAYLOAD_BYTES: usize = 12;
    pub const AT_TRACK: usize = 16;
    pub const AT_FLAGS: usize = 20;
    pub const AT_PTS_NS: usize = 24;
    pub const AT_DTS_NS: usize = 32;
    pub const AT_DURATION_NS: usize = 40;
    pub const AT_CAPTURE_MONO_NS: usize = 48;
    pub const AT_CAPTURE_UTC_NS: usize = 56;
    pub const AT_INGEST_NS: usize = 64;
    pub const AT_PUBLISHED_NS: usize = 72;
    pub const AT_GOP: usize = 80;
    /// Source packet of a re-encoded one; epoch 0 when this ring is the source.
    pub const AT_SOURCE_EPOCH: usize = 88;
    pub const AT_SOURCE_SEQUENCE: usize = 96;
    pub const AT_CLOCK: usize = 104;
    /// u32: number of the segment that the payload lies in; 0 when it lies behind this header.
    pub const AT_SEGMENT: usize = 108;
    /// u64: the payload's length in that segment.
    pub const AT_SEGMENT_BYTES: usize = 112;

    pub const RECORD: u32 = 0x5045_5246;
    pub const PAD: u32 = 0x4441_5046;
}

/// Flag bits of records and descriptors.
pub mod flag {
    pub const KEY: u32 = 1;
    pub const DISCONTINUITY: u32 = 2;
    pub const CORRUPT: u32 = 4;
    /// The picture was copied into its slot, not decoded there.
    pub const COPIED: u32 = 8;
    /// The picture or tensor has another shape or format than the one before it in this epoch.
    pub const FORMAT_CHANGE: u32 = 16;
}

/// A descriptor of the frame ring.
pub mod descriptor {
    pub const BYTES: usize = 256;

    /// u64: the picture's sequence; 0 while the descriptor is written.
    pub const AT_SEQUENCE: usize = 0;
    pub const AT_TOKEN: usize = 8;
    pub const AT_FLAGS: usize = 16;
    pub const AT_PLANES: usize = 20;
    pub const AT_FORMAT: usize = 24;
    pub const AT_WIDTH: usize = 28;
    pub const AT_HEIGHT: usize = 32;
    /// Four bytes: range, matrix, primaries, transfer.
    pub const AT_COLOUR: usize = 36;
    pub const AT_PTS_NS: usize = 40;
    pub const AT_DURATION_NS: usize = 48;
    pub const AT_CAPTURE_MONO_NS: usize = 56;
    pub const AT_CAPTURE_UTC_NS: usize = 64;
    pub const AT_INGEST_NS: usize = 72;
    pub const AT_DECODED_NS: usize = 80;
    pub const AT_PUBLISHED_NS: usize = 88;
    pub const AT_SOURCE_EPOCH: usize = 96;
    pub const AT_SOURCE_SEQUENCE: usize = 104;
    /// Four u32 offsets from the slot's start, then four u32 line sizes.
    pub const AT_PLANE_OFFSETS: usize = 112;
    pub const AT_LINESIZES: usize = 128;
    pub const AT_SLOT_BYTES: usize = 144;
    pub const AT_GOP: usize = 152;
    pub const AT_CLOCK: usize = 160;
    /// 64 bytes for the writer's user.
    pub const AT_USER: usize = 192;
    pub const USER_BYTES: usize = 64;
    pub const PLANES_MAX: usize = 4;

    /// `AT_FORMAT` of a tensor; below are pixel formats.
    pub const TENSOR: u32 = 64;
    /// u32: bytes from the slot's start to the first element.
    pub const AT_OFFSET: usize = 112;
    /// Six u32: bytes from one index of an axis to the next.
    pub const AT_STRIDES: usize = 116;
    /// u32: axes that count.
    pub const AT_AXES: usize = 140;
    /// u32: type of the elements.
    pub const AT_DTYPE: usize = 164;
    /// Six u32: length of each axis.
    pub const AT_SHAPE: usize = 168;
    pub const AXES_MAX: usize = 6;
}

/// A lease page: written by the one reader that holds its lock, read by the writer with pread.
pub mod lease {
    pub const MAGIC: u64 = u64::from_le_bytes(*b"FVLEASE1");
    pub const BYTES: usize = super::PAGE;

    pub const AT_MAGIC: usize = 0;
    pub const AT_MAJOR: usize = 8;
    pub const AT_MINOR: usize = 12;
    /// u64: the epoch its hazards are about; 0 while it is wiped.
    pub const AT_EPOCH: usize = 128;
    /// u64 tokens; 0 is none.
    pub const AT_HAZARDS: usize = 136;
    pub const HAZARDS: usize = 16;
    /// u64: sequence last taken.
    pub const AT_CURSOR: usize = 264;
    /// u64: items overrun since it attached.
    pub const AT_MISSED: usize = 272;
    pub const AT_PID: usize = 280;
    /// u32: pictures a second it wants; 0 is all.
    pub const AT_MAX_FPS: usize = 288;
    pub const AT_NAME_BYTES: usize = 292;
    pub const AT_NAME: usize = 296;
    pub const NAME_MAX: usize = 64;
    /// u32, since 1.1: each so manyth picture it wants; 0 is all.
    pub const AT_EVERY: usize = AT_NAME + NAME_MAX;
    /// u32, since 1.1: 1 when it wants key pictures alone.
    pub const AT_KEY_ONLY: usize = AT_EVERY + 4;
    /// u64, since 1.1: CLOCK_MONOTONIC ns when the oldest of its leases was taken.
    pub const AT_HELD_SINCE_NS: usize = 368;
    /// u64, since 1.1: how often it was told that it is let go of.
    pub const AT_EVICTED: usize = 376;
    /// u64, since 1.1: how often it wanted a picture while it held all it may.
    pub const AT_REFUSED: usize = 384;
}

/// Slot tokens: generation 12 bits, slot 12 bits, version 40 bits. An odd version is being reclaimed.
pub mod token {
    pub const SLOT_BITS: u32 = 12;
    pub const VERSION_BITS: u32 = 40;
    pub const SLOTS_MAX: usize = 1 << SLOT_BITS;
    /// Generations are counted from 1 and stop here; a ring that changes its geometry more often
    /// in one epoch needs a new epoch.
    pub const GENERATION_MAX: u32 = (1 << 12) - 1;
}

const _: () = {
    assert!(index::AT_EVICTIONS + 8 <= index::AT_STREAM_LOCK);
    assert!(index::AT_STREAM_LOCK + 8 <= index::HEADER);
    assert!(eviction::AT_REASON + 8 <= eviction::BYTES);
    assert!(stream::AT_SOURCE + stream::SOURCE_MAX <= stream::AT_TABLE);
    assert!(lease::AT_HAZARDS + lease::HAZARDS * 8 == lease::AT_CURSOR);
    assert!(lease::AT_KEY_ONLY + 4 <= lease::AT_HELD_SINCE_NS);
    assert!(lease::AT_REFUSED + 8 <= lease::BYTES);
    assert!(descriptor::AT_USER + descriptor::USER_BYTES == descriptor::BYTES);
    assert!(descriptor::AT_STRIDES + descriptor::AXES_MAX * 4 == descriptor::AT_AXES);
    assert!(descriptor::AT_SHAPE + descriptor::AXES_MAX * 4 == descriptor::AT_USER);
    assert!(record::AT_SEGMENT_BYTES + 8 <= record::HEADER);
    assert!(record::HEADER.is_multiple_of(record::ALIGN));
};
