//! How much shared memory the rings of a topology take. Pure; the layout is shmring's.

use protocol::config::decoder::OutputConfig;
use protocol::config::ingest::Source;
use protocol::config::{DecoderConfig, Makes, PipeConfig, Raw, WorkerConfig};
use protocol::control::RingContract;
use protocol::name::{RingKind, RingName};
use protocol::stream::PixelFormat;
use protocol::units::Size;
use serde::Serialize;
use shmring::Picture;
use shmring::size::{self, Pictures};

use crate::topology::{Launch, RingSpec, Topology};

/// Rows of pictures begin at multiples of this.
const ROW_ALIGN: u32 = 64;

/// What one ring takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// The most, as after a restart of its writer; without pictures whose size is not known yet.
    pub(crate) bytes: u64,
    /// False when pictures come on top: of a size not known, or held by the decoder.
    pub(crate) exact: bool,
    /// Frame rings: pictures that the ring has room for, beside those its decoder holds.
    pub(crate) pictures: Option<u32>,
    /// Of those pictures, where the topology tells.
    #[serde(skip)]
    pub(crate) size: Option<Size>,
}

pub(crate) fn memory_of(topology: &Topology, ring: &RingSpec) -> Memory {
    let raw = raw_of(topology, ring).and_then(|raw| Some((raw.size, raw.picture_bytes()?)));
    if let Some((size, slot_bytes)) = raw {
        // All that its writer holds is the picture that it reads.
        let known = memory(ring, Some(Pictures { slot_bytes, writer_need: 1 }));
        return Memory { exact: true, size: Some(size), ..known };
    }
    if let Some(size) = composed_size(topology, ring) {
        // It holds the one that it draws.
        let known = Pictures { slot_bytes: picture_bytes(size), writer_need: 1 };
        return Memory { exact: true, size: Some(size), ..memory(ring, Some(known)) };
    }
    if let Some(form) = output_of(topology, ring)
        && let Some(size) = form.size.or_else(|| size_of(topology, ring))
    {
        let slot_bytes = match form.tensor {
            Some(tensor) => tensor.bytes(size),
            None => scaled_bytes(size, form.format.unwrap_or(PixelFormat::Yuv420p)),
        };
        // It is made there: the decoder holds none of its pictures.
        let known = memory(ring, Some(Pictures { slot_bytes, writer_need: 1 }));
        return Memory { exact: true, size: Some(size), ..known };
    }
    memory_with(ring, size_of(topology, ring))
}

/// What the ring takes with pictures of this size.
pub(crate) fn memory_with(ring: &RingSpec, picture: Option<Size>) -> Memory {
    let picture = picture.filter(|_| ring.name.kind() == RingKind::Frames);
    // What the decoder holds shows when it runs.
    let writer_need = 0;
    let pictures = picture.map(|size| Pictures { slot_bytes: picture_bytes(size), writer_need });
    Memory { size: picture, ..memory(ring, pictures) }
}

fn memory(ring: &RingSpec, pictures: Option<Pictures>) -> Memory {
    let contract = RingContract {
        essential: ring.essential.clone(),
        pre_roll: ring.pre_roll,
        waits: ring.waits,
        ..RingContract::new(ring.name.clone(), ring.config, ring.places())
    };
    let is_frames = ring.name.kind() == RingKind::Frames;
    let writer_need = pictures.map_or(0, |pictures| pictures.writer_need);
    Memory {
        bytes: size::most_bytes(&contract, pictures),
        exact: !is_frames,
        pictures: is_frames.then(|| size::slots(&contract, writer_need)),
        size: None,
    }
}

/// One picture of 8 bit 4:2:0, what nearly every camera sends.
pub(crate) fn picture_bytes(size: Size) -> u64 {
    let picture = Picture::packed(size.width, size.height, PixelFormat::Yuv420p, ROW_ALIGN);
    picture.map_or(0, |picture| whole(picture.slot_bytes()))
}

