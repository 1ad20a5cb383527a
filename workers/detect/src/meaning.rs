//! What a model's output means: boxes with their classes, or classes of the whole picture. Pure.
//!
//! | form | shape of one picture | a box is |
//! |---|---|---|
//! | `classes` | `[C]` | none |
//! | `boxes` | `[N, 6]` | left, top, right, bottom, score, class |
//! | `yolo5` | `[N, 5 + C]` | middle, size, whether there is something, a score for each class |
//! | `yolo8` | `[4 + C, N]` | middle, size, a score for each class |
//! | `yolox` | `[N, 5 + C]` | as `yolo5`, told from the cell, its size as a power of e |

use protocol::config::detect::Form;
use tensors::{Rect, Sides};

use crate::nms::Candidate;

/// Most boxes that a model which leaves none out twice tells of.
const WHOLE_BOXES_MAX: usize = 1_000;
/// Cells of YOLOX: so many pixels a side, the smallest first.
const STRIDES: [u32; 3] = [8, 16, 32];
/// A sum that is this near to 1 is that of probabilities.
const NEARLY: f32 = 0.01;

/// Why an output cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeaningError {
    #[error("its output of shape {seen:?} is of no form that is known: expected {expected}")]
    Shape { seen: Vec<usize>, expected: String },
    #[error("its output has {seen} values, and {expected} by its shape")]
    Values { seen: usize, expected: usize },
}

/// How to read the output of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    kind: Kind,
    /// Of one picture's output.
    rows: usize,
    columns: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Classes,
    Boxes,
    Yolo5,
    Yolo8,
    /// Column, row and side of each box's cell.
    Yolox(Vec<[f32; 3]>),
}

impl Meaning {
    /// `shape`: of the output, the pictures first. `labels`: how many classes there are, if that is known.
    /// `input`: size of the model's input.
    pub fn of(
        form: Form,
        shape: &[usize],
        labels: Option<usize>,
        input: Sides,
    ) -> Result<Self, MeaningError> {
        let misfit = |expected: &str| MeaningError::Shape {
            seen: shape.to_vec(),
            expected: format!("{expected}; 'form' says which"),
        };
        let form = if form == Form::Auto { guess(shape, labels) } else { Some(form) };
        let (kind, (rows, columns)) = match (form, shape) {
            (Some(Form::Classes), [_, classes] | [_, classes, 1, 1]) => {
                (Kind::Classes, (1, *classes))
            }
            (Some(Form::Boxes), [_, boxes, 6]) => (Kind::Boxes, (*boxes, 6)),
            (Some(Form::Yolo5), [_, boxes, values]) if *values > 5 => {
                (Kind::Yolo5, (*boxes, *values))
            }
            (Some(Form::Yolo8), [_, values, boxes]) if *values > 4 => {
                (Kind::Yolo8, (*values, *boxes))
            }
            (Some(Form::Yolox), [_, boxes, values]) if *values > 5 => {
                let cells = cells(input);
                if cells.len() != *boxes {
                    let (width, height) = input;
                    let expected = format!("{} boxes of an input of {width}x{height}", cells.len());
                    return Err(misfit(&expected));
                }
                (Kind::Yolox(cells), (*boxes, *values))
            }
            (Some(form), _) => {
                let expected = match form {
                    Form::Classes => "classes, [batch, C]",
                    Form::Boxes => "boxes, [batch, N, 6]",
                    Form::Yolo8 => "yolo8, [batch, 4 + C, N]",
                    _ => "yolo5 or yolox, [batch, N, 5 + C]",
                };
                return Err(misfit(expected));
            }
            (None, _) => {
                return Err(misfit(
                    "[batch, C], [batch, N, 6], [batch, N, 5 + C] or [batch, 4 + C, N]",
                ));
            }
        };
        let meaning = Self { kind, rows, columns };
        match (labels, meaning.classes()) {
            (Some(labels), Some(classes)) if labels != classes => {
                Err(misfit(&format!("{labels} classes, as there are labels, and it has {classes}")))
            }
            _ => Ok(meaning),
        }
    }

    /// Whether it tells of the picture as a whole.
    pub fn is_of_whole(&self) -> bool {
        self.kind == Kind::Classes
    }

    /// How many classes there are; `None` where the output does not tell.
    pub fn classes(&self) -> Option<usize> {
        match self.kind {
            Kind::Classes => Some(self.columns),
            Kind::Boxes => None,
            Kind::Yolo5 | Kind::Yolox(_) => Some(self.columns - 5),
            Kind::Yolo8 => Some(self.rows - 4),
        }
    }

    /// In words.
    pub fn form(&self) -> Form {
        match self.kind {
            Kind::Classes => Form::Classes,
            Kind::Boxes => Form::Boxes,
            Kind::Yolo5 => Form::Yolo5,
            Kind::Yolo8 => Form::Yolo8,
            Kind::Yolox(_) => Form::Yolox,
        }
    }

    /// Values of one picture.
    pub fn values(&self) -> usize {
        self.rows * self.columns
    }

