//! Changed blocks to boxes: what touches is one thing. Pure.

use serde::Serialize;

use crate::grid::Shape;

/// Boxes told of one picture; more are a crowd or a shaken camera, and the largest tell enough.
pub const AREAS_MAX: usize = 16;

/// A box in pixels of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Area {
    pub x: u32,
    pub y: u32,
    pub w: u32,
    pub h: u32,
}

/// A rectangle of blocks, edges included, and how many of them changed.
#[derive(Clone, Copy, Debug)]
struct Blob {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
    blocks: usize,
}

/// Clears changed blocks without a changed neighbour: noise is lonely, things are not.
pub fn drop_lonely(shape: &Shape, changed: &mut [bool]) {
    let lonely: Vec<usize> = (0..changed.len())
        .filter(|&at| changed[at] && !neighbours(shape, at).any(|near| changed[near]))
        .collect();
    for at in lonely {
        changed[at] = false;
    }
}

/// The boxes around connected changed blocks, the largest first.
pub fn areas(shape: &Shape, changed: &[bool]) -> Vec<Area> {
    let mut left = changed.to_vec();
    let mut blobs = Vec::new();
    for at in 0..left.len() {
        if left[at] {
            blobs.push(grow(shape, &mut left, at));
        }
    }
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.blocks));
    blobs.iter().take(AREAS_MAX).map(|blob| in_pixels(shape, blob)).collect()
}

/// Takes everything connected with `start` out of `left`.
fn grow(shape: &Shape, left: &mut [bool], start: usize) -> Blob {
    let (col, row) = (start % shape.cols, start / shape.cols);
    let mut blob = Blob { left: col, top: row, right: col, bottom: row, blocks: 0 };
    let mut open = vec![start];
    left[start] = false;
    while let Some(at) = open.pop() {
        let (col, row) = (at % shape.cols, at / shape.cols);
        blob.left = blob.left.min(col);
        blob.right = blob.right.max(col);
        blob.top = blob.top.min(row);
        blob.bottom = blob.bottom.max(row);
        blob.blocks += 1;
        for near in neighbours(shape, at) {
            if std::mem::take(&mut left[near]) {
                open.push(near);
            }
        }
    }
    blob
}

/// The up to eight blocks around one.
fn neighbours(shape: &Shape, at: usize) -> impl Iterator<Item = usize> + use<> {
    let (cols, rows) = (shape.cols, shape.rows);
    let (col, row) = (at % cols, at / cols);
    let near = move |middle: usize, count: usize| {
        middle.saturating_sub(1)..=(middle + 1).min(count.saturating_sub(1))
    };
    near(row, rows)
        .flat_map(move |row| near(col, cols).map(move |col| row * cols + col))
        .filter(move |&near| near != at)
}

fn in_pixels(shape: &Shape, blob: &Blob) -> Area {
    let px = |blocks: usize| u32::try_from(blocks).unwrap_or(u32::MAX) * shape.block_px;
    let (x, y) = (px(blob.left), px(blob.top));
    let w = px(blob.right + 1).min(shape.width) - x;
    let h = px(blob.bottom + 1).min(shape.height) - y;
    Area { x, y, w, h }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 8 x 4 blocks of 8 pixels, the last column and row cut.
    fn shape() -> Shape {
        Shape { width: 61, height: 30, block_px: 8, cols: 8, rows: 4 }
    }

    fn changed(picture: [&str; 4]) -> Vec<bool> {
        picture.concat().bytes().map(|byte| byte == b'#').collect()
    }

    #[test]
    fn what_touches_is_one_box_the_largest_first() {
        let changed = changed(["#.......", ".#...##.", ".....##.", ".......#"]);
        assert_eq!(
            areas(&shape(), &changed),
            [Area { x: 40, y: 8, w: 21, h: 22 }, Area { x: 0, y: 0, w: 16, h: 16 }]
        );
    }

    #[test]
    fn a_lonely_block_is_dropped() {
        let mut seen = changed(["#.......", "...#....", "....#...", ".......#"]);
        drop_lonely(&shape(), &mut seen);
        assert_eq!(seen, changed(["........", "...#....", "....#...", "........"]));
    }

    proptest! {
        #[test]
        fn boxes_lie_inside_the_picture(changed in proptest::collection::vec(any::<bool>(), 32)) {
            for area in areas(&shape(), &changed) {
                prop_assert!(area.w > 0 && area.x + area.w <= 61);
                prop_assert!(area.h > 0 && area.y + area.h <= 30);
            }
        }
    }
}
