//! Which blocks count, and how much of each zone moves. Pure.

use protocol::config::zone::Field;

use crate::grid::Shape;

/// The zones of one camera as blocks of one shape.
#[derive(Clone, Debug)]
pub struct Parts {
    counts: Vec<bool>,
    /// Blocks of each zone, of which no two zones need be apart.
    zones: Vec<Vec<usize>>,
    /// How many count, where there are no zones.
    counted: usize,
}

/// What moves of what counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moved {
    /// Share of changed blocks, 0 to 1: of the zone where it is highest, without zones of all that counts.
    pub score: f32,
    /// Numbers of the zones with a share that is motion.
    pub zones: Vec<usize>,
    pub is_motion: bool,
}

impl Parts {
    /// A block counts as its middle does.
    pub fn of(field: &Field, shape: &Shape) -> Self {
        let mut parts = Self {
            counts: vec![false; shape.blocks()],
            zones: vec![Vec::new(); field.names().count()],
            counted: 0,
        };
        for block in 0..shape.blocks() {
            let (x, y) = shape.middle(block);
            let Some(zones) = field.at(x, y) else { continue };
            parts.counts[block] = true;
            parts.counted += 1;
            for zone in zones {
                parts.zones[zone].push(block);
            }
        }
        parts
    }

    /// Clears what does not count.
    pub fn keep_counted(&self, changed: &mut [bool]) {
        for (changed, counts) in changed.iter_mut().zip(&self.counts) {
            *changed &= counts;
        }
    }

    /// `changed` has been through [`Self::keep_counted`]; `least`: the share that is motion.
    pub fn moved(&self, changed: &[bool], least: f32) -> Moved {
        if self.zones.is_empty() {
            let score = share(changed.iter().filter(|changed| **changed).count(), self.counted);
            return Moved { score, zones: Vec::new(), is_motion: score > 0.0 && score >= least };
        }
        let of_zone = |blocks: &Vec<usize>| {
            share(blocks.iter().filter(|block| changed[**block]).count(), blocks.len())
        };
        let scores: Vec<f32> = self.zones.iter().map(of_zone).collect();
        let moves = |zone: &usize| scores[*zone] > 0.0 && scores[*zone] >= least;
        let zones: Vec<usize> = (0..scores.len()).filter(moves).collect();
        let score = scores.iter().copied().fold(0.0, f32::max);
        Moved { score, is_motion: !zones.is_empty(), zones }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a grid has some thousand blocks")]
fn share(part: usize, whole: usize) -> f32 {
    part as f32 / whole.max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::config::zone::Zones;

    /// 8 x 4 blocks.
    fn shape() -> Shape {
        Shape { width: 64, height: 32, block_px: 8, cols: 8, rows: 4 }
    }

    fn zones(all: &[(&str, &str)]) -> Zones {
        all.iter().map(|(name, text)| ((*name).to_owned(), text.parse().unwrap())).collect()
    }

    fn moved(field: &Field, picture: [&str; 4], least: f32) -> Moved {
        let mut changed: Vec<bool> = picture.concat().bytes().map(|byte| byte == b'#').collect();
        let parts = Parts::of(field, &shape());
        parts.keep_counted(&mut changed);
        parts.moved(&changed, least)
    }

    #[test]
    fn without_zones_the_share_is_of_all_that_counts() {
        let picture = ["##......", "........", "........", "........"];
        let all = moved(&Field::default(), picture, 0.05);
        assert_eq!(all, Moved { score: 2.0 / 32.0, zones: Vec::new(), is_motion: true });
        // The left half does not count: nothing is left of it.
        let ignore = zones(&[("tree", "0% 0%, 50% 100%")]);
        let right = Field::of(&Zones::new(), &ignore, "yard");
        assert_eq!(moved(&right, picture, 0.05), Moved::default());
        let picture = ["##...##.", "........", "........", "........"];
        assert_eq!(moved(&right, picture, 0.05).score, 2.0 / 16.0);
    }

    #[test]
    fn a_zone_moves_by_its_own_share() {
        let all = zones(&[("door", "0% 0%, 25% 50%"), ("drive", "0% 50%, 100% 100%")]);
        let field = Field::of(&all, &Zones::new(), "yard");
        // Two of the four blocks of the door, one of the sixteen of the drive, and what is in no zone.
        let picture = ["##..####", "........", "....#...", "........"];
        let told = moved(&field, picture, 0.1);
        assert_eq!(told, Moved { score: 0.5, zones: vec![0], is_motion: true });
        assert_eq!(moved(&field, picture, 0.05).zones, [0, 1]);
        assert!(!moved(&field, ["....####", "....####", "........", "........"], 0.01).is_motion);
    }

    #[test]
    fn a_zone_that_is_smaller_than_a_block_never_moves_and_harms_nothing() {
        let field = Field::of(&zones(&[("dot", "1% 1%, 2% 2%")]), &Zones::new(), "yard");
        assert_eq!(moved(&field, ["########"; 4], 0.01), Moved::default());
    }
}
