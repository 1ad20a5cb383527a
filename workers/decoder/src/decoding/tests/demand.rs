//! What is made follows what readers want.

use protocol::config::decoder::OutputConfig;
use protocol::config::detect::{ColourOrder, InputFit, Scale};
use protocol::config::tensor::{ElementType, TensorConfig, TensorLayout};
use protocol::stream::PixelFormat;
use protocol::units::Size;
use tensors::{Element, Note, Placement, Sight, Wish};
use worker::Turn;

use super::*;

/// A decoding into a ring of its own pictures and one of small RGB ones, and into one of numbers.
struct Two {
    project: ProjectName,
    own: FrameWriter,
    decoding: Decoding,
    _sweep: Sweep,
}

const SMALL: &str = "cam.small.frames";
const OWN: &str = "cam.frames";
const NET: &str = "cam.net.frames";

impl Two {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let text = format!("t-outputs-{}-{number}", std::process::id());
        let project: ProjectName = text.parse().unwrap();
        let writer = |ring: &str| {
            let config = RingConfig { history: 20, ..RingConfig::default() };
            let contract = RingContract::new(ring.parse().unwrap(), config, 3);
            FrameWriter::create(&project, &contract, None).unwrap()
        };
        let (own, small, net) = (writer(OWN), writer(SMALL), writer(NET));
        let size = Some(Size { width: 160, height: 96 });
        let form =
            OutputConfig { size, format: Some(PixelFormat::Rgb24), ..OutputConfig::default() };
        let numbers = OutputConfig {
            size: Some(Size { width: 96, height: 96 }),
            tensor: Some(TensorConfig { element: ElementType::F16, ..TensorConfig::default() }),
            ..OutputConfig::default()
        };
        let outputs = vec![
            Output::new(own.clone(), None, false),
            Output::new(small, Some(&form), false),
            Output::new(net, Some(&numbers), false),
        ];
        let options = DecoderOptions { threads: 1, max_pixels: 1 << 24 };
        let engines = Engines::new(DecodeHardware::Off, options);
        let decoding =
            Decoding::new(Outputs::new(outputs), engines, Judge::new(Default::default()));
        Self { _sweep: Sweep(project.clone()), project, own, decoding }
    }

    fn attach(&self, ring: &str, options: FrameOptions) -> Watched {
        let options = FrameOptions { policy: Policy::Sequential, ..options };
        let reader = FrameReader::attach(&self.project, &ring.parse().unwrap(), &options).unwrap();
        Watched { reader, sources: Vec::new() }
    }

    /// Decodes one packet a frame time; the readers take what there is meanwhile.
    fn decode(
        &mut self,
        clip: &Clip,
        packets: std::ops::Range<usize>,
        readers: &mut [&mut Watched],
    ) {
        for at in packets {
            let now = MonoNs(10_000_000_000 + at as u64 * 40_000_000);
            self.decoding.look(now);
            let tally = self.decoding.take(&clip.packets[at], &clip.track, now);
            assert!(tally.trouble.is_none() && tally.missed == 0, "packet {at}: {tally:?}");
            readers.iter_mut().for_each(|reader| reader.take());
        }
    }

    /// Sequence of the ring's newest picture.
    fn head(&self, ring: &str) -> u64 {
        let rings = census::rings(&self.project);
        rings.iter().find(|status| status.name.as_str() == ring).unwrap().head
    }
}

/// A reader, and the source sequences of its pictures.
struct Watched {
    reader: FrameReader,
    sources: Vec<u64>,
}

impl Watched {
    fn take(&mut self) {
        loop {
            match self.reader.next(Duration::ZERO).unwrap() {
                Next::Item(frame) => self.sources.push(frame.meta().source.unwrap().sequence),
                Next::Quiet => return,
                other => panic!("{other:?}"),
            }
        }
    }

    fn frame(&mut self) -> Frame {
        match self.reader.next(Duration::ZERO).unwrap() {
            Next::Item(frame) => frame,
            other => panic!("{other:?}"),
        }
    }
}

fn named(name: &str) -> FrameOptions {
    FrameOptions::named(name)
}

fn mean(bytes: &[u8]) -> f64 {
    bytes.iter().map(|sample| f64::from(*sample)).sum::<f64>() / bytes.len() as f64
}

#[test]
fn one_decoding_fills_rings_of_other_sizes_and_formats() {
    let clip = Clip::new(320, 192, 12);
    let mut two = Two::new();
    let (mut own, mut small) = (two.attach(OWN, named("own")), two.attach(SMALL, named("small")));
    for at in 0..12 {
        two.decode(&clip, at..at + 1, &mut []);
        let (large, little) = (own.frame(), small.frame());
        assert_eq!(large.meta().content.to_string(), "320x192 yuv420p");
        assert_eq!(little.meta().content.to_string(), "160x96 rgb24");
        let identity = |frame: &Frame| {
            let meta = frame.meta();
            (meta.source, meta.pts_ns, meta.capture, meta.key, meta.gop_index, meta.discontinuity)
        };
        assert_eq!(identity(&large), identity(&little));
        assert!(!large.meta().copied && !little.meta().copied);
        let (large, little) = (pixels(&large), pixels(&little));
        assert_eq!(little.len(), 160 * 96 * 3);
        // BT.601, limited: the mean of green by the means of Y, U and V. The ramp runs over its ends, and
        // what is beyond them is cut, so that this is near and not exact.
        let (luma, chroma) = large.split_at(320 * 192);
        let (u, v) = chroma.split_at(160 * 96);
        let expected =
            1.164 * (mean(luma) - 16.0) - 0.392 * (mean(u) - 128.0) - 0.813 * (mean(v) - 128.0);
        let green: Vec<u8> = little.iter().skip(1).step_by(3).copied().collect();
        assert!((mean(&green) - expected).abs() < 25.0, "{} and {expected}", mean(&green));
    }
}

