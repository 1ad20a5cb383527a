//! The picture that comes out: 4:2:0 samples, and what is done with them. Pure.

use media::Tile;
use protocol::config::compositor::layout::Rect;
use shmring::Picture;

use crate::colour::Ycc;

/// The planes of a picture, borrowed.
#[derive(Debug)]
pub(crate) struct Canvas<'a> {
    planes: [Plane<'a>; 3],
    pub(crate) width: u32,
    pub(crate) height: u32,
}

#[derive(Debug)]
struct Plane<'a> {
    samples: &'a mut [u8],
    linesize: usize,
    width: usize,
    height: usize,
}

impl<'a> Canvas<'a> {
    /// `picture` is yuv420p of even sides, and `bytes` hold it; `None` when they do not.
    pub(crate) fn of(picture: &Picture, bytes: &'a mut [u8]) -> Option<Self> {
        let Picture { width, height, format, .. } = *picture;
        let mut rest = bytes;
        let mut begin = 0;
        let mut planes = Vec::with_capacity(3);
        for (number, layout) in picture.planes.iter().enumerate().take(3) {
            let extent = format.plane_extent(number, width, height);
            let (offset, linesize) = (layout.offset as usize, layout.linesize as usize);
            let length = linesize * extent.rows as usize;
            let (_, behind) =
                std::mem::take(&mut rest).split_at_mut_checked(offset.checked_sub(begin)?)?;
            let (samples, behind) = behind.split_at_mut_checked(length)?;
            (rest, begin) = (behind, offset + length);
            planes.push(Plane {
                samples,
                linesize,
                width: extent.row_bytes as usize,
                height: extent.rows as usize,
            });
        }
        Some(Self { planes: planes.try_into().ok()?, width, height })
    }

    pub(crate) fn whole(&self) -> Rect {
        Rect { x: 0, y: 0, w: self.width, h: self.height }
    }

    /// One colour. Of an odd rectangle the chroma at its edges is the colour's, too.
    pub(crate) fn fill(&mut self, rect: Rect, colour: Ycc) {
        let Rect { x, y, w, h } = rect;
        let [luma, chroma_u, chroma_v] = &mut self.planes;
        luma.each_row(x, y, w, h, |row| row.fill(colour.y));
        let (cx, cy) = (x / 2, y / 2);
        let (cw, ch) = ((x + w).div_ceil(2) - cx, (y + h).div_ceil(2) - cy);
        chroma_u.each_row(cx, cy, cw, ch, |row| row.fill(colour.u));
        chroma_v.each_row(cx, cy, cw, ch, |row| row.fill(colour.v));
    }

    /// Half as bright and half as coloured: letters can be read on it.
    pub(crate) fn shade(&mut self, rect: Rect) {
        let Rect { x, y, w, h } = rect;
        let [luma, chroma_u, chroma_v] = &mut self.planes;
        // Towards black, which is 16.
        luma.each_row(x, y, w, h, |row| {
            row.iter_mut().for_each(|it| *it = it.saturating_sub(16) / 3 + 16)
        });
        for plane in [chroma_u, chroma_v] {
            plane.each_row(x / 2, y / 2, w.div_ceil(2), h.div_ceil(2), |row| {
                row.iter_mut().for_each(|it| *it = (*it / 2).saturating_add(64));
            });
        }
    }

    /// A frame of lines inside `rect`.
    pub(crate) fn outline(&mut self, rect: Rect, line: u32, colour: Ycc) {
        let Rect { x, y, w, h } = rect;
        let line = line.min(w).min(h);
        self.fill(Rect { h: line, ..rect }, colour);
        self.fill(Rect { y: y + h - line, h: line, ..rect }, colour);
        self.fill(Rect { w: line, ..rect }, colour);
        self.fill(Rect { x: x + w - line, w: line, ..rect }, colour);
    }

    /// A tile with its corner at an even place; what is outside is left out.
    pub(crate) fn put(&mut self, tile: &Tile, x: u32, y: u32) {
        if tile.has_alpha {
            self.blend(tile, x as usize & !1, y as usize & !1);
        } else {
            self.cover(tile, x as usize & !1, y as usize & !1);
        }
    }

