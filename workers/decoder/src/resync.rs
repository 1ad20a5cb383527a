//! Which packets are worth decoding: none between a loss and the next key frame. Pure.
//!
//! ```text
//!   Waiting ──key frame──> Decoding
//!      ^                      │ overrun, new epoch, discontinuity, damage, decode error
//!      └──────────────────────┘
//! ```

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Resync {
    #[default]
    Waiting,
    Decoding,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It continues what was decoded before.
    Continue,
    /// It refers to packets that were lost.
    Skip,
    /// It begins anew: nothing the decoder remembers has to do with it.
    Start,
}

impl Resync {
    /// What came before is not what comes next.
    pub(crate) fn lost(&mut self) {
        *self = Self::Waiting;
    }

    /// `damaged`: parts of the packet, or of what it refers to, are missing.
    pub(crate) fn on_packet(&mut self, key: bool, discontinuity: bool, damaged: bool) -> Verdict {
        if discontinuity || damaged {
            self.lost();
        }
        match self {
            Self::Decoding => Verdict::Continue,
            Self::Waiting if key && !damaged => {
                *self = Self::Decoding;
                Verdict::Start
            }
            Self::Waiting => Verdict::Skip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_starts_at_a_key_frame_and_after_a_loss_at_the_next_one() {
        let mut resync = Resync::default();
        assert_eq!(resync.on_packet(false, false, false), Verdict::Skip);
        assert_eq!(resync.on_packet(true, false, false), Verdict::Start);
        assert_eq!(resync.on_packet(false, false, false), Verdict::Continue);
        assert_eq!(resync.on_packet(true, false, false), Verdict::Continue);
        resync.lost();
        assert_eq!(resync.on_packet(false, false, false), Verdict::Skip);
        assert_eq!(resync.on_packet(true, false, false), Verdict::Start);
    }

    #[test]
    fn what_is_damaged_is_passed_over_with_all_that_refers_to_it() {
        let mut resync = Resync::Decoding;
        assert_eq!(resync.on_packet(false, false, true), Verdict::Skip);
        assert_eq!(resync.on_packet(false, false, false), Verdict::Skip);
        assert_eq!(resync.on_packet(true, false, true), Verdict::Skip);
        assert_eq!(resync.on_packet(true, false, false), Verdict::Start);
    }

    #[test]
    fn a_marked_joint_is_a_loss_even_without_one() {
        let mut resync = Resync::Decoding;
        assert_eq!(resync.on_packet(false, true, false), Verdict::Skip);
        assert_eq!(resync.on_packet(true, true, false), Verdict::Start);
    }
}
