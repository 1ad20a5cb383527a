//! Of boxes of one class that cover nearly the same, the surest alone. Pure.

use tensors::Rect;

/// Boxes that are looked at: a model that is sure of more is sure of nothing, and each is compared with all that
/// stay.
const LOOKED_AT: usize = 4_096;

/// Something that may be there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub class: usize,
    /// 0 to 1.
    pub score: f32,
    pub rect: Rect,
}

/// The surest first, at most `most`; none of a class shares more than `overlap` with a surer one of it.
pub fn suppress(mut candidates: Vec<Candidate>, overlap: f32, most: usize) -> Vec<Candidate> {
    // Stable: of equals the one stays that the model told first.
    candidates.sort_by(|one, other| other.score.total_cmp(&one.score));
    candidates.truncate(LOOKED_AT);
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if kept.len() >= most {
            break;
        }
        let is_again = |other: &Candidate| {
            other.class == candidate.class && other.rect.iou(&candidate.rect) > overlap
        };
        if !kept.iter().any(is_again) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(class: usize, score: f32, left: f32) -> Candidate {
        Candidate { class, score, rect: Rect { x: left, y: 0.0, w: 10.0, h: 10.0 } }
    }

    #[test]
    fn the_surest_of_a_heap_stays_and_others_of_another_class() {
        let all = vec![candidate(0, 0.5, 0.0), candidate(0, 0.9, 1.0), candidate(1, 0.4, 1.0)];
        assert_eq!(suppress(all, 0.45, 10), [candidate(0, 0.9, 1.0), candidate(1, 0.4, 1.0)]);
    }

    #[test]
    fn what_is_far_enough_away_stays_too() {
        let all = vec![candidate(0, 0.5, 0.0), candidate(0, 0.9, 6.0), candidate(0, 0.7, 20.0)];
        assert_eq!(suppress(all.clone(), 0.45, 10).len(), 3);
        assert_eq!(suppress(all, 0.45, 2), [candidate(0, 0.9, 6.0), candidate(0, 0.7, 20.0)]);
    }

    #[test]
    fn a_score_that_is_no_number_harms_nothing() {
        let all = vec![candidate(0, f32::NAN, 0.0), candidate(0, 0.9, 50.0)];
        assert!(suppress(all, 0.45, 10).contains(&candidate(0, 0.9, 50.0)));
    }

    /// The definition, word for word: again and again the surest of what is left, and away with all of its class
    /// that share too much with it.
    fn naive(mut left: Vec<Candidate>, overlap: f32, most: usize) -> Vec<Candidate> {
        let mut kept = Vec::new();
        while !left.is_empty() && kept.len() < most {
            let mut best = 0;
            for at in 1..left.len() {
                if left[at].score > left[best].score {
                    best = at;
                }
            }
            let surest = left.remove(best);
            left.retain(|it| it.class != surest.class || it.rect.iou(&surest.rect) <= overlap);
            kept.push(surest);
        }
        kept
    }

    fn any_candidate() -> impl Strategy<Value = Candidate> {
        (0usize..3, 0u16..50, 0i16..30, 0i16..30, 1i16..20, 1i16..20).prop_map(
            |(class, score, x, y, w, h)| {
                let [x, y, w, h] = [x, y, w, h].map(f32::from);
                Candidate { class, score: f32::from(score) / 50.0, rect: Rect { x, y, w, h } }
            },
        )
    }

    proptest! {
        #[test]
        fn it_keeps_what_the_definition_keeps(
            all in proptest::collection::vec(any_candidate(), 0..60),
            overlap in 0u8..=100, most in 0usize..20,
        ) {
            let overlap = f32::from(overlap) / 100.0;
            prop_assert_eq!(suppress(all.clone(), overlap, most), naive(all, overlap, most));
        }
    }
}
