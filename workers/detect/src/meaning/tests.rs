use super::*;
use proptest::prelude::*;

const INPUT: Sides = (64, 64);

fn auto(shape: &[usize], labels: Option<usize>) -> Result<Form, MeaningError> {
    Meaning::of(Form::Auto, shape, labels, INPUT).map(|meaning| meaning.form())
}

fn read(form: Form, shape: &[usize], values: &[f32]) -> Vec<Candidate> {
    let meaning = Meaning::of(form, shape, None, INPUT).unwrap();
    meaning.candidates(values, |_| 0.5).unwrap()
}

#[test]
fn the_shapes_of_well_known_models_say_what_they_are() {
    for (shape, labels, form) in [
        (&[1, 84, 8400][..], Some(80), Form::Yolo8),
        (&[8, 84, 8400], None, Form::Yolo8),
        (&[1, 7, 400], Some(3), Form::Yolo8),
        // A tiny input: more values than cells.
        (&[1, 84, 21], Some(80), Form::Yolo8),
        (&[1, 25_200, 85], Some(80), Form::Yolo5),
        (&[1, 25_200, 6], Some(1), Form::Yolo5),
        (&[1, 300, 6], Some(80), Form::Boxes),
        (&[1, 1000], Some(1000), Form::Classes),
        (&[1, 1000, 1, 1], None, Form::Classes),
    ] {
        assert_eq!(auto(shape, labels), Ok(form), "{shape:?}");
    }
}

#[test]
fn a_shape_that_says_nothing_is_refused_with_what_was_seen() {
    let told = auto(&[1, 3, 80, 80, 85], None).unwrap_err().to_string();
    assert!(told.contains("[1, 3, 80, 80, 85]") && told.contains("'form' says which"), "{told}");
    let told = auto(&[1, 84, 8400], Some(3)).unwrap_err().to_string();
    assert!(told.contains("3 classes, as there are labels, and it has 80"), "{told}");
    let told = Meaning::of(Form::Boxes, &[1, 84, 8400], None, INPUT).unwrap_err().to_string();
    assert!(told.contains("[batch, N, 6]"), "{told}");
    let told = Meaning::of(Form::Yolox, &[1, 100, 85], None, INPUT).unwrap_err().to_string();
    assert!(told.contains("84 boxes of an input of 64x64"), "{told}");
}

#[test]
fn boxes_of_yolo8_are_columns() {
    // Two boxes, two classes.
    let values = [10.0, 20.0, 11.0, 21.0, 4.0, 6.0, 2.0, 8.0, 0.1, 0.7, 0.2, 0.9];
    let found = read(Form::Yolo8, &[1, 6, 2], &values);
    let rect = Rect { x: 17.0, y: 17.0, w: 6.0, h: 8.0 };
    assert_eq!(found, [Candidate { class: 1, score: 0.9, rect }]);
}

#[test]
fn boxes_of_yolo5_are_rows_and_what_is_there_counts() {
    let values = [10.0, 10.0, 4.0, 2.0, 0.9, 0.2, 0.8, 30.0, 30.0, 4.0, 4.0, 0.5, 0.9, 0.1];
    let found = read(Form::Yolo5, &[1, 2, 7], &values);
    let rect = Rect { x: 8.0, y: 9.0, w: 4.0, h: 2.0 };
    assert_eq!(found, [Candidate { class: 1, score: 0.8 * 0.9, rect }]);
}

#[test]
fn boxes_of_yolox_are_told_from_their_cells() {
    // 64x64: 64 cells of 8, 16 of 16, 4 of 32. The second of the second row of the middle ones.
    let mut values = vec![0.0; 84 * 6];
    let at = 64 + 4 + 1;
    values[at * 6..at * 6 + 6].copy_from_slice(&[0.5, 0.5, 0.0, 2f32.ln(), 1.0, 0.75]);
    let found = read(Form::Yolox, &[1, 84, 6], &values);
    assert_eq!(found.len(), 1);
    let Rect { x, y, w, h } = found[0].rect;
    assert_eq!((x, y, w), (16.0, 8.0, 16.0));
    assert!((h - 32.0).abs() < 1e-4, "{h}");
}

#[test]
fn boxes_that_are_whole_are_corners() {
    let values = [1.0, 2.0, 11.0, 22.0, 0.9, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let found = read(Form::Boxes, &[1, 2, 6], &values);
    let rect = Rect { x: 1.0, y: 2.0, w: 10.0, h: 20.0 };
    assert_eq!(found, [Candidate { class: 3, score: 0.9, rect }]);
}

#[test]
fn classes_become_shares_where_they_are_none() {
    let found = read(Form::Classes, &[1, 3], &[1000.0, 1000.0 - 2f32.ln(), 0.0]);
    assert_eq!(found.len(), 1);
    assert!((found[0].score - 2.0 / 3.0).abs() < 1e-4, "{found:?}");
    let found = read(Form::Classes, &[1, 3], &[0.1, 0.7, 0.2]);
    assert_eq!((found.len(), found[0].class, found[0].score), (1, 1, 0.7));
}

#[test]
fn fewer_values_than_the_shape_says_are_refused() {
    let meaning = Meaning::of(Form::Yolo8, &[1, 6, 2], None, INPUT).unwrap();
    let refused = meaning.candidates(&[0.0; 11], |_| 0.5);
    assert_eq!(refused, Err(MeaningError::Values { seen: 11, expected: 12 }));
}

proptest! {
    /// Both orders of the same boxes say the same, and no number makes it panic.
    #[test]
    fn yolo5_and_yolo8_agree_on_the_same_boxes(
        boxes in proptest::collection::vec(
            (any::<[u8; 4]>(), proptest::collection::vec(0u8..=100, 3)), 1..30,
        ),
        least in 0u8..=100,
    ) {
        let count = boxes.len();
        let share = |score: u8| f32::from(score) / 100.0;
        let rows: Vec<f32> = boxes.iter().flat_map(|(rect, scores)| {
            let rect = rect.map(f32::from);
            rect.into_iter().chain([1.0]).chain(scores.iter().map(|score| share(*score))).collect::<Vec<_>>()
        }).collect();
        let column = |value: usize, at: usize| rows[at * 8 + if value < 4 { value } else { value + 1 }];
        let columns: Vec<f32> =
            (0..7).flat_map(|value| (0..count).map(move |at| (value, at))).map(|(v, at)| column(v, at)).collect();
        let by = |form, shape: &[usize], values: &[f32]| {
            let meaning = Meaning::of(form, shape, Some(3), INPUT).unwrap();
            meaning.candidates(values, |_| share(least)).unwrap()
        };
        let five = by(Form::Yolo5, &[1, count, 8], &rows);
        prop_assert_eq!(by(Form::Yolo8, &[1, 7, count], &columns), five.clone());
        let naive = boxes.iter().filter(|(_, scores)| scores.iter().any(|score| *score >= least)).count();
        prop_assert_eq!(five.len(), naive);
    }

    #[test]
    fn no_output_makes_it_panic(values in proptest::collection::vec(any::<f32>(), 60)) {
        for (form, shape) in [
            (Form::Yolo8, &[1, 6, 10][..]), (Form::Yolo5, &[1, 10, 6]), (Form::Boxes, &[1, 10, 6]),
            (Form::Classes, &[1, 60]),
        ] {
            let meaning = Meaning::of(form, shape, None, INPUT).unwrap();
            let found = meaning.candidates(&values, |_| 0.5).unwrap();
            prop_assert!(found.iter().all(|it| it.score >= 0.5));
        }
    }
}