    /// What may be in a picture, in pixels of the model's input: all whose score is at least that of `least` for
    /// their class. Of a model of classes each of them, without a box.
    pub fn candidates(
        &self,
        values: &[f32],
        least: impl Fn(usize) -> f32,
    ) -> Result<Vec<Candidate>, MeaningError> {
        // Of boxes that are whole there may be as many as there are things.
        let is_whole = match self.kind {
            Kind::Boxes => values.len().is_multiple_of(6),
            _ => values.len() == self.values(),
        };
        if !is_whole {
            return Err(MeaningError::Values { seen: values.len(), expected: self.values() });
        }
        let found = match &self.kind {
            Kind::Classes => whole(values, least),
            Kind::Boxes => values.chunks_exact(6).filter_map(|row| corners(row, &least)).collect(),
            Kind::Yolo5 => self.by_rows(values, least, |_, row| middle(row)),
            Kind::Yolox(cells) => self.by_rows(values, least, |at, row| of_cell(cells[at], row)),
            Kind::Yolo8 => self.by_columns(values, least),
        };
        Ok(found)
    }

    /// `[N, 5 + C]`.
    fn by_rows(
        &self,
        values: &[f32],
        least: impl Fn(usize) -> f32,
        rect: impl Fn(usize, &[f32]) -> Rect,
    ) -> Vec<Candidate> {
        let rows = values.chunks_exact(self.columns).enumerate();
        let found = rows.filter_map(|(at, row)| {
            let (class, score) = best(row[5..].iter().copied())?;
            let score = score * row[4];
            (score >= least(class)).then(|| Candidate { class, score, rect: rect(at, row) })
        });
        found.collect()
    }

    /// `[4 + C, N]`.
    fn by_columns(&self, values: &[f32], least: impl Fn(usize) -> f32) -> Vec<Candidate> {
        let boxes = self.columns;
        // Row by row, as it lies in memory: thousands of boxes times dozens of classes.
        let mut scores = vec![f32::NEG_INFINITY; boxes];
        let mut classes = vec![0; boxes];
        for (class, row) in values[4 * boxes..].chunks_exact(boxes.max(1)).enumerate() {
            for (at, score) in row.iter().enumerate() {
                if *score > scores[at] {
                    (scores[at], classes[at]) = (*score, class);
                }
            }
        }
        let is_there = |at: &usize| scores[*at] >= least(classes[*at]);
        let found = (0..boxes).filter(is_there).map(|at| {
            let [x, y, w, h] = [0, 1, 2, 3].map(|row| values[row * boxes + at]);
            let (class, score) = (classes[at], scores[at]);
            Candidate { class, score, rect: Rect::around(x, y, w, h) }
        });
        found.collect()
    }
}

/// What a shape says by itself.
fn guess(shape: &[usize], labels: Option<usize>) -> Option<Form> {
    match *shape {
        [_, _] | [_, _, 1, 1] => Some(Form::Classes),
        [_, rows, columns] => {
            if labels.map(|count| count + 4) == Some(rows) {
                Some(Form::Yolo8)
            } else if columns == 6 && rows <= WHOLE_BOXES_MAX {
                Some(Form::Boxes)
            } else if rows > 4 && rows < columns {
                Some(Form::Yolo8)
            } else if columns > 5 && columns < rows {
                Some(Form::Yolo5)
            } else {
                None
            }
        }
        _ => None,
    }
}

/// The cells of YOLOX, in the order of its boxes.
fn cells(input: Sides) -> Vec<[f32; 3]> {
    let of_stride = |stride: u32| {
        let (columns, rows) = (input.0 / stride, input.1 / stride);
        (0..rows).flat_map(move |row| (0..columns).map(move |column| [column, row, stride]))
    };
    STRIDES.into_iter().flat_map(of_stride).map(|cell| cell.map(small)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^24")]
fn small(number: u32) -> f32 {
    number as f32
}

fn middle(row: &[f32]) -> Rect {
    Rect::around(row[0], row[1], row[2], row[3])
}

fn of_cell([column, line, side]: [f32; 3], row: &[f32]) -> Rect {
    let (x, y) = ((row[0] + column) * side, (row[1] + line) * side);
    Rect::around(x, y, row[2].exp() * side, row[3].exp() * side)
}

/// A class is a number in an output of numbers.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held in 0..2^16")]
fn corners(row: &[f32], least: impl Fn(usize) -> f32) -> Option<Candidate> {
    let class = row[5].round().clamp(0.0, 65_535.0) as usize;
    let rect = Rect::between(row[0], row[1], row[2], row[3]);
    (row[4] >= least(class)).then_some(Candidate { class, score: row[4], rect })
}

/// The first of the highest; `None` of none, or when no number is one.
fn best(scores: impl Iterator<Item = f32>) -> Option<(usize, f32)> {
    let higher = |best: Option<(usize, f32)>, (at, score): (usize, f32)| match best {
        Some((_, highest)) if score.is_nan() || score <= highest => best,
        None if score.is_nan() => None,
        _ => Some((at, score)),
    };
    scores.enumerate().fold(None, higher)
}

/// Scores as probabilities, which they may be already.
fn whole(values: &[f32], least: impl Fn(usize) -> f32) -> Vec<Candidate> {
    let sum: f32 = values.iter().sum();
    let are_shares = values.iter().all(|value| (0.0..=1.0).contains(value));
    let shares =
        if are_shares && (sum - 1.0).abs() < NEARLY { values.to_vec() } else { softmax(values) };
    let found = shares.into_iter().enumerate().filter(|(class, score)| *score >= least(*class));
    found.map(|(class, score)| Candidate { class, score, rect: Rect::default() }).collect()
}

fn softmax(values: &[f32]) -> Vec<f32> {
    // The highest becomes 1, so that nothing is too large for a number.
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = values.iter().map(|value| (value - highest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests;
