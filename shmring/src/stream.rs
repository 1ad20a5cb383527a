//! The stream block: tracks and source ring, behind a seqlock.

use protocol::name::RingName;
use protocol::stream::{Codec, TRACKS_MAX, Track};
use protocol::time::TimeBase;

use crate::error::Error;
use crate::layout::{index, stream};
use crate::segment::Mapping;
use crate::seqlock;
use crate::sync::Ordering;

/// What a ring says of its content.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamBlock {
    pub(crate) tracks: Vec<Track>,
    pub(crate) source: Option<RingName>,
}

/// Writes the block; readers that are copying it notice.
pub(crate) fn write(
    index_map: &Mapping,
    ring: &RingName,
    block: &StreamBlock,
) -> Result<(), Error> {
    let bytes = encode(block).map_err(|what| Error::StreamTooLarge { ring: ring.clone(), what })?;
    let lock = index_map.word(index::AT_STREAM_LOCK);
    let even = lock.load(Ordering::Relaxed) & !1;
    // PAIR stream
    seqlock::write(lock, even + 1, even + 2, || index_map.copy_in(index::AT_STREAM, &bytes));
    Ok(())
}

/// Reads the block. `None` while it is being written or when it makes no sense.
pub(crate) fn read(index_map: &Mapping) -> Option<StreamBlock> {
    let lock = index_map.word(index::AT_STREAM_LOCK);
    // Writing takes microseconds; a writer killed in the middle leaves it odd for ever.
    for _ in 0..1000 {
        // PAIR stream
        let copied = seqlock::read(
            lock,
            |seen| seen.is_multiple_of(2),
            || {
                let mut bytes = vec![0; index::STREAM_BYTES];
                index_map.copy_out(index::AT_STREAM, &mut bytes);
                bytes
            },
        );
        if let Some(bytes) = copied {
            return decode(&bytes);
        }
        std::thread::yield_now();
    }
    None
}

/// How often the block has been written; changes whenever it does.
pub(crate) fn version(index_map: &Mapping) -> u64 {
    index_map.word(index::AT_STREAM_LOCK).load(Ordering::Acquire)
}

fn encode(block: &StreamBlock) -> Result<Vec<u8>, &'static str> {
    if block.tracks.len() > TRACKS_MAX {
        return Err("more than 8 tracks");
    }
    if block.tracks.iter().any(|track| track.time_base.num == 0 || track.time_base.den == 0) {
        return Err("a time base of zero");
    }
    let mut bytes = vec![0; stream::AT_EXTRA];
    put(&mut bytes, stream::AT_TRACKS, u32::try_from(block.tracks.len()).unwrap_or(0));
    if let Some(source) = &block.source {
        let name = source.as_str().as_bytes();
        put(&mut bytes, stream::AT_SOURCE_BYTES, u32::try_from(name.len()).unwrap_or(0));
        bytes[stream::AT_SOURCE..stream::AT_SOURCE + name.len()].copy_from_slice(name);
    }
    for (number, track) in block.tracks.iter().enumerate() {
        encode_track(&mut bytes, stream::AT_TABLE + number * stream::TRACK_BYTES, track);
    }
    if bytes.len() > index::STREAM_BYTES {
        return Err("more than 60 KiB of extradata");
    }
    Ok(bytes)
}

fn encode_track(bytes: &mut Vec<u8>, entry: usize, track: &Track) {
    let extra_at = u32::try_from(bytes.len()).unwrap_or(0);
    let extra_bytes = u32::try_from(track.extradata.len()).unwrap_or(0);
    let fields = [
        (stream::TRACK_CODEC, track.codec as u32),
        (stream::TRACK_BASE_NUM, track.time_base.num),
        (stream::TRACK_BASE_DEN, track.time_base.den),
        (stream::TRACK_WIDTH, track.width),
        (stream::TRACK_HEIGHT, track.height),
        (stream::TRACK_RATE, track.sample_rate_hz),
        (stream::TRACK_CHANNELS, track.channels),
        (stream::TRACK_FPS_NUM, track.frame_rate.0),
        (stream::TRACK_FPS_DEN, track.frame_rate.1),
        (stream::TRACK_EXTRA_AT, extra_at),
        (stream::TRACK_EXTRA_BYTES, extra_bytes),
    ];
    for (at, value) in fields {
        put(bytes, entry + at, value);
    }
    bytes.extend(&track.extradata);
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

/// Every length and offset is checked: the bytes are another process's.
pub(crate) fn decode(bytes: &[u8]) -> Option<StreamBlock> {
    let tracks = get(bytes, stream::AT_TRACKS)? as usize;
    if tracks > TRACKS_MAX {
        return None;
    }
    let decode_entry =
        |number| decode_track(bytes, stream::AT_TABLE + number * stream::TRACK_BYTES);
    let tracks = (0..tracks).map(decode_entry).collect::<Option<_>>()?;
    let source_bytes = get(bytes, stream::AT_SOURCE_BYTES)? as usize;
    let source = match source_bytes {
        0 => None,
        1..=stream::SOURCE_MAX => {
            let name = bytes.get(stream::AT_SOURCE..stream::AT_SOURCE + source_bytes)?;
            Some(std::str::from_utf8(name).ok()?.parse().ok()?)
        }
        _ => return None,
    };
    Some(StreamBlock { tracks, source })
}

fn decode_track(bytes: &[u8], entry: usize) -> Option<Track> {
    let field = |at| get(bytes, entry + at);
    let extra_at = field(stream::TRACK_EXTRA_AT)? as usize;
    let extra_end = extra_at.checked_add(field(stream::TRACK_EXTRA_BYTES)? as usize)?;
    let time_base =
        TimeBase { num: field(stream::TRACK_BASE_NUM)?, den: field(stream::TRACK_BASE_DEN)? };
    if time_base.num == 0 || time_base.den == 0 {
        return None;
    }
    Some(Track {
        codec: Codec::from_code(field(stream::TRACK_CODEC)?)?,
        time_base,
        width: field(stream::TRACK_WIDTH)?,
        height: field(stream::TRACK_HEIGHT)?,
        sample_rate_hz: field(stream::TRACK_RATE)?,
        channels: field(stream::TRACK_CHANNELS)?,
        frame_rate: (field(stream::TRACK_FPS_NUM)?, field(stream::TRACK_FPS_DEN)?),
        extradata: bytes.get(extra_at..extra_end)?.to_vec(),
    })
}

fn get(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_stream_block_reads_back_as_written() {
        let track = Track {
            codec: Codec::H264,
            time_base: TimeBase::VIDEO_90K,
            width: 640,
            height: 480,
            sample_rate_hz: 0,
            channels: 0,
            frame_rate: (25, 1),
            extradata: vec![0, 0, 0, 1, 0x67],
        };
        let block = StreamBlock { tracks: vec![track; 2], source: "cam1.packets".parse().ok() };
        let decoded = decode(&encode(&block).unwrap()).unwrap();
        assert_eq!((decoded.tracks, decoded.source), (block.tracks, block.source));
    }

    proptest! {
        #[test]
        fn a_scribbled_stream_block_is_refused_or_sane(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            if let Some(block) = decode(&bytes) {
                prop_assert!(block.tracks.len() <= TRACKS_MAX);
            }
        }
    }
}
