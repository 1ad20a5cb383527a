//! A picture as a small grid of luma averages: what the detector looks at. Pure; the caller hands
//! out rows, so that only the sampled ones are ever copied.

use protocol::stream::PixelFormat;

/// Blocks across a picture. Eighty keep a walking person in a wide view a few blocks large, and
/// average sensor noise away.
const BLOCKS_ACROSS: u32 = 80;
/// Blocks smaller than this are noise, not averages.
const BLOCK_MIN_PX: u32 = 4;
/// Rows read of each block, evenly spread: a quarter of the samples, nearly the same average.
const ROWS_A_BLOCK: u32 = 4;

/// How a picture is divided. Two pictures can be compared when this is equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub width: u32,
    pub height: u32,
    pub block_px: u32,
    pub cols: usize,
    pub rows: usize,
}

impl Shape {
    pub fn new(width: u32, height: u32) -> Self {
        let block_px = width.div_ceil(BLOCKS_ACROSS).max(BLOCK_MIN_PX);
        let blocks = |side: u32| side.div_ceil(block_px) as usize;
        Self { width, height, block_px, cols: blocks(width), rows: blocks(height) }
    }

    pub fn blocks(&self) -> usize {
        self.cols * self.rows
    }

    /// Where the middle of a block lies, in shares of the picture's width and height.
    #[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^24")]
    pub fn middle(&self, block: usize) -> (f32, f32) {
        let middle = |at: usize, side: u32| {
            let begin = (at as f32) * self.block_px as f32;
            let end = (begin + self.block_px as f32).min(side as f32);
            (begin + end) / 2.0 / side as f32
        };
        let cols = self.cols.max(1);
        (middle(block % cols, self.width), middle(block / cols, self.height))
    }
}

/// Where the luma samples lie in a row of the first plane. Of packed colours green stands for luma:
/// it is most of it, and motion shows in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sampling {
    first: usize,
    step: usize,
}

impl Sampling {
    fn of(format: PixelFormat) -> Self {
        match format {
            PixelFormat::Rgb24 | PixelFormat::Bgr24 => Self { first: 1, step: 3 },
            PixelFormat::Rgba => Self { first: 1, step: 4 },
            _ => Self { first: 0, step: 1 },
        }
    }
}

/// Average luma of each block, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    pub shape: Shape,
    pub luma: Vec<f32>,
}

impl Grid {
    /// Samples a picture; `read_row(y, into)` copies row `y` of its first plane.
    pub fn sample(
        width: u32,
        height: u32,
        format: PixelFormat,
        mut read_row: impl FnMut(usize, &mut [u8]),
    ) -> Self {
        let shape = Shape::new(width, height);
        let sampling = Sampling::of(format);
        let mut row = vec![0; (width * format.pixel_bytes()) as usize];
        let mut luma = Vec::with_capacity(shape.blocks());
        for block_row in 0..shape.rows {
            let mut sums = vec![0_u32; shape.cols];
            let sampled = sampled_rows(&shape, block_row);
            let rows = sampled.len();
            for y in sampled {
                read_row(y, &mut row);
                add_row(&mut sums, &row, sampling, shape.block_px as usize);
            }
            luma.extend(sums.iter().enumerate().map(|(col, &sum)| average(&shape, col, rows, sum)));
        }
        Self { shape, luma }
    }
}

/// The rows of the picture that stand for a row of blocks.
fn sampled_rows(shape: &Shape, block_row: usize) -> Vec<usize> {
    let block = shape.block_px as usize;
    let begin = block_row * block;
    let end = (begin + block).min(shape.height as usize);
    let step = (shape.block_px.div_ceil(ROWS_A_BLOCK)) as usize;
    (begin..end).step_by(step).collect()
}

fn add_row(sums: &mut [u32], row: &[u8], sampling: Sampling, block_px: usize) {
    for (sum, block) in sums.iter_mut().zip(row.chunks(block_px * sampling.step)) {
        let samples = block.iter().skip(sampling.first).step_by(sampling.step);
        *sum += samples.map(|&sample| u32::from(sample)).sum::<u32>();
    }
}

/// A block is at most a few hundred pixels wide, so its sum and count are exact in f32.
#[expect(clippy::cast_precision_loss, reason = "sums of a block are far below 2^24")]
fn average(shape: &Shape, col: usize, rows: usize, sum: u32) -> f32 {
    let begin = col * shape.block_px as usize;
    let width = (shape.width as usize - begin).min(shape.block_px as usize);
    sum as f32 / (width * rows).max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_about_eighty_blocks_wide() {
        for (width, height) in [(640, 360), (1920, 1080), (3840, 2160), (1280, 720)] {
            let shape = Shape::new(width, height);
            assert!((70..=80).contains(&shape.cols), "{shape:?}");
            assert!(shape.rows * shape.block_px as usize >= height as usize);
        }
        assert_eq!(Shape::new(64, 48).block_px, BLOCK_MIN_PX);
    }

    #[test]
    fn blocks_are_averages_of_their_pixels_also_at_the_edges() {
        // Left half 10, right half 200, in a width that is no multiple of the block.
        let grid = Grid::sample(650, 361, PixelFormat::Yuv420p, |_, row| {
            row[..325].fill(10);
            row[325..].fill(200);
        });
        let shape = grid.shape;
        assert_eq!(grid.luma.len(), shape.blocks());
        for (index, &value) in grid.luma.iter().enumerate() {
            match index % shape.cols * shape.block_px as usize {
                left if left + shape.block_px as usize <= 325 => assert_eq!(value, 10.0),
                left if left >= 325 => assert_eq!(value, 200.0),
                _ => assert!(value > 10.0 && value < 200.0),
            }
        }
    }

    #[test]
    fn packed_pictures_are_seen_by_their_green() {
        let green = |pixel: &'static [u8], format| {
            Grid::sample(64, 64, format, move |_, row| {
                row.chunks_mut(pixel.len()).for_each(|bytes| bytes.copy_from_slice(pixel));
            })
        };
        assert!(green(&[1, 77, 2], PixelFormat::Rgb24).luma.iter().all(|&luma| luma == 77.0));
        assert!(green(&[1, 77, 2, 255], PixelFormat::Rgba).luma.iter().all(|&luma| luma == 77.0));
    }

    #[test]
    fn only_a_few_rows_of_a_large_picture_are_read() {
        let mut read = 0;
        Grid::sample(3840, 2160, PixelFormat::Nv12, |_, _| read += 1);
        assert!(read <= 2160 / 8, "{read} rows");
    }
}
