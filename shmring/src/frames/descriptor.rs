//! The 256 bytes that describe a published picture or tensor. Pure.

use protocol::stream::{Colour, PixelFormat};
use protocol::time::{ClockSource, MonoNs, Stamp, UtcNs};

use super::form::{FORM_AT, Form};
use super::{FrameMeta, Picture, PlaneLayout};
use crate::SourceId;
use crate::layout::{descriptor as at, flag};

/// A descriptor is so many u64; each is read and written once.
pub(crate) const WORDS: usize = at::BYTES / 8;

/// What a descriptor says. Its content is not the descriptor's: that is [`Form`]'s, which is proven first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) sequence: u64,
    pub(crate) token: u64,
    pub(crate) published: MonoNs,
    pub(crate) slot_bytes: u64,
    pub(crate) meta: FrameMeta,
}

impl Described {
    /// Nothing yet.
    pub(crate) fn blank() -> Self {
        let (format, planes) = (PixelFormat::Gray8, [PlaneLayout::default(); at::PLANES_MAX]);
        let picture = Picture { width: 0, height: 0, format, colour: Colour::default(), planes };
        let meta = FrameMeta::of(picture);
        Self { sequence: 0, token: 0, published: MonoNs(0), slot_bytes: 0, meta }
    }

    /// Takes over everything but the content. Field by field: as a whole it would be made elsewhere first
    /// and then moved here.
    #[inline(always)]
    pub(crate) fn hear(&mut self, word: impl Fn(usize) -> u64) {
        self.sequence = word(at::AT_SEQUENCE);
        self.token = word(at::AT_TOKEN);
        self.published = MonoNs(word(at::AT_PUBLISHED_NS));
        let meta = &mut self.meta;
        let flags = low(word(at::AT_FLAGS));
        meta.key = flags & flag::KEY != 0;
        meta.corrupt = flags & flag::CORRUPT != 0;
        meta.discontinuity = flags & flag::DISCONTINUITY != 0;
        meta.copied = flags & flag::COPIED != 0;
        meta.format_change = flags & flag::FORMAT_CHANGE != 0;
        meta.pts_ns = word(at::AT_PTS_NS).cast_signed();
        meta.duration_ns = word(at::AT_DURATION_NS).cast_signed();
        meta.capture = Stamp {
            mono: MonoNs(word(at::AT_CAPTURE_MONO_NS)),
            utc: UtcNs(word(at::AT_CAPTURE_UTC_NS)),
        };
        meta.ingest = MonoNs(word(at::AT_INGEST_NS));
        meta.decoded = MonoNs(word(at::AT_DECODED_NS));
        let source =
            SourceId { epoch: word(at::AT_SOURCE_EPOCH), sequence: word(at::AT_SOURCE_SEQUENCE) };
        meta.source = (source.epoch != 0).then_some(source);
        meta.gop_index = word(at::AT_GOP);
        let is_camera = low(word(at::AT_CLOCK)) == ClockSource::Camera as u32;
        meta.clock = if is_camera { ClockSource::Camera } else { ClockSource::Arrival };
        let (user, _) = meta.user.as_chunks_mut::<8>();
        for (bytes, place) in user.iter_mut().zip((at::AT_USER..).step_by(8)) {
            *bytes = word(place).to_le_bytes();
        }
    }
}

/// Writes all words but the sequence, which the writer stores last. What it shows is the content of `meta`,
/// and whether that is a change is known here, not there.
#[inline]
pub(crate) fn tell(
    token: u64,
    published: MonoNs,
    meta: &FrameMeta,
    (form, format_change): (&Form, bool),
    mut put: impl FnMut(usize, u64),
) {
    let source = meta.source.unwrap_or(SourceId { epoch: 0, sequence: 0 });
    put(at::AT_TOKEN, token);
    put(at::AT_PTS_NS, meta.pts_ns.cast_unsigned());
    put(at::AT_DURATION_NS, meta.duration_ns.cast_unsigned());
    put(at::AT_CAPTURE_MONO_NS, meta.capture.mono.0);
    put(at::AT_CAPTURE_UTC_NS, meta.capture.utc.0);
    put(at::AT_INGEST_NS, meta.ingest.0);
    put(at::AT_DECODED_NS, meta.decoded.0);
    put(at::AT_PUBLISHED_NS, published.0);
    put(at::AT_SOURCE_EPOCH, source.epoch);
    put(at::AT_SOURCE_SEQUENCE, source.sequence);
    put(at::AT_GOP, meta.gop_index);
    for (place, word) in FORM_AT.into_iter().zip(form.words()) {
        let beside = match place {
            at::AT_FLAGS => flags(meta, format_change),
            at::AT_CLOCK => meta.clock as u32,
            _ => 0,
        };
        put(place, word | u64::from(beside));
    }
    let (user, _) = meta.user.as_chunks::<8>();
    for (bytes, place) in user.iter().zip((at::AT_USER..).step_by(8)) {
        put(place, u64::from_le_bytes(*bytes));
    }
}

fn flags(meta: &FrameMeta, format_change: bool) -> u32 {
    let bit = |is_set, bit| if is_set { bit } else { 0 };
    bit(meta.key, flag::KEY)
        | bit(meta.discontinuity, flag::DISCONTINUITY)
        | bit(meta.corrupt, flag::CORRUPT)
        | bit(meta.copied, flag::COPIED)
        | bit(format_change, flag::FORMAT_CHANGE)
}

/// Of two fields in one word, the first.
fn low(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use protocol::stream::DType;

    use super::*;
    use crate::frames::form::Known;
    use crate::frames::{Content, Tensor};

    fn meta(content: impl Into<Content>) -> FrameMeta {
        FrameMeta {
            pts_ns: -5,
            duration_ns: 40,
            clock: ClockSource::Camera,
            ingest: MonoNs(1),
            decoded: MonoNs(2),
            source: Some(SourceId { epoch: 3, sequence: 4 }),
            key: true,
            discontinuity: true,
            copied: true,
            format_change: true,
            gop_index: 12,
            user: std::array::from_fn(|place| u8::try_from(place).unwrap()),
            ..FrameMeta::of(content)
        }
    }

    #[test]
    fn a_descriptor_reads_back_as_written() {
        let tensor = Tensor::strided(DType::Bf16, &[2, 3, 5], &[96, 32, 4], 62).unwrap();
        let picture = Picture::packed(640, 480, PixelFormat::Gray8, 64).unwrap();
        for meta in [meta(picture), meta(tensor)] {
            let words = told(&meta, 1 << 20);
            let word = |place| words[place / 8];
            let (mut described, mut known) = (Described::blank(), Known::default());
            described.hear(word);
            assert!(!known.is(word) && known.learn(&Form::hear(word)) && known.is(word));
            known.complete(&mut described);
            assert_eq!(described.meta, meta);
            assert_eq!((described.token, described.published), (77, MonoNs(9)));
            assert_eq!(described.slot_bytes, 1 << 20);
        }
    }

    fn told(meta: &FrameMeta, slot_bytes: u64) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        let form = Form::of(&meta.content, slot_bytes);
        tell(77, MonoNs(9), meta, (&form, meta.format_change), |place, word| {
            words[place / 8] = word
        });
        words
    }
}
