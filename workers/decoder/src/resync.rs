//! Which packets are worth decoding: none between a loss and the next key frame. Pure.
//!
//! ```text
//!   Waiting ──key frame──> Decoding
//!      ^                      │ overrun, new epoch, discontinuity, decode error
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

    pub(crate) fn on_packet(&mut self, key: bool, discontinuity: bool) -> Verdict {
        if discontinuity {
            self.lost();
        }
        match self {
            Self::Decoding => Verdict::Continue,
            Self::Waiting if key => {
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
        assert_eq!(resync.on_packet(false, false), Verdict::Skip);
        assert_eq!(resync.on_packet(true, false), Verdict::Start);
        assert_eq!(resync.on_packet(false, false), Verdict::Continue);
        assert_eq!(resync.on_packet(true, false), Verdict::Continue);
        resync.lost();
        assert_eq!(resync.on_packet(false, false), Verdict::Skip);
        assert_eq!(resync.on_packet(true, false), Verdict::Start);
    }

    #[test]
    fn a_marked_joint_is_a_loss_even_without_one() {
        let mut resync = Resync::Decoding;
        assert_eq!(resync.on_packet(false, true), Verdict::Skip);
        assert_eq!(resync.on_packet(true, true), Verdict::Start);
    }
}