/// One picture as a decoder's scaler lays it out: as wide as the rows of all planes are aligned by, and
/// behind each plane what vector instructions may write.
fn scaled_bytes(size: Size, format: PixelFormat) -> u64 {
    const OVERRUN_BYTES: u64 = 16 + 63;
    const PLANE_ALIGN: u64 = 64;
    let planes = |width: u32| {
        let extent = move |plane| format.plane_extent(plane, width, size.height);
        (0..format.planes()).map(extent)
    };
    let mut width = size.width.max(1);
    while planes(width).any(|plane| !plane.row_bytes.is_multiple_of(ROW_ALIGN)) {
        width += width & width.wrapping_neg();
    }
    let bytes = planes(width).map(|plane| {
        let rows = u64::from(plane.row_bytes) * u64::from(plane.rows);
        (rows + OVERRUN_BYTES).next_multiple_of(PLANE_ALIGN)
    });
    bytes.sum()
}

/// What the decoder is asked to make of its pictures for this ring.
fn output_of(topology: &Topology, ring: &RingSpec) -> Option<OutputConfig> {
    let writer = topology.worker(&ring.writer)?;
    let Launch::Use(WorkerConfig::Decoder(decoder)) = &writer.launch else { return None };
    let own = writer.output.as_ref()?;
    let is_it = |name: &str| DecoderConfig::ring_of(own, name).as_ref() == Some(&ring.name);
    decoder.outputs.iter().find(|(name, _)| is_it(name)).map(|(_, form)| *form)
}

/// What the command prints that makes the ring's pictures.
fn raw_of<'a>(topology: &'a Topology, ring: &RingSpec) -> Option<&'a Raw> {
    match &topology.worker(&ring.writer)?.launch {
        Launch::Use(WorkerConfig::Pipe(PipeConfig {
            makes: Some(Makes::Pictures(raw)), ..
        })) => Some(raw),
        _ => None,
    }
}

/// What a compositor makes is as its section says.
fn composed_size(topology: &Topology, ring: &RingSpec) -> Option<Size> {
    match &topology.worker(&ring.writer)?.launch {
        Launch::Use(WorkerConfig::Compositor(compositor)) => Some(compositor.size),
        _ => None,
    }
}

/// Of the synthetic camera at the other end of the ring's decoder; any other says it when it runs.
fn size_of(topology: &Topology, ring: &RingSpec) -> Option<Size> {
    let decoder = topology.worker(&ring.writer)?;
    let source = topology.ring(decoder.inputs.first()?)?;
    match &topology.worker(&source.writer)?.launch {
        Launch::Use(WorkerConfig::Ingest(ingest)) => match &ingest.source {
            Source::Test(pattern) => Some(pattern.size),
            Source::Device(_)
            | Source::File(_)
            | Source::Publisher(_)
            | Source::Rtsp(_)
            | Source::Stream(_) => None,
        },
        _ => None,
    }
}