#[test]
fn an_output_of_numbers_is_what_a_model_would_have_made_of_the_picture() {
    let clip = Clip::new(320, 192, 6);
    let mut two = Two::new();
    let (mut own, mut net) = (two.attach(OWN, named("own")), two.attach(NET, named("net")));
    let wish = Wish {
        size: (96, 96),
        channels: 3,
        layout: TensorLayout::Nchw,
        scale: Scale::Unit,
        colour: ColourOrder::Rgb,
        fit: InputFit::Letterbox,
    };
    for at in 0..6 {
        two.decode(&clip, at..at + 1, &mut []);
        let (large, made) = (own.frame(), net.frame());
        assert_eq!(made.meta().content.to_string(), "f16[1, 3, 96, 96]");
        assert_eq!(made.meta().source, large.meta().source);
        let note = Note::read(&made.meta().user).unwrap();
        let place = Placement { left: 0, top: 19, width: 96, height: 58, picture: (320, 192) };
        assert_eq!(note, Note::of(&wish, place));
        let (mut bytes, mut numbers) = (Vec::new(), Vec::new());
        made.tensor().unwrap().copy_to(&mut bytes);
        Element::F16.read(&bytes, &mut numbers);
        let picture = large.meta().picture().unwrap();
        let sight = Sight { size: (320, 192), format: picture.format, colour: picture.colour };
        let mut expected = vec![0.0; wish.numbers()];
        wish.fill(&sight, &mut expected, |plane, y, row| {
            large.plane(plane).unwrap().copy_row(y, row)
        });
        // FFmpeg averages where a model's own sampling takes the nearest four, so that edges differ.
        let apart: f32 = numbers.iter().zip(&expected).map(|(a, b)| (a - b).abs()).sum();
        let apart = f64::from(apart) / numbers.len() as f64;
        assert!(numbers.len() == expected.len() && apart < 0.05, "{apart}");
        assert!((numbers[0] - 114.0 / 255.0).abs() < 1e-3, "beside the picture: {}", numbers[0]);
    }
}

#[test]
fn a_ring_that_nobody_reads_is_not_made() {
    let clip = Clip::new(320, 192, 20);
    let mut two = Two::new();
    assert_eq!(two.decoding.look(MonoNs(1)), Turn::GoOn);
    assert!(two.decoding.is_parked());

    let mut small = two.attach(SMALL, named("small"));
    two.decode(&clip, 0..5, &mut [&mut small]);
    assert_eq!(small.sources, [1, 2, 3, 4, 5]);
    assert_eq!((two.head(OWN), two.own.copied()), (0, 0));

    // In the middle of a group the other one begins with the next picture.
    let mut own = two.attach(OWN, named("own"));
    two.decode(&clip, 5..9, &mut [&mut small, &mut own]);
    assert_eq!(small.sources, (1..=9).collect::<Vec<_>>());
    assert_eq!(own.sources, [6, 7, 8, 9]);

    // Whoever is only started again is waited for; then nothing is made.
    drop(small);
    let (now, long_after) = (MonoNs(10_400_000_000), MonoNs(60_000_000_000));
    for (at, now, head) in [(9, now, 10), (10, long_after, 10)] {
        assert_eq!(two.decoding.look(now), Turn::GoOn);
        two.decoding.take(&clip.packets[at], &clip.track, now);
        own.take();
        assert_eq!(two.head(SMALL), head, "packet {at}");
    }
    assert_eq!(own.sources, [6, 7, 8, 9, 10, 11]);
}

#[test]
fn each_nth_picture_is_made_with_the_numbers_its_readers_take() {
    let clip = Clip::new(320, 192, 40);
    let mut two = Two::new();
    let every = |every, name| FrameOptions { every, ..named(name) };
    let mut own = two.attach(OWN, every(10, "tenth"));
    let mut small = two.attach(SMALL, every(5, "fifth"));
    two.decode(&clip, 0..40, &mut [&mut own, &mut small]);
    assert_eq!(own.sources, [10, 20, 30, 40]);
    assert_eq!(small.sources, (1..=8).map(|n| 5 * n).collect::<Vec<u64>>());
}

#[test]
fn readers_of_key_pictures_alone_get_them_at_once_and_nothing_else_is_decoded() {
    let clip = Clip::new(320, 192, 30);
    let mut two = Two::new();
    let mut keys = two.attach(OWN, FrameOptions { key_only: true, ..named("keys") });
    two.decode(&clip, 0..25, &mut [&mut keys]);
    assert_eq!(keys.sources, [1, 11, 21]);
    assert_eq!(two.head(OWN), 3);

    // One that wants all is served from the newest key frame on, nothing twice.
    let mut all = two.attach(SMALL, named("all"));
    assert_eq!(two.decoding.look(MonoNs(11_000_000_000)), Turn::Resume);
    two.decode(&clip, 20..30, &mut [&mut keys, &mut all]);
    assert_eq!(keys.sources, [1, 11, 21]);
    assert_eq!(all.sources, (22..=30).collect::<Vec<_>>());
}

#[test]
fn so_many_pictures_a_second_are_made_as_the_fastest_reader_takes() {
    let clip = Clip::new(320, 192, 50);
    let mut two = Two::new();
    let fps = |fps, name| FrameOptions { max_fps: Some(fps), ..named(name) };
    // Readers take by the clock of this machine: what was made shows in the ring.
    let _slow = two.attach(SMALL, fps(1, "slow"));
    let _fast = two.attach(SMALL, fps(5, "fast"));
    two.decode(&clip, 0..50, &mut []);
    // Two seconds of 25 pictures.
    assert_eq!(two.head(SMALL), 10);
}
