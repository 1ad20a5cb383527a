//! A program outside the topology pushes its pictures into a ring: they are encoded as they come, and where they stay
//! away the stream goes on.

use std::thread;
use std::time::Duration;

use protocol::admin::WorkerState;
use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::stream::PixelFormat;
use serde_json::json;
use shmring::{
    FrameMeta, FrameWriter, Next, Packet, PacketOptions, PacketReader, Picture, Start, clock,
};
use tests::project::Project;
use tests::{Failure, Outcome, ensure, wait_for};

use crate::first_light::holds;

const RING: &str = "ext.sim.frames";
const PERIOD: Duration = Duration::from_millis(33);
const TOPOLOGY: &str = "version: 1
workers:
  sim: {use: encoder, in: ext.sim.frames, keyframe_every: 1s, on_writer_lost: slate}
";

/// What pushes; dropped it is gone without a word, as if it had been killed.
struct Program {
    writer: FrameWriter,
    meta: FrameMeta,
    picture: Picture,
    shade: u8,
}

impl Program {
    fn start(project: &Project) -> Outcome<Self> {
        let picture = Picture::packed(320, 192, PixelFormat::Rgb24, 64)
            .ok_or_else(|| Failure::new("no picture is that large"))?;
        let contract = RingContract::new(Project::ring(RING)?, RingConfig::default(), 4);
        let writer = FrameWriter::create(project.name(), &contract, None).map_err(Failure::new)?;
        let meta = FrameMeta { key: true, ..FrameMeta::of(picture) };
        Ok(Self { writer, meta, picture, shade: 0 })
    }

    /// A picture, of thirty a second.
    fn push(&mut self) -> Outcome<()> {
        let bytes = self.picture.slot_bytes();
        let mut loan = self.writer.loan(bytes, 1).map_err(Failure::new)?;
        self.shade = self.shade.wrapping_add(3);
        loan.bytes_mut().fill(self.shade);
        self.meta.capture = clock::now();
        self.meta.ingest = self.meta.capture.mono;
        self.meta.decoded = self.meta.capture.mono;
        self.writer.publish(loan.slot(), &self.meta).map_err(Failure::new)?;
        self.meta.pts_ns += i64::try_from(PERIOD.as_nanos()).map_err(Failure::new)?;
        thread::sleep(PERIOD);
        Ok(())
    }

    /// Pushes until there is an answer, however long others take to come to the ring.
    fn push_until<T>(
        &mut self,
        what: &str,
        mut ask: impl FnMut() -> Option<Outcome<T>>,
    ) -> Outcome<T> {
        let pushed = || match self.push() {
            Ok(()) => ask(),
            Err(failure) => Some(Err(failure)),
        };
        wait_for(60, what, pushed)?.0
    }
}

/// The stream as a viewer has it.
struct Viewer(PacketReader);

impl Viewer {
    /// The encoder's ring is there when a picture has come to it.
    fn attach(project: &Project, program: &mut Program) -> Outcome<Self> {
        let ring = Project::ring("sim.packets")?;
        let options = PacketOptions { reader: "viewer".to_owned(), start: Start::Oldest };
        let attach = || PacketReader::attach(project.name(), &ring, &options).ok();
        program.push_until("the encoder's ring", || attach().map(|reader| Ok(Self(reader))))
    }

    /// Packets up to one that is as wanted, while the program pushes.
    fn until_pushed(
        &mut self,
        program: &mut Program,
        what: &str,
        wanted: impl Fn(&Packet) -> bool,
    ) -> Outcome<Vec<Packet>> {
        let mut seen = Vec::new();
        program.push_until(what, || {
            while let Ok(Next::Item(packet)) = self.0.next(Duration::ZERO) {
                let is_it = wanted(&packet);
                seen.push(packet);
                if is_it {
                    return Some(Ok(()));
                }
            }
            None
        })?;
        Ok(seen)
    }

    /// Packets up to one that is as wanted.
    fn until(&mut self, what: &str, wanted: impl Fn(&Packet) -> bool) -> Outcome<Vec<Packet>> {
        let mut seen = Vec::new();
        let look = || match self.0.next(Duration::from_millis(20)) {
            Ok(Next::Item(packet)) => {
                let is_it = wanted(&packet);
                seen.push(packet);
                is_it.then_some(())
            }
            _ => None,
        };
        wait_for(60, what, look)?;
        Ok(seen)
    }
}

fn is_slate(packet: &Packet) -> bool {
    packet.meta.source.is_none()
}

#[test]
fn every_picture_and_every_number_of_a_program_gets_through() {
    holds(|| tests::checks::streamview::nothing_is_lost(5));
}

#[test]
fn the_stream_of_a_program_that_is_lost_goes_on_as_a_slate_until_it_is_back() {
    holds(|| {
        let project = Project::new(TOPOLOGY)?;
        project.succeed(&["up", "-d"])?;
        let mut program = Program::start(&project)?;
        let mut viewer = Viewer::attach(&project, &mut program)?;
        let later_ns = program.meta.pts_ns + 1_000_000_000;
        let pictures = viewer
            .until_pushed(&mut program, "its pictures", |packet| packet.meta.pts_ns > later_ns)?;
        ensure(!pictures.iter().any(is_slate), || "a slate while pictures came".to_owned())?;

        drop(program);
        let slates = viewer.until("a slate", is_slate)?;
        let last_ns = slates.iter().rev().nth(1).map_or(0, |packet| packet.meta.pts_ns);
        // Of slates alone two seconds and more, so at least one of them begins a group.
        let more = viewer.until("a later slate", |packet| {
            is_slate(packet) && packet.meta.pts_ns > last_ns + 6_000_000_000
        })?;
        let times: Vec<i64> = more.iter().map(|packet| packet.meta.pts_ns).collect();
        ensure(times.is_sorted(), || format!("times go back: {times:?}"))?;
        ensure(more.iter().any(|packet| packet.meta.key), || "no key frame to join".to_owned())?;
        let is_told = || {
            let status = project.worker("sim").ok()?;
            (status.state == WorkerState::Degraded && status.why.contains("a slate is shown"))
                .then_some(())
        };
        wait_for(60, "the encoder to say that a slate is shown", is_told)?;

        let mut program = Program::start(&project)?;
        viewer.until_pushed(&mut program, "its pictures again", |packet| !is_slate(packet))?;
        let is_well = || {
            let status = project.worker("sim").ok()?;
            (status.state == WorkerState::Running).then_some(())
        };
        // It rests again soon: what follows is asked for at once, and pushed for as long as it takes.
        program.push_until("the encoder to be well again", || is_well().map(Ok))?;
        project.down()?;
        Ok(json!({"slates": more.iter().filter(|packet| is_slate(packet)).count()}))
    });
}
