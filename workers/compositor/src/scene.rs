//! What is drawn where, and in which order: inputs, each with its boxes and texts, then texts of the whole.

use protocol::config::CompositorConfig;
use protocol::config::compositor::layout::{Rect, anchored};
use protocol::config::compositor::{Boxes, Caption, Length, Rgb, Zone};
use protocol::name::RingName;
use protocol::stream::Colour;
use protocol::time::UtcNs;
use protocol::units::Size;

use crate::canvas::Canvas;
use crate::colour::Ycc;
use crate::lettering::Lettering;
use crate::marks::Marks;
use crate::view::View;
use crate::wording::Zones;

/// A line of text, and the least it is high, without a size of its own.
const TEXT: Length = Length::Share(400);
const TEXT_MIN_PX: u32 = 14;
/// A label at a box.
const LABEL: Length = Length::Share(300);
const WHITE: Rgb = Rgb(255, 255, 255);
const GROUND: Rgb = Rgb(32, 34, 40);
const EDGE: Rgb = Rgb(72, 76, 88);
const FADED: Rgb = Rgb(180, 184, 192);

/// What a scene knows of one of its inputs.
#[derive(Debug)]
pub(crate) struct Actor {
    pub(crate) ring: RingName,
    pub(crate) name: String,
    pub(crate) place: Rect,
    /// It lies over another: texts for each input are not for it.
    pub(crate) is_over: bool,
}

/// How it appears at a tick.
#[derive(Debug)]
pub(crate) enum Appearance<'a> {
    View(&'a View),
    /// Since its last picture; `None`: it had none.
    Slate(Option<UtcNs>),
    Nothing,
}

/// What does not change from tick to tick.
#[derive(Debug)]
pub(crate) struct Scene {
    background: Ycc,
    captions: Vec<Caption>,
    boxes: Boxes,
    colour: Colour,
    zones: Zones,
}

impl Scene {
    pub(crate) fn new(config: &CompositorConfig, colour: Colour, zones: Zones) -> Self {
        Self {
            background: Ycc::of(config.background, colour),
            captions: config.text.clone(),
            boxes: config.boxes,
            colour,
            zones,
        }
    }

    /// Before the first input.
    pub(crate) fn begin(&self, canvas: &mut Canvas<'_>) {
        let whole = canvas.whole();
        canvas.fill(whole, self.background);
    }

    pub(crate) fn input(
        &self,
        canvas: &mut Canvas<'_>,
        actor: &Actor,
        appearance: &Appearance<'_>,
        marks: &Marks,
        now: UtcNs,
    ) {
        let time = match appearance {
            Appearance::View(view) => {
                canvas.put(&view.tile, view.to.x, view.to.y);
                self.outlines(canvas, actor, view, marks, now);
                view.facts.utc
            }
            Appearance::Slate(since) => {
                self.slate(canvas, actor, *since);
                now
            }
            Appearance::Nothing => return,
        };
        for caption in &self.captions {
            let is_meant = caption.over.as_ref() == Some(&actor.ring);
            if is_meant || (caption.each && !actor.is_over) {
                self.caption(canvas, caption, actor.place, &actor.name, time);
            }
        }
    }

    /// Behind the last input.
    pub(crate) fn end(&self, canvas: &mut Canvas<'_>, name: &str, now: UtcNs) {
        let whole = canvas.whole();
        for caption in self.captions.iter().filter(|it| it.over.is_none() && !it.each) {
            self.caption(canvas, caption, whole, name, now);
        }
    }

    fn outlines(
        &self,
        canvas: &mut Canvas<'_>,
        actor: &Actor,
        view: &View,
        marks: &Marks,
        now: UtcNs,
    ) {
        if actor.is_over {
            return;
        }
        let colour = Ycc::of(self.boxes.color, self.colour);
        for mark in marks.at(actor.ring.camera(), now.0) {
            for outline in &mark.outlines {
                let Some(rect) = view.place_of(mark, outline) else { continue };
                canvas.outline(rect, self.boxes.line, colour);
                if self.boxes.labels && !outline.label.is_empty() {
                    self.label(canvas, view.to, rect, &outline.label, colour);
                }
            }
        }
    }

    /// Above its box, or in it where there is no room.
    fn label(&self, canvas: &mut Canvas<'_>, room: Rect, at: Rect, text: &str, colour: Ycc) {
        let lettering = Lettering::of_height(LABEL.of(room.h).max(TEXT_MIN_PX));
        let (width, height) = lettering.size(text);
        let y = if at.y >= room.y + height { at.y - height } else { at.y };
        let right = room.x + room.w;
        let x = at.x.min(right.saturating_sub(width)).max(room.x);
        let bottom = room.y + room.h;
        let place = Rect { x, y, w: right - x, h: bottom.saturating_sub(y) };
        lettering.write(canvas, place, text, colour);
    }

    fn slate(&self, canvas: &mut Canvas<'_>, actor: &Actor, since: Option<UtcNs>) {
        let place = actor.place;
        canvas.fill(place, Ycc::of(GROUND, self.colour));
        canvas.outline(place, 2, Ycc::of(EDGE, self.colour));
        let why = match since {
            Some(since) => self.zones.worded("no picture since %H:%M:%S", "", since, Zone::Local),
            None => "no picture yet".to_owned(),
        };
        let name = Lettering::of_height(place.h / 8).within(place.w, &actor.name);
        let small = Lettering::of_height((place.h / 14).max(9)).within(place.w, &why);
        let (name_size, small_size) = (name.size(&actor.name), small.size(&why));
        let top = place.h.saturating_sub(name_size.1 + small_size.1) / 2;
        let line = |(width, height): (u32, u32), y: u32| Rect {
            x: place.x + place.w.saturating_sub(width) / 2,
            y: place.y + y,
            w: width.min(place.w),
            h: height.min(place.h.saturating_sub(y)),
        };
        let (first, second) = (line(name_size, top), line(small_size, top + name_size.1));
        name.letters(canvas, first, &actor.name, Ycc::of(WHITE, self.colour));
        small.letters(canvas, second, &why, Ycc::of(FADED, self.colour));
    }

    fn caption(
        &self,
        canvas: &mut Canvas<'_>,
        caption: &Caption,
        room: Rect,
        name: &str,
        time: UtcNs,
    ) {
        let text = self.zones.worded(&caption.text, name, time, caption.zone);
        let height = match caption.size {
            Some(size) => size.of(room.h),
            None => TEXT.of(room.h).max(TEXT_MIN_PX),
        };
        let lettering = Lettering::of_height(height).within(room.w, &text);
        let size = Size { width: room.w, height: room.h };
        let offset = (caption.x.of(room.w), caption.y.of(room.h));
        let place = anchored(size, caption.at, offset, lettering.size(&text));
        let place = Rect { x: room.x + place.x, y: room.y + place.y, ..place };
        let colour = Ycc::of(caption.color.unwrap_or(WHITE), self.colour);
        lettering.write(canvas, place, &text, colour);
    }
}

#[cfg(test)]
mod tests;
