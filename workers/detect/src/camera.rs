//! One of the worker's inputs: a camera's pictures, taken one at a time and let go at once.

use std::time::Duration;

use protocol::config::DetectConfig;
use protocol::config::zone::Field;
use protocol::control::Condition;
use protocol::name::RingName;
use protocol::time::MonoNs;
use shmring::{Frame, FrameOptions, Next, Picture, TensorView, clock};
use tensors::{Element, Note, Placement, Sight, Wish};
use worker::{Context, Fault, FrameInput};

use crate::records::Seen;

/// How often an absent ring is looked for.
const RETRY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Camera {
    frames: FrameInput,
    pub field: Field,
    /// Something was found in the last picture.
    pub had_something: bool,
    /// Why its pictures cannot be looked at.
    trouble: Option<String>,
    look_at: MonoNs,
}

/// A picture in the batch.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its camera's place.
    pub camera: usize,
    pub seen: Seen,
    pub place: Placement,
}

impl Camera {
    pub fn new(cx: &Context, ring: &RingName, config: &DetectConfig) -> Self {
        let options = FrameOptions {
            // A picture is let go before the next is taken.
            quota: 1,
            max_fps: Some(config.fps.max(1)),
            ..FrameOptions::named(cx.worker().as_str())
        };
        Self {
            frames: FrameInput::new(cx, ring, options),
            field: Field::of(&config.zones, &config.ignore, ring.camera()),
            had_something: false,
            trouble: None,
            look_at: MonoNs(0),
        }
    }

    /// Its next picture as numbers behind those in `numbers`; `None` while there is none.
    pub fn take(
        &mut self,
        cx: &Context,
        wait: Duration,
        wish: &Wish,
        numbers: &mut Vec<f32>,
    ) -> Result<Option<(Seen, Placement)>, Fault> {
        if self.rests() {
            return Ok(None);
        }
        match self.frames.take(cx, wait)? {
            // Damage looks like all kinds of things.
            Some(Next::Item(frame)) if frame.meta().corrupt => {}
            Some(Next::Item(frame)) => return Ok(self.sample(&frame, wish, numbers)),
            Some(Next::Overrun { missed }) => cx.missed(missed),
            // An ended ring answers at once, and an absent one is asked for by its name.
            Some(Next::Ended) | None => self.look_at = clock::mono() + RETRY,
            Some(_) => {}
        }
        Ok(None)
    }

    /// The lease ends with the frame, as soon as its numbers are taken.
    fn sample(
        &mut self,
        frame: &Frame,
        wish: &Wish,
        numbers: &mut Vec<f32>,
    ) -> Option<(Seen, Placement)> {
        let meta = frame.meta();
        let place = match (meta.picture(), frame.tensor()) {
            (Some(picture), _) => Ok(sampled(frame, picture, wish, numbers)),
            (None, Some(tensor)) => ready(&tensor, &meta.user, wish, numbers),
            (None, None) => Err("holds nothing that a model could see".to_owned()),
        };
        let trouble = |why: String| format!("ring {}: {why}", frame.ring());
        match place {
            Ok(place) => {
                self.trouble = None;
                let (capture, size) = (meta.capture.utc, place.picture);
                Some((Seen { frame: frame.frame_id(), capture, size }, place))
            }
            Err(why) => {
                self.trouble = Some(trouble(why));
                None
            }
        }
    }

    /// Why nothing of it is looked at, if that is so, and whether that is to be waited for.
    pub fn lack(&self) -> Option<(Condition, String)> {
        let trouble = self.trouble.clone().map(|why| (Condition::Degraded, why));
        trouble.or_else(|| self.frames.lack())
    }

    /// It is not asked again yet.
    pub fn rests(&self) -> bool {
        clock::mono() < self.look_at
    }

    /// Its ring is there.
    pub fn is_there(&self) -> bool {
        self.frames.lack().is_none()
    }
}

fn sampled(frame: &Frame, picture: &Picture, wish: &Wish, numbers: &mut Vec<f32>) -> Placement {
    let size = (picture.width, picture.height);
    let sight = Sight { size, format: picture.format, colour: picture.colour };
    let before = numbers.len();
    numbers.resize(before + wish.numbers(), 0.0);
    wish.fill(&sight, &mut numbers[before..], |plane, y, row| {
        if let Some(plane) = frame.plane(plane) {
            plane.copy_row(y, row);
        }
    })
}

/// A tensor that a decoder has made for models such as this one.
fn ready(
    tensor: &TensorView<'_>,
    note: &[u8],
    wish: &Wish,
    numbers: &mut Vec<f32>,
) -> Result<Placement, String> {
    let shape: Vec<usize> = tensor.shape().iter().map(|side| *side as usize).collect();
    let wanted = wish.shape(1);
    let dtype = tensor.dtype();
    let element = Element::of(dtype).filter(|_| shape == wanted || shape == wanted[1..]);
    let element = element
        .ok_or_else(|| format!("holds {}{shape:?}; the model takes {wanted:?}", dtype.as_str()))?;
    let note =
        Note::read(note).ok_or("holds tensors that do not say what of a picture they are")?;
    if !note.fits(wish) {
        let Note { scale, colour, fit, .. } = note;
        return Err(format!(
            "holds tensors made with scale {scale:?}, colour {colour:?} and fit {fit:?}; the model is to have {:?}, {:?} and {:?}",
            wish.scale, wish.colour, wish.fit
        ));
    }
    let mut bytes = Vec::new();
    tensor.copy_to(&mut bytes);
    element.read(&bytes, numbers);
    Ok(note.place)
}