    fn cover(&mut self, tile: &Tile, x: usize, y: usize) {
        let (width, height) = (tile.width as usize, tile.height as usize);
        let [luma, chroma_u, chroma_v, _] = tile.planes();
        let halved = (x / 2, y / 2, width / 2, height / 2);
        let places = [(luma, (x, y, width, height)), (chroma_u, halved), (chroma_v, halved)];
        for (plane, (from, (x, y, width, height))) in self.planes.iter_mut().zip(places) {
            let rows = from.chunks_exact(width.max(1)).take(height);
            for (row, into) in rows.zip(plane.rows_mut(x, y)) {
                let length = row.len().min(into.len());
                into[..length].copy_from_slice(&row[..length]);
            }
        }
    }

    /// Chroma of four pixels is mixed as each of them would be, and then averaged: colours of what is not
    /// to be seen do not come through.
    fn blend(&mut self, tile: &Tile, x: usize, y: usize) {
        let width = tile.width as usize;
        let [luma, chroma_u, chroma_v, alpha] = tile.planes();
        let rows = luma.chunks_exact(width.max(1)).zip(alpha.chunks_exact(width.max(1)));
        for ((row, alphas), into) in rows.zip(self.planes[0].rows_mut(x, y)) {
            for ((into, sample), alpha) in into.iter_mut().zip(row).zip(alphas) {
                *into = mixed(*sample, *into, *alpha);
            }
        }
        let of_four = |plane: &[u8], row: usize, column: usize| -> [u32; 4] {
            let at = 2 * row * width + 2 * column;
            [at, at + 1, at + width, at + width + 1].map(|at| u32::from(plane[at]))
        };
        for (number, from) in [(1, chroma_u), (2, chroma_v)] {
            let rows = tile.height as usize / 2;
            for (row, into) in self.planes[number].rows_mut(x / 2, y / 2).take(rows).enumerate() {
                for (column, into) in into.iter_mut().take(width / 2).enumerate() {
                    let alphas = of_four(alpha, row, column);
                    let seen: u32 = alphas.iter().sum();
                    if seen == 0 {
                        continue;
                    }
                    let samples = of_four(from, row, column);
                    let sum: u32 = samples.iter().zip(alphas).map(|(it, alpha)| it * alpha).sum();
                    let mixed = (sum + (4 * 255 - seen) * u32::from(*into) + 510) / (4 * 255);
                    *into = u8::try_from(mixed).unwrap_or(u8::MAX);
                }
            }
        }
    }
}

impl Plane<'_> {
    /// Rows from `y` on, each from `x` on.
    fn rows_mut(&mut self, x: usize, y: usize) -> impl Iterator<Item = &mut [u8]> {
        let (width, height) = (self.width, self.height);
        let rows = self.samples.chunks_mut(self.linesize).take(height).skip(y);
        rows.map(move |row| &mut row[x.min(width)..width])
    }

    fn each_row(&mut self, x: u32, y: u32, w: u32, h: u32, mut each: impl FnMut(&mut [u8])) {
        for row in self.rows_mut(x as usize, y as usize).take(h as usize) {
            let length = row.len().min(w as usize);
            each(&mut row[..length]);
        }
    }
}

