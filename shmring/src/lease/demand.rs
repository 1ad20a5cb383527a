//! What readers want of a frame ring, and what that comes to. Pure.

/// Which pictures one reader wants; 0 is all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// So many a second.
    pub(crate) max_fps: u32,
    /// Each so manyth.
    pub(crate) every: u32,
    /// Key pictures; the other two say nothing then.
    pub(crate) key_only: bool,
}

/// What all readers of a frame ring want: whoever makes pictures by this leaves nobody without what they
/// asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Attached readers, counted by places.
    pub readers: u32,
    /// Some of them want key pictures, whatever the others want.
    pub keys: bool,
    /// Each so manyth picture is enough for all that want other pictures too; 0: there are none of these.
    pub every: u32,
    /// So many of these a second are enough for them; `None`: somebody wants as many as there are.
    pub max_fps: Option<u32>,
}

impl Demand {
    /// Whether pictures that are no key pictures are nobody's wish.
    pub fn is_key_only(&self) -> bool {
        self.every == 0
    }
}

impl FromIterator<Wish> for Demand {
    fn from_iter<I: IntoIterator<Item = Wish>>(wishes: I) -> Self {
        let mut demand = Self::default();
        // So many numbers a second must go by for the fastest of them; `None`: all there are.
        let mut numbers = Some(0u64);
        for wish in wishes {
            demand.readers += 1;
            if wish.key_only {
                demand.keys = true;
                continue;
            }
            let every = wish.every.max(1);
            demand.every = greatest_common(demand.every, every);
            let own = u64::from(wish.max_fps) * u64::from(every);
            numbers = numbers.filter(|_| own > 0).map(|others| others.max(own));
        }
        // Each picture that is made takes `every` of them, whoever it is for.
        let numbers = numbers.filter(|_| demand.every > 0);
        let a_second = numbers.map(|numbers| numbers.div_ceil(u64::from(demand.every)));
        demand.max_fps = a_second.map(|fps| u32::try_from(fps).unwrap_or(u32::MAX));
        demand
    }
}

/// Of 0 and a number it is that number.
fn greatest_common(a: u32, b: u32) -> u32 {
    let (mut a, mut b) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(wishes: &[(u32, u32, bool)]) -> Demand {
        let wish =
            |&(max_fps, every, key_only): &(u32, u32, bool)| Wish { max_fps, every, key_only };
        wishes.iter().map(wish).collect()
    }

    #[test]
    fn without_readers_nothing_is_wanted() {
        let nothing = of(&[]);
        assert_eq!(nothing, Demand::default());
        assert!(nothing.is_key_only() && !nothing.keys);
    }

    #[test]
    fn who_wants_all_decides_for_all() {
        let all = Demand { readers: 3, keys: true, every: 1, max_fps: None };
        assert_eq!(of(&[(5, 10, false), (0, 0, false), (0, 0, true)]), all);
    }

    #[test]
    fn the_fastest_and_the_common_part_are_enough() {
        let seen = of(&[(5, 1, false), (2, 0, false)]);
        assert_eq!(seen, Demand { readers: 2, keys: false, every: 1, max_fps: Some(5) });
        // Each second one of these is the first reader's: it gets its five a second of ten.
        let seen = of(&[(5, 10, false), (2, 15, false)]);
        assert_eq!(seen, Demand { readers: 2, keys: false, every: 5, max_fps: Some(10) });
        let seen = of(&[(5, 10, false)]);
        assert_eq!(seen, Demand { readers: 1, keys: false, every: 10, max_fps: Some(5) });
    }

    #[test]
    fn readers_of_key_pictures_want_nothing_else() {
        let seen = of(&[(7, 3, true), (0, 0, true)]);
        assert_eq!(seen, Demand { readers: 2, keys: true, every: 0, max_fps: None });
        assert!(seen.is_key_only());
    }

    proptest! {
        #[test]
        fn nobody_is_left_without_what_they_want(
            wishes in prop::collection::vec((0u32..30, 0u32..50, any::<bool>()), 1..6),
        ) {
            let demand = of(&wishes);
            for (max_fps, every, key_only) in wishes {
                if key_only {
                    prop_assert!(demand.keys);
                    continue;
                }
                prop_assert!(every.max(1).is_multiple_of(demand.every));
                // Of what is made so fast it takes one in so many.
                let share = every.max(1) / demand.every;
                prop_assert!(demand.max_fps.is_none_or(|fps| max_fps > 0 && fps >= max_fps * share));
            }
        }
    }
}
