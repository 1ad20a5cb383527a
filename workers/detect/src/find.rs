//! What a model found in a picture and somebody wants to know: of which class, how sure, where, in which zone.
//! Pure.

use std::collections::BTreeMap;

use protocol::config::DetectConfig;
use protocol::config::zone::Field;
use tensors::{Placement, Rect};

use crate::labels::Labels;
use crate::meaning::{Meaning, MeaningError};
use crate::nms::{Candidate, suppress};

/// Classes of a model named in an error.
const NAMED_MAX: usize = 20;

/// A class that the topology names and the model has not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: the model has no class '{seen}'; it has {known}")]
pub struct UnknownClass {
    key: &'static str,
    seen: String,
    known: String,
}

/// Something in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub label: String,
    /// 0 to 1.
    pub score: f32,
    /// In pixels of the picture.
    pub rect: Rect,
    /// Numbers of the zones it stands in.
    pub zones: Vec<usize>,
}

/// What is to be told of what a model finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The least score of each class that differs from `usual`.
    least: BTreeMap<usize, f32>,
    /// Of the others; more than there is where only some are wanted.
    usual: f32,
    overlap: f32,
    most: usize,
}

impl Wanted {
    pub fn of(config: &DetectConfig, labels: &Labels) -> Result<Self, UnknownClass> {
        let class = |key: &'static str, name: &String| {
            let unknown = || UnknownClass { key, seen: name.clone(), known: known(labels) };
            labels.class(name).ok_or_else(unknown)
        };
        let usual = single(config.min_score);
        let mut least = BTreeMap::new();
        for name in &config.only {
            least.insert(class("only", name)?, usual);
        }
        for (name, score) in &config.scores {
            let class = class("scores", name)?;
            // A score for what is not wanted does not make it wanted.
            if config.only.is_empty() || least.contains_key(&class) {
                least.insert(class, single(*score));
            }
        }
        Ok(Self {
            least,
            usual: if config.only.is_empty() { usual } else { f32::INFINITY },
            overlap: single(config.overlap),
            most: config.most as usize,
        })
    }

    /// The least score at which something of a class is told.
    pub fn least(&self, class: usize) -> f32 {
        self.least.get(&class).copied().unwrap_or(self.usual)
    }

    /// The boxes of one picture, the surest first. `values`: the model's output for it; `place`: where it lay in
    /// the model's input.
    pub fn boxes(
        &self,
        meaning: &Meaning,
        values: &[f32],
        place: &Placement,
        field: &Field,
        labels: &Labels,
    ) -> Result<Vec<Found>, MeaningError> {
        let candidates = meaning.candidates(values, |class| self.least(class))?;
        // All of them first: a surer box outside every zone is no reason for a second one inside.
        let kept = suppress(candidates, self.overlap, self.most);
        Ok(kept.iter().filter_map(|one| located(one, place, field, labels)).collect())
    }

    /// The classes of one picture, the surest first.
    pub fn classes(
        &self,
        meaning: &Meaning,
        values: &[f32],
        labels: &Labels,
    ) -> Result<Vec<(String, f32)>, MeaningError> {
        let mut found = meaning.candidates(values, |class| self.least(class))?;
        found.sort_by(|one, other| other.score.total_cmp(&one.score));
        found.truncate(self.most);
        Ok(found.into_iter().map(|it| (labels.name(it.class), it.score)).collect())
    }
}

/// `None` for what lies outside the picture, or where nothing counts: it stands where its lower edge is.
fn located(
    candidate: &Candidate,
    place: &Placement,
    field: &Field,
    labels: &Labels,
) -> Option<Found> {
    let (width, height) = (side(place.picture.0), side(place.picture.1));
    let rect = place.back(&candidate.rect).inside(width, height)?;
    let zones = field.at((rect.x + rect.w / 2.0) / width, (rect.y + rect.h) / height)?;
    Some(Found { label: labels.name(candidate.class), score: candidate.score, rect, zones })
}

#[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^24")]
fn side(pixels: u32) -> f32 {
    pixels as f32
}

#[expect(clippy::cast_possible_truncation, reason = "0 to 1: seven digits are enough")]
fn single(share: f64) -> f32 {
    share as f32
}