/// `over` as much as `alpha` says, of 255; rounded to the nearest.
fn mixed(over: u8, under: u8, alpha: u8) -> u8 {
    let [over, under, alpha] = [over, under, alpha].map(u16::from);
    let sum = over * alpha + under * (255 - alpha) + 128;
    // A division by 255 that is exact for sums up to 255 * 255.
    let [_, mixed] = (sum + (sum >> 8)).to_le_bytes();
    mixed
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use protocol::stream::PixelFormat;

    use super::*;

    /// A canvas of its own memory.
    pub(crate) struct Sheet {
        pub(crate) picture: Picture,
        pub(crate) bytes: Vec<u8>,
    }

    impl Sheet {
        pub(crate) fn new(width: u32, height: u32) -> Self {
            let picture = Picture::packed(width, height, PixelFormat::Yuv420p, 64).unwrap();
            Self { picture, bytes: vec![128; picture.slot_bytes()] }
        }

        pub(crate) fn canvas(&mut self) -> Canvas<'_> {
            Canvas::of(&self.picture, &mut self.bytes).unwrap()
        }

        /// The visible samples of the planes, one behind the other.
        pub(crate) fn tight(&mut self) -> Vec<u8> {
            let mut canvas = self.canvas();
            let rows = |plane: &mut Plane<'_>| {
                plane.rows_mut(0, 0).flat_map(|row| row.to_vec()).collect::<Vec<_>>()
            };
            canvas.planes.iter_mut().flat_map(rows).collect()
        }
    }

    fn tile(width: u32, height: u32, alpha: u8, ycc: [u8; 3]) -> Tile {
        let pixels = (width * height) as usize;
        let planes = [ycc[0], ycc[1], ycc[2], alpha].map(|sample| vec![sample; pixels]);
        Tile { width, height, has_alpha: true, samples: planes.concat() }
    }

    #[test]
    fn a_tile_that_leaves_the_canvas_is_cut() {
        let mut sheet = Sheet::new(8, 8);
        let samples = [vec![200; 64], vec![50; 16], vec![60; 16]].concat();
        let opaque = Tile { width: 8, height: 8, has_alpha: false, samples };
        sheet.canvas().put(&opaque, 6, 4);
        sheet.canvas().put(&opaque, 20, 20);
        let seen = sheet.tight();
        let luma = seen[..64].iter().filter(|it| **it == 200).count();
        let chroma = seen[64..80].iter().filter(|it| **it == 50).count();
        assert_eq!((luma, chroma), (2 * 4, 2));
        assert_eq!(seen[4 * 8 + 6], 200);
    }

    #[test]
    fn half_of_an_overlay_is_half_of_both() {
        let mut sheet = Sheet::new(4, 4);
        let whole = sheet.canvas().whole();
        sheet.canvas().fill(whole, Ycc { y: 20, u: 100, v: 200 });
        sheet.canvas().put(&tile(4, 4, 51, [220, 200, 100]), 0, 0);
        let seen = sheet.tight();
        // A fifth of the way.
        assert_eq!((seen[0], seen[16], seen[20]), (60, 120, 180));
    }

    #[test]
    fn colours_of_what_is_not_seen_do_not_come_through() {
        let mut sheet = Sheet::new(2, 2);
        let whole = sheet.canvas().whole();
        sheet.canvas().fill(whole, Ycc { y: 100, u: 128, v: 128 });
        let mut one_pixel = tile(2, 2, 0, [235, 16, 16]);
        // Three pixels of any colour, none of them to be seen; the fourth is blue.
        one_pixel.planes_mut()[3][3] = 255;
        one_pixel.planes_mut()[1][3] = 240;
        sheet.canvas().put(&one_pixel, 0, 0);
        let seen = sheet.tight();
        assert_eq!(seen[..4], [100, 100, 100, 235]);
        assert_eq!(seen[4], 156, "a quarter of the way from 128 to 240");
    }

    #[test]
    fn boxes_are_as_wide_as_asked_and_stay_inside() {
        let mut sheet = Sheet::new(16, 16);
        let rect = Rect { x: 3, y: 2, w: 9, h: 11 };
        sheet.canvas().outline(rect, 2, Ycc { y: 7, u: 1, v: 2 });
        sheet.canvas().outline(Rect { x: 14, y: 14, w: 50, h: 50 }, 2, Ycc { y: 9, u: 1, v: 2 });
        let seen = sheet.tight();
        let drawn = seen[..256].iter().filter(|it| **it == 7).count();
        assert_eq!(drawn, 9 * 11 - 5 * 7);
        assert_eq!((seen[2 * 16 + 3], seen[12 * 16 + 11], seen[14 * 16 + 14]), (7, 7, 9));
    }

    proptest! {
        #[test]
        fn mixing_is_what_arithmetic_says(over: u8, under: u8, alpha: u8) {
            let share = f64::from(alpha) / 255.0;
            let exact = f64::from(over) * share + f64::from(under) * (1.0 - share);
            prop_assert!((f64::from(mixed(over, under, alpha)) - exact).abs() <= 0.5 + 1e-9);
        }

        #[test]
        fn nothing_is_drawn_outside(
            x in 0u32..40, y in 0u32..40, w in 0u32..80, h in 0u32..80, line in 1u32..9,
        ) {
            let mut sheet = Sheet::new(32, 16);
            let rect = Rect { x, y, w, h };
            sheet.canvas().fill(rect, Ycc { y: 1, u: 2, v: 3 });
            sheet.canvas().shade(rect);
            if w > 0 && h > 0 {
                sheet.canvas().outline(rect, line, Ycc { y: 1, u: 2, v: 3 });
            }
            prop_assert_eq!(sheet.tight().len(), 32 * 16 * 3 / 2);
        }
    }
}
