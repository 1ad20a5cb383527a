//! A box. Pure.

/// A rectangle by its upper left corner and its size, in pixels of whatever it lies in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    pub x: f32,
    pub y: f32,
    pub w: f32,
    pub h: f32,
}

impl Rect {
    pub fn around(middle_x: f32, middle_y: f32, w: f32, h: f32) -> Self {
        Self { x: middle_x - w / 2.0, y: middle_y - h / 2.0, w, h }
    }

    pub fn between(left: f32, top: f32, right: f32, bottom: f32) -> Self {
        Self { x: left, y: top, w: right - left, h: bottom - top }
    }

    /// 0 for what is turned inside out.
    pub fn area(&self) -> f32 {
        self.w.max(0.0) * self.h.max(0.0)
    }

    /// What both cover, by what either covers: 0 apart, 1 the same.
    pub fn iou(&self, other: &Self) -> f32 {
        let w = (self.x + self.w).min(other.x + other.w) - self.x.max(other.x);
        let h = (self.y + self.h).min(other.y + other.h) - self.y.max(other.y);
        let both = w.max(0.0) * h.max(0.0);
        let either = self.area() + other.area() - both;
        if either > 0.0 { both / either } else { 0.0 }
    }

    /// The part of it that lies in a picture of this size; `None` when none does, or it is no box.
    pub fn inside(&self, width: f32, height: f32) -> Option<Self> {
        let is_sane = [self.x, self.y, self.w, self.h].iter().all(|side| side.is_finite());
        let (left, top) = (self.x.max(0.0), self.y.max(0.0));
        let (right, bottom) = ((self.x + self.w).min(width), (self.y + self.h).min(height));
        (is_sane && right > left && bottom > top).then(|| Self::between(left, top, right, bottom))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boxes_share_what_they_share() {
        let one = Rect::between(0.0, 0.0, 10.0, 10.0);
        assert_eq!(one.iou(&one), 1.0);
        assert_eq!(one.iou(&Rect::between(5.0, 0.0, 15.0, 10.0)), 1.0 / 3.0);
        assert_eq!(one.iou(&Rect::between(10.0, 0.0, 20.0, 10.0)), 0.0);
        assert_eq!(Rect::default().iou(&Rect::default()), 0.0);
    }

    #[test]
    fn what_is_no_box_or_outside_is_none() {
        let inside = Rect::between(-5.0, 2.0, 5.0, 50.0).inside(20.0, 10.0);
        assert_eq!(inside, Some(Rect::between(0.0, 2.0, 5.0, 10.0)));
        assert_eq!(Rect::between(21.0, 0.0, 30.0, 5.0).inside(20.0, 10.0), None);
        assert_eq!(Rect::around(5.0, 5.0, f32::NAN, 2.0).inside(20.0, 10.0), None);
        assert_eq!(Rect::around(5.0, 5.0, f32::INFINITY, 2.0).inside(20.0, 10.0), None);
        assert_eq!(Rect::around(5.0, 5.0, -3.0, 2.0).inside(20.0, 10.0), None);
    }

    /// Cells of a grid that both cover and that either covers: what an area is, counted.
    fn counted(one: &Rect, other: &Rect) -> f32 {
        let covers = |rect: &Rect, x: i16, y: i16| {
            let (x, y) = (f32::from(x) + 0.5, f32::from(y) + 0.5);
            x > rect.x && x < rect.x + rect.w && y > rect.y && y < rect.y + rect.h
        };
        let (mut both, mut either) = (0.0, 0.0);
        for (x, y) in (0..40).flat_map(|x| (0..40).map(move |y| (x, y))) {
            let (a, b) = (covers(one, x, y), covers(other, x, y));
            both += if a && b { 1.0 } else { 0.0 };
            either += if a || b { 1.0 } else { 0.0 };
        }
        if either > 0.0 { both / either } else { 0.0 }
    }

    fn whole() -> impl Strategy<Value = Rect> {
        (0i16..20, 0i16..20, 0i16..20, 0i16..20).prop_map(|(x, y, w, h)| {
            let [x, y, w, h] = [x, y, w, h].map(f32::from);
            Rect { x, y, w, h }
        })
    }

    proptest! {
        #[test]
        fn iou_is_what_counting_cells_says(one in whole(), other in whole()) {
            prop_assert!((one.iou(&other) - counted(&one, &other)).abs() < 1e-5);
            prop_assert_eq!(one.iou(&other), other.iou(&one));
        }
    }
}
