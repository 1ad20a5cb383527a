//! A track of a file in the words of a ring: the way back from `video` and `audio`.

use bitstream::nal;
use mp4_atom::{Audio, Codec as Entry, Dops, FourCC, Mp4a, Stsd, Visual};
use protocol::stream::{Codec, Track};
use protocol::time::TimeBase;

use crate::video::read_jpeg;
use crate::{av1, boxes, vp9};

/// What the sample entry of a `trak` box says. `None` when it is none that [`crate::Movie`] writes.
pub(crate) fn stream(trak: &[u8], base: TimeBase) -> Option<Track> {
    let minf = boxes::only(boxes::only(trak, b"mdia")?, b"minf")?;
    let stsd: Stsd = boxes::decode(boxes::only(boxes::only(minf, b"stbl")?, b"stsd")?)?;
    match stsd.codecs.as_slice() {
        [Entry::Avc1(entry)] => {
            let sets = &entry.avcc;
            let units = [&sets.sequence_parameter_sets, &sets.picture_parameter_sets];
            Some(video(Codec::H264, base, &entry.visual, nal::stream(units.into_iter().flatten())))
        }
        [Entry::Hvc1(entry)] => {
            let units = entry.hvcc.arrays.iter().flat_map(|array| &array.nalus);
            Some(video(Codec::H265, base, &entry.visual, nal::stream(units)))
        }
        [Entry::Av01(entry)] => {
            let sequence = av1::sequence_in(&entry.av1c.config_obus);
            let extradata = sequence.map(|it| it.obu).unwrap_or_default();
            Some(video(Codec::Av1, base, &entry.visual, extradata))
        }
        [Entry::Vp09(entry)] => {
            let record = vp9::record_of(&entry.vpcc);
            Some(video(Codec::Vp9, base, &entry.visual, record))
        }
        [Entry::Unknown(kind, content)] if *kind == FourCC::new(b"mp4v") => {
            let visual = read_jpeg(content)?;
            Some(video(Codec::Mjpeg, base, &visual, Vec::new()))
        }
        [Entry::Mp4a(entry)] => Some(sound(Codec::Aac, base, &entry.audio, configuration(entry))),
        [Entry::Opus(entry)] => {
            Some(sound(Codec::Opus, base, &entry.audio, opus_head(&entry.dops)))
        }
        _ => None,
    }
}

fn video(codec: Codec, base: TimeBase, visual: &Visual, extradata: Vec<u8>) -> Track {
    Track {
        codec,
        time_base: base,
        width: visual.width.into(),
        height: visual.height.into(),
        sample_rate_hz: 0,
        channels: 0,
        frame_rate: (0, 1),
        extradata,
    }
}

/// Both codecs count their samples in the track's time base.
fn sound(codec: Codec, base: TimeBase, audio: &Audio, extradata: Vec<u8>) -> Track {
    Track {
        codec,
        time_base: base,
        width: 0,
        height: 0,
        sample_rate_hz: base.den,
        channels: audio.channel_count.into(),
        frame_rate: (0, 1),
        extradata,
    }
}

fn configuration(entry: &Mp4a) -> Vec<u8> {
    let specific = entry.esds.es_desc.dec_config.dec_specific.as_ref();
    specific.map(|specific| specific.raw.clone()).unwrap_or_default()
}

/// An `OpusHead` of mapping family 0 (RFC 7845 section 5.1).
fn opus_head(dops: &Dops) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(dops.output_channel_count);
    head.extend(dops.pre_skip.to_le_bytes());
    head.extend(dops.input_sample_rate.to_le_bytes());
    head.extend(dops.output_gain.to_le_bytes());
    head.push(0);
    head
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use protocol::time::UtcNs;

    use crate::movie::tests::{aac, av1, h264, mjpeg, vp9};
    use crate::{Fragment, Movie, Muxer, OriginFlags, Sample, read_init};

    use super::*;

    #[test]
    fn a_file_tells_the_tracks_it_was_made_of() {
        let opus = Track { codec: Codec::Opus, extradata: Vec::new(), ..aac() };
        let pictures = [av1(), vp9(), mjpeg()];
        let (movie, _) = Movie::new(&[&[h264(), aac(), opus], &pictures[..]].concat());
        let ring = "cam1.packets".parse().unwrap();
        let mut first = Fragment::new(&ring, 1, 1, UtcNs(0), OriginFlags::default());
        // Decoded 80 ms before it is shown: the file says so with an edit.
        first.push(Sample { pts_ns: 80_000_000, key: true, ..Sample::default() });
        let bytes = Muxer::new(movie, &first).init_segment().unwrap();
        let init = read_init(&mut Cursor::new(&bytes)).unwrap().unwrap();
        assert_eq!(init.bytes, bytes.len() as u64);
        let leads: Vec<u64> = init.tracks.iter().map(|track| track.lead_ticks).collect();
        assert_eq!(leads, [7200, 0, 0, 0, 0, 0]);
        let [video, sound, opus, rest @ ..] = init.streams.as_slice() else { panic!() };
        let of_file = |track: Track| Some(Track { frame_rate: (0, 1), ..track });
        assert_eq!(*video, of_file(h264()));
        assert_eq!(*sound, Some(aac()));
        assert_eq!(rest, pictures.map(of_file));
        let opus = opus.as_ref().unwrap();
        assert_eq!((opus.codec, opus.sample_rate_hz, opus.channels), (Codec::Opus, 48_000, 2));
        assert_eq!(opus.extradata.len(), 19);
    }
}
