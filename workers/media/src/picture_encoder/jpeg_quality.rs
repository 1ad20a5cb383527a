//! The quality at which JPEG pictures keep to a bit rate. Pure.

/// FFmpeg's FF_QP2LAMBDA: one step of the quantiser.
const LAMBDA: i32 = 118;
/// The finest and the coarsest quantiser of FFmpeg's encoder that still look like pictures.
const FINEST: i32 = 2;
const COARSEST: i32 = 31;

/// Follows the sizes of the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JpegQuality {
    quantiser: i32,
    /// Bytes, smoothed over some pictures; 0 before the first.
    mean: u64,
    changed: bool,
}

impl Default for JpegQuality {
    fn default() -> Self {
        Self { quantiser: 5, mean: 0, changed: false }
    }
}

impl JpegQuality {
    pub(super) fn lambda(self) -> i32 {
        self.quantiser * LAMBDA
    }

    /// Whether it is another since it was asked last.
    pub(super) fn has_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// A picture had so many bytes, and `wanted` is what one may have.
    pub(super) fn took(&mut self, bytes: usize, wanted: u64) {
        let bytes = bytes as u64;
        self.mean = if self.mean == 0 { bytes } else { (3 * self.mean + bytes) / 4 };
        // Less than a step makes of difference is no reason to take one.
        let step = match self.mean {
            mean if mean > wanted + wanted / 8 => 1,
            mean if mean < wanted - wanted / 4 => -1,
            _ => 0,
        };
        let next = (self.quantiser + step).clamp(FINEST, COARSEST);
        if next != self.quantiser {
            (self.quantiser, self.mean, self.changed) = (next, 0, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a picture takes: about so many bytes divided by its quantiser.
    fn settled(detail: u64, wanted: u64) -> JpegQuality {
        let mut quality = JpegQuality::default();
        for _ in 0..200 {
            let bytes = detail / u64::try_from(quality.quantiser).unwrap();
            quality.took(usize::try_from(bytes).unwrap(), wanted);
        }
        quality
    }

    #[test]
    fn pictures_come_to_what_they_may_take_and_stay_there() {
        let settled = settled(1_000_000, 100_000);
        assert!((9..=12).contains(&settled.quantiser), "{settled:?}");
        let mut same = settled;
        same.changed = false;
        for _ in 0..50 {
            same.took(usize::try_from(1_000_000 / settled.quantiser).unwrap(), 100_000);
        }
        assert_eq!(same.quantiser, settled.quantiser);
    }

    #[test]
    fn there_is_a_finest_and_a_coarsest() {
        assert_eq!(settled(1_000, 1_000_000).quantiser, FINEST);
        assert_eq!(settled(100_000_000, 1_000).quantiser, COARSEST);
    }
}
