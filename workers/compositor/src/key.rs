//! Chroma key: where a picture has the key's colour, what lies below is seen. Pure.
//!
//! Colours are compared by their chroma, as shares of the longest distance there can be, on average of a
//! pixel and its eight neighbours: noise and edges are smoothed by that.

use media::Tile;
use protocol::config::compositor::Key;

use crate::colour::Ycc;

/// A blend of less is none.
const BLEND_MIN: f32 = 0.0001;
const NEIGHBOURHOOD: f32 = 9.0;

/// Makes a tile's alpha less where it is like the key's colour. Of a tile without alpha nothing.
pub(crate) fn apply(tile: &mut Tile, key: &Key, colour: Ycc) {
    let width = tile.width as usize;
    if !tile.has_alpha || width == 0 {
        return;
    }
    let [_, chroma_u, chroma_v, alpha] = tile.planes_mut();
    let distances = distances(chroma_u, chroma_v, colour);
    let height = distances.len() / width;
    let (similarity, blend) = (narrow(key.similarity), narrow(key.blend));
    for (y, alphas) in alpha.chunks_exact_mut(width).enumerate() {
        // At the edges the outermost pixels stand for those beyond.
        let row = |y: usize| &distances[y * width..(y + 1) * width];
        let rows = [row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1))];
        let column = |x: usize| rows[0][x] + rows[1][x] + rows[2][x];
        for (x, alpha) in alphas.iter_mut().enumerate() {
            let sum = column(x.saturating_sub(1)) + column(x) + column((x + 1).min(width - 1));
            let seen = visibility(sum / NEIGHBOURHOOD, similarity, blend);
            *alpha = scaled(*alpha, seen);
        }
    }
}

/// Of each pixel's chroma from the colour's; 1 is from one corner of all chroma to the other.
fn distances(chroma_u: &[u8], chroma_v: &[u8], colour: Ycc) -> Vec<f32> {
    let longest = 255.0 * std::f32::consts::SQRT_2;
    let (key_u, key_v) = (f32::from(colour.u), f32::from(colour.v));
    let distance = |(u, v): (&u8, &u8)| {
        let (du, dv) = (f32::from(*u) - key_u, f32::from(*v) - key_v);
        (du * du + dv * dv).sqrt() / longest
    };
    chroma_u.iter().zip(chroma_v).map(distance).collect()
}

/// 0 is gone, 1 is all there.
fn visibility(distance: f32, similarity: f32, blend: f32) -> f32 {
    if blend < BLEND_MIN {
        return if distance > similarity { 1.0 } else { 0.0 };
    }
    ((distance - similarity) / blend).clamp(0.0, 1.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u8")]
fn scaled(alpha: u8, share: f32) -> u8 {
    (f32::from(alpha) * share) as u8
}

#[expect(clippy::cast_possible_truncation, reason = "shares have few digits")]
fn narrow(share: f64) -> f32 {
    share as f32
}

#[cfg(test)]
mod tests {
    use protocol::config::compositor::Rgb;

    use super::*;

    const GREEN: Ycc = Ycc { y: 145, u: 54, v: 34 };

    /// Left half green, right half skin.
    fn tile() -> Tile {
        let (width, height) = (16, 8);
        let half = |left: u8, right: u8| {
            let row = [[left; 8], [right; 8]].concat();
            row.repeat(height as usize)
        };
        let samples = [half(145, 150), half(54, 110), half(34, 155), half(255, 255)].concat();
        Tile { width, height, has_alpha: true, samples }
    }

    fn alpha(similarity: f64, blend: f64) -> Vec<u8> {
        let mut tile = tile();
        apply(&mut tile, &Key { color: Rgb(0, 255, 0), similarity, blend }, GREEN);
        tile.planes()[3][16 * 4..16 * 5].to_vec()
    }

    #[test]
    fn the_key_goes_and_the_rest_stays() {
        let seen = alpha(0.1, 0.0);
        assert_eq!((&seen[..7], &seen[8..]), (&[0; 7][..], &[255; 8][..]));
    }

    #[test]
    fn blending_is_gradual_at_the_edge() {
        let seen = alpha(0.05, 0.4);
        assert_eq!(seen[0], 0);
        let edge = &seen[6..10];
        assert!(edge.windows(2).all(|pair| pair[0] <= pair[1]), "{seen:?}");
        assert!(seen[8] > 0 && seen[8] < 255, "{seen:?}");
    }

    #[test]
    fn what_was_not_to_be_seen_stays_so() {
        let mut tile = tile();
        tile.planes_mut()[3].fill(0);
        apply(&mut tile, &Key { color: Rgb(0, 255, 0), similarity: 0.1, blend: 0.0 }, GREEN);
        assert!(tile.planes()[3].iter().all(|alpha| *alpha == 0));
    }
}