fn whole(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// All rings together, and the names of those whose pictures have no known size.
pub(crate) fn total(topology: &Topology) -> (u64, Vec<&RingName>) {
    let all = || topology.rings.iter().map(|ring| (ring, memory_of(topology, ring)));
    let bytes = all().fold(0, |sum: u64, (_, memory)| sum.saturating_add(memory.bytes));
    let open = all().filter(|(_, memory)| memory.pictures.is_some() && memory.size.is_none());
    (bytes, open.map(|(ring, _)| &ring.name).collect())
}

#[cfg(test)]
mod tests {
    use shmring::{PacketWriter, census, clock};

    use super::*;
    use crate::topology::{self, Overrides};

    #[test]
    fn a_ring_grows_with_its_rate_its_readers_and_its_pictures() {
        let text = "version: 1\nworkers:
  a: {use: ingest, source: 'test:?size=640x480'}
  b: {use: ingest, source: 'rtsp://127.0.0.1/x'}
  da: {use: decoder, in: a.packets}
  db: {use: decoder, in: b.packets}
  m: {use: motion, in: a.frames}
rings:
  b.packets: {max_bitrate: 80M}
";
        let file = "/srv/yard/framevisor.yml".as_ref();
        let topology = topology::parse(text, file, &Overrides::default()).unwrap();
        let of = |name: &str| memory_of(&topology, topology.ring(&name.parse().unwrap()).unwrap());
        assert!(of("a.packets").bytes > 20_000_000 && of("b.packets").bytes > 200_000_000);
        // One reader and two to spare hold two each; one is the newest, one before it, two are made.
        let frames = of("a.frames");
        assert_eq!(frames.pictures, Some(10));
        assert!(frames.bytes > 10 * 640 * 480 * 3 / 2 && !frames.exact);
        assert_eq!(of("b.frames").size, None);
        assert_eq!(total(&topology).1, [&"b.frames".parse::<RingName>().unwrap()]);
    }

    #[test]
    fn pictures_that_a_command_prints_are_known_before_it_runs() {
        let text = "version: 1\nworkers:
  flip: {run: [x], stdout: flip.frames, raw: {format: rgb24, size: 640x480, fps: 25}}
";
        let file = "/srv/yard/framevisor.yml".as_ref();
        let topology = topology::parse(text, file, &Overrides::default()).unwrap();
        let memory = memory_of(&topology, &topology.rings[0]);
        let pictures = memory.pictures.unwrap();
        assert!(memory.exact && memory.bytes > u64::from(pictures) * 640 * 480 * 3, "{memory:?}");
        assert_eq!(memory.size, Some(Size { width: 640, height: 480 }));
        assert!(total(&topology).1.is_empty());
    }

    #[test]
    fn pictures_that_a_decoder_scales_are_reckoned_as_they_are_laid_out() {
        let text = "version: 1\nworkers:
  a: {use: ingest, source: 'rtsp://127.0.0.1/x'}
  d: {use: decoder, in: a.packets, outputs: {odd: {size: 1296x722}, rgb: {size: 426x240, format: rgb24}}}
";
        let file = "/srv/yard/framevisor.yml".as_ref();
        let topology = topology::parse(text, file, &Overrides::default()).unwrap();
        let of = |name: &str| memory_of(&topology, topology.ring(&name.parse().unwrap()).unwrap());
        // Rows of 1408 and 704 bytes, of 3 x 448.
        for (name, least) in [("a.odd.frames", 1408 * 722 * 3 / 2), ("a.rgb.frames", 1344 * 240)] {
            let memory = of(name);
            let pictures = u64::from(memory.pictures.unwrap());
            assert!(memory.exact && memory.bytes >= pictures * least, "{name}: {memory:?}");
        }
        assert_eq!(total(&topology).1, [&"a.frames".parse::<RingName>().unwrap()]);
    }

    #[test]
    fn pictures_of_a_compositor_are_as_large_as_its_section_says() {
        let text = "version: 1\nworkers:
  flip: {run: [x], stdout: flip.frames, raw: {format: rgb24, size: 64x48, fps: 25}}
  mix: {use: compositor, in: flip.frames, size: 640x480}
";
        let file = "/srv/yard/framevisor.yml".as_ref();
        let topology = topology::parse(text, file, &Overrides::default()).unwrap();
        let mix = topology.ring(&"mix.frames".parse().unwrap()).unwrap();
        let memory = memory_of(&topology, mix);
        let pictures = u64::from(memory.pictures.unwrap());
        assert!(memory.exact && memory.bytes > pictures * 640 * 480 * 3 / 2, "{memory:?}");
        assert!(total(&topology).1.is_empty());
    }

    #[test]
    fn a_ring_with_an_essential_reader_takes_what_was_reckoned() {
        let text = "version: 1\nworkers:
  a: {use: ingest, source: 'test:'}
  r: {use: recorder, in: a.packets, dir: x, policy: {essential: 3s}}
";
        let file = "/srv/yard/framevisor.yml".as_ref();
        let topology = topology::parse(text, file, &Overrides::default()).unwrap();
        let ring = topology.ring(&"a.packets".parse().unwrap()).unwrap();
        let plain = RingContract::new(ring.name.clone(), ring.config, ring.places());
        let contract = RingContract { essential: ring.essential.clone(), ..plain };
        let project = format!("budget{}", std::process::id()).parse().unwrap();
        drop(PacketWriter::create(&project, &contract, &[]).unwrap());
        // Now with the epoch before, too.
        let writer = PacketWriter::create(&project, &contract, &[]).unwrap();
        let bytes = census::status(&project, &ring.name, clock::mono()).bytes;
        drop(writer);
        census::sweep_unowned(&project);
        assert_eq!(memory_of(&topology, ring).bytes, bytes);
    }
}
