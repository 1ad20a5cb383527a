//! The rings that one decoder writes: its own pictures, and others of other sizes and formats. Each is
//! made for its own readers; who has none costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use media::{MediaError, Picture, PictureHome, PlaneAt, Resized, Resizer};
use protocol::config::decoder::OutputConfig;
use protocol::stream::PixelFormat;
use protocol::time::MonoNs;
use shmring::{Content, Demand, Error, FrameMeta, FrameWriter, PlaneLayout, SlotId, clock};
use shmring_cuda::Slots;
use worker::{Parking, Turn};

use crate::choice::Choice;
use crate::notes::{Note, RINGS, Steps};
use crate::on_device::There;
use crate::tensors_of::TensorMaker;

/// The decoder holds none of the ring's slots for a picture that it does not draw there.
const IN_HAND: u32 = 1;

/// Why a picture does not reach its ring.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Ring(#[from] Error),
    #[error(transparent)]
    Device(#[from] shmring_cuda::Error),
    #[error("a picture lies where its ring cannot take it from")]
    Elsewhere,
}

/// What goes into a ring.
#[derive(Debug)]
pub(crate) enum Makes {
    /// The pictures as the decoder makes them.
    AsTheyAre,
    Resized(Resizer),
    Tensors(Box<TensorMaker>),
}

impl Makes {
    /// Whether a picture of NV12 stays what it is.
    pub(crate) fn keeps_form(&self) -> bool {
        match self {
            Self::AsTheyAre => true,
            Self::Resized(resizer) => resizer.keeps(PixelFormat::Nv12),
            Self::Tensors(_) => false,
        }
    }

    fn of(form: Option<&OutputConfig>) -> Self {
        let Some(form) = form else { return Self::AsTheyAre };
        // The topology has no tensor without a size.
        let tensor = form.tensor.zip(form.size);
        let maker = tensor.and_then(|(tensor, size)| TensorMaker::new(&tensor, size));
        let size = form.size.map(|size| (size.width, size.height));
        maker.map_or_else(
            || Self::Resized(Resizer::new(size, form.format)),
            |maker| Self::Tensors(Box::new(maker)),
        )
    }
}

/// One ring.
#[derive(Debug)]
pub(crate) struct Output {
    ring: FrameWriter,
    makes: Makes,
    /// Where its slots lie, if not in the machine's memory.
    there: Option<There>,
    parking: Parking,
    /// As of the last look at which there was a reader.
    demand: Demand,
    choice: Choice,
    /// The next picture does not follow the last one.
    joint: bool,
    /// Its source waits for readers: a second of it is none of theirs.
    waits: bool,
}

impl Output {
    /// `is_read`: its readers are about to come.
    pub(crate) fn new(ring: FrameWriter, form: Option<&OutputConfig>, is_read: bool) -> Self {
        Self {
            ring,
            makes: Makes::of(form),
            there: None,
            parking: if is_read { Parking::working() } else { Parking::default() },
            demand: Demand { every: 1, ..Demand::default() },
            choice: Choice::default(),
            joint: true,
            waits: false,
        }
    }

    /// Its pictures lie on a device.
    pub(crate) fn on_device(self, slots: Option<Slots>) -> Self {
        Self { there: slots.map(There::new), ..self }
    }

    /// Whether its source may wait for readers, so that how many pictures come in a second says nothing.
    pub(crate) fn waiting(self, waits: bool) -> Self {
        Self { waits, ..self }
    }

    fn look(&mut self, now: MonoNs) -> Turn {
        let demand = self.ring.demand();
        if demand.readers > 0 {
            let max_fps = demand.max_fps.filter(|_| !self.waits);
            self.demand = Demand { max_fps, ..demand };
        }
        let turn = self.parking.update(demand.readers, now);
        if turn == Turn::Resume {
            (self.choice, self.joint) = (Choice::default(), true);
        }
        turn
    }

    fn step(&mut self, key: bool, now: MonoNs) -> u32 {
        if self.parking.is_parked() {
            return 0;
        }
        self.choice.step(&self.demand, key, now).unwrap_or(0)
    }

    fn publish(&mut self, picture: &Picture, note: &Note, step: u32) -> Result<u64, Trouble> {
        let discontinuity = self.joint;
        if let Some(there) = &mut self.there {
            let (loan, shown, copied) = there.fill(&self.ring, &mut self.makes, picture)?;
            let meta = FrameMeta { discontinuity, copied, ..meta_of(picture, note, &shown) };
            let sequence = self.ring.publish_each(loan.slot(), &meta, step)?;
            self.joint = false;
            return Ok(sequence);
        }
        let published = match (&mut self.makes, picture.home) {
            (Makes::Tensors(maker), _) => {
                let mut loan = self.ring.loan(maker.bytes(), IN_HAND)?;
                let made_of = maker.make(picture, loan.bytes_mut())?;
                let meta = about(picture, note, maker.content());
                let meta = FrameMeta { discontinuity, ..meta };
                let meta = FrameMeta { user: made_of.bytes(), ..meta };
                self.ring.publish_each(loan.slot(), &meta, step)?
            }
            (Makes::Resized(scaler), _) => {
                let mut loan = self.ring.loan(scaler.bytes_for(picture), IN_HAND)?;
                let scaled = scaler.scale(picture, loan.bytes_mut())?;
                let meta = FrameMeta { discontinuity, ..meta_of(picture, note, &scaled) };
                self.ring.publish_each(loan.slot(), &meta, step)?
            }
            (Makes::AsTheyAre, PictureHome::Lent { tag, planes }) => {
                let meta = meta_of(picture, note, &as_it_is(picture, planes));
                let meta = FrameMeta { discontinuity, ..meta };
                self.ring.publish_each(SlotId::from_bits(tag), &meta, step)?
            }
            (Makes::AsTheyAre, PictureHome::Heap | PictureHome::Device) => {
                let mut loan = self.ring.loan(picture.tight_layout().bytes, IN_HAND)?;
                let layout = picture.copy_to(loan.bytes_mut()).ok_or(Trouble::Elsewhere)?;
                let meta = meta_of(picture, note, &as_it_is(picture, layout.planes));
                let meta = FrameMeta { discontinuity, copied: true, ..meta };
                self.ring.publish_each(loan.slot(), &meta, step)?
            }
        };
        self.joint = false;
        Ok(published)
    }
}