fn known(labels: &Labels) -> String {
    let all = labels.all();
    let named: Vec<&str> = all.iter().take(NAMED_MAX).map(String::as_str).collect();
    match (named.is_empty(), all.len() - named.len()) {
        (true, _) => "no names, only numbers".to_owned(),
        (false, 0) => named.join(", "),
        (false, more) => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::config::detect::{Form, InputFit};
    use protocol::config::zone::Zones;

    fn config() -> DetectConfig {
        DetectConfig { min_score: 0.5, ..DetectConfig::of("x.onnx".into()) }
    }

    fn labels() -> Labels {
        Labels::of(&["person".to_owned(), "car".to_owned()], None)
    }

    /// Boxes as (left, top, right, bottom, score, class) in a 64x64 input of a 128x64 picture: 32 rows of it, 16
    /// below the edge.
    fn found(config: &DetectConfig, field: &Field, boxes: &[[f32; 6]]) -> Vec<Found> {
        let meaning = Meaning::of(Form::Boxes, &[1, boxes.len(), 6], None, (64, 64)).unwrap();
        let place = Placement::of((128, 64), (64, 64), InputFit::Letterbox);
        let wanted = Wanted::of(config, &labels()).unwrap();
        wanted.boxes(&meaning, &boxes.concat(), &place, field, &labels()).unwrap()
    }

    #[test]
    fn a_box_is_told_in_pixels_of_the_picture_the_surest_first() {
        let boxes = [[0.0, 16.0, 10.0, 26.0, 0.6, 1.0], [20.0, 20.0, 30.0, 40.0, 0.9, 0.0]];
        let found = found(&config(), &Field::default(), &boxes);
        let rect = |x, y, w, h| Rect { x, y, w, h };
        let one = |label: &str, score, rect| Found {
            label: label.to_owned(),
            score,
            rect,
            zones: Vec::new(),
        };
        assert_eq!(
            found,
            [
                one("person", 0.9, rect(40.0, 8.0, 20.0, 40.0)),
                one("car", 0.6, rect(0.0, 0.0, 20.0, 20.0))
            ]
        );
    }

    #[test]
    fn only_wanted_classes_are_told_each_from_its_own_score_on() {
        let boxes = [[0.0, 16.0, 9.0, 25.0, 0.6, 0.0], [30.0, 16.0, 39.0, 25.0, 0.6, 1.0]];
        let told = |config: &DetectConfig| -> Vec<String> {
            let found = found(config, &Field::default(), &boxes);
            found.into_iter().map(|it| it.label).collect()
        };
        assert_eq!(told(&DetectConfig { only: vec!["car".into()], ..config() }), ["car"]);
        let scores: BTreeMap<String, f64> = [("person".to_owned(), 0.7)].into();
        assert_eq!(told(&DetectConfig { scores: scores.clone(), ..config() }), ["car"]);
        let both = DetectConfig { scores, only: vec!["car".into()], ..config() };
        assert_eq!(told(&both), ["car"]);
    }

    #[test]
    fn a_class_that_the_model_has_not_is_refused_with_those_it_has() {
        let config = DetectConfig { only: vec!["cat".into()], ..config() };
        let told = Wanted::of(&config, &labels()).unwrap_err().to_string();
        assert_eq!(told, "only: the model has no class 'cat'; it has person, car");
    }

    #[test]
    fn something_is_where_it_stands() {
        let zones = Zones::from([("lower".to_owned(), "0% 50%, 100% 100%".parse().unwrap())]);
        let field = Field::of(&zones, &Zones::new(), "yard");
        // Its head is in the upper half, its foot in the lower; the other is above.
        let boxes = [[0.0, 17.0, 10.0, 40.0, 0.6, 0.0], [20.0, 17.0, 30.0, 25.0, 0.9, 0.0]];
        let found = found(&config(), &field, &boxes);
        assert_eq!((found.len(), found[0].score, &found[0].zones[..]), (1, 0.6, &[0][..]));
    }

    #[test]
    fn what_lies_outside_the_picture_is_not_told() {
        let boxes = [[0.0, 0.0, 10.0, 12.0, 0.9, 0.0], [5.0, 10.0, 15.0, 20.0, 0.8, 0.0]];
        let found = found(&config(), &Field::default(), &boxes);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].rect, Rect { x: 10.0, y: 0.0, w: 20.0, h: 8.0 });
    }

    #[test]
    fn classes_of_a_picture_are_told_the_surest_first() {
        let meaning = Meaning::of(Form::Classes, &[1, 2], None, (64, 64)).unwrap();
        let wanted = Wanted::of(&DetectConfig { min_score: 0.2, ..config() }, &labels()).unwrap();
        let found = wanted.classes(&meaning, &[0.3, 0.7], &labels()).unwrap();
        assert_eq!(found, [("car".to_owned(), 0.7), ("person".to_owned(), 0.3)]);
    }
}