/// All of them, the decoder's own ring first.
#[derive(Debug)]
pub(crate) struct Outputs {
    all: Vec<Output>,
    /// Whether the decoder should draw in slots of its own ring.
    drawn: Arc<AtomicBool>,
}

impl Outputs {
    /// Rings beyond [`RINGS`] are left out: the topology has no such.
    pub(crate) fn new(mut all: Vec<Output>) -> Self {
        all.truncate(RINGS);
        let outputs = Self { all, drawn: Arc::default() };
        outputs.say_whether_drawn();
        outputs
    }

    /// Of the decoder's own ring, and whether anybody reads it; `None` when nothing can be drawn there.
    pub(crate) fn own(&self) -> Option<(&FrameWriter, &Arc<AtomicBool>)> {
        let own = self.all.first().filter(|own| own.there.is_none())?;
        Some((&own.ring, &self.drawn))
    }

    /// Whether pictures that are made on a device may stay there: nobody wants them here.
    pub(crate) fn may_stay(&self) -> bool {
        let mut read = self.all.iter().filter(|output| !output.parking.is_parked());
        read.all(|output| output.there.is_some() && output.makes.keeps_form())
    }

    /// Who reads what now; and whether there is something to do for anybody.
    pub(crate) fn look(&mut self, now: MonoNs) -> Turn {
        let was_parked = self.is_parked();
        for output in &mut self.all {
            output.look(now);
        }
        self.say_whether_drawn();
        match (was_parked, self.is_parked()) {
            (true, false) => Turn::Resume,
            (false, true) => Turn::Park,
            (true, true) | (false, false) => Turn::GoOn,
        }
    }

    pub(crate) fn is_parked(&self) -> bool {
        self.all.iter().all(|output| output.parking.is_parked())
    }

    /// Whether no reader wants anything but key pictures.
    pub(crate) fn is_key_only(&self) -> bool {
        let read = self.all.iter().filter(|output| !output.parking.is_parked());
        let mut demands = read.map(|output| output.demand).peekable();
        demands.peek().is_some() && demands.all(|demand| demand.is_key_only())
    }

    /// For the picture that comes now.
    pub(crate) fn steps(&mut self, key: bool, now: MonoNs) -> Steps {
        let mut steps = Steps::default();
        for (step, output) in steps.iter_mut().zip(&mut self.all) {
            *step = output.step(key, now);
        }
        steps
    }

    /// The next picture of each does not follow its last one.
    pub(crate) fn tear(&mut self) {
        self.all.iter_mut().for_each(|output| output.joint = true);
    }

    /// Shows the picture to all that want it: sequence in the first of their rings, and what went wrong
    /// with others.
    pub(crate) fn publish(
        &mut self,
        picture: &Picture,
        note: &Note,
    ) -> (Option<u64>, Vec<Trouble>) {
        let (mut made, mut troubles) = (None, Vec::new());
        // Since the picture was sent to the decoder an output's last reader may have left: it may then lie where that
        // output could not take it.
        let wanted = self.all.iter_mut().zip(note.steps);
        let wanted = wanted.filter(|(output, step)| *step > 0 && !output.parking.is_parked());
        for (output, step) in wanted {
            match output.publish(picture, note, step) {
                Ok(sequence) => made = made.or(Some(sequence)),
                // The picture is lost, the stream is not.
                Err(trouble) => {
                    output.ring.count_dropped();
                    troubles.push(trouble);
                }
            }
        }
        (made, troubles)
    }

    pub(crate) fn finish(&self) {
        self.all.iter().for_each(|output| output.ring.finish());
    }

    fn say_whether_drawn(&self) {
        let is_read = self.all.first().is_some_and(|own| !own.parking.is_parked());
        self.drawn.store(is_read, Ordering::Relaxed);
    }
}

pub(crate) fn as_it_is(picture: &Picture, planes: [PlaneAt; 4]) -> Resized {
    let Picture { format, width, height, colour, .. } = *picture;
    Resized { format, width, height, colour, planes }
}

fn meta_of(picture: &Picture, note: &Note, shown: &Resized) -> FrameMeta {
    // A slot is far below 4 GiB; what does not fit is refused by the ring as leaving its slot.
    let narrow = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let content = shmring::Picture {
        width: shown.width,
        height: shown.height,
        format: shown.format,
        colour: shown.colour,
        planes: shown.planes.map(|plane| PlaneLayout {
            offset: narrow(plane.offset_bytes),
            linesize: narrow(plane.linesize_bytes),
        }),
    };
    about(picture, note, content)
}

/// What is known of a picture, whatever was made of it.
fn about(picture: &Picture, note: &Note, content: impl Into<Content>) -> FrameMeta {
    FrameMeta {
        pts_ns: note.pts_ns,
        duration_ns: note.duration_ns,
        capture: note.capture,
        clock: note.clock,
        ingest: note.ingest,
        decoded: clock::mono(),
        source: Some(note.source),
        key: picture.key,
        corrupt: picture.corrupt || note.corrupt,
        gop_index: note.gop_index,
        ..FrameMeta::of(content)
    }
}
