//! What may pass behind a hole: nothing until a picture that needs none before it. Pure.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gate {
    closed: bool,
    /// The next packet that passes does not continue what came before.
    joint: bool,
}

impl Gate {
    /// Something is missing.
    pub(crate) fn close(&mut self) {
        (self.closed, self.joint) = (true, true);
    }

    /// Whether a packet passes; `opens` when nothing before it is needed. Then, whether it is the first
    /// one behind a hole.
    pub(crate) fn pass(&mut self, opens: bool) -> Option<bool> {
        self.closed &= !opens;
        (!self.closed).then(|| std::mem::take(&mut self.joint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_is_followed_by_a_key_frame_which_is_marked() {
        let mut gate = Gate::default();
        assert_eq!([false, true].map(|key| gate.pass(key)), [Some(false); 2]);
        gate.close();
        let passed = [false, false, true, false].map(|key| gate.pass(key));
        assert_eq!(passed, [None, None, Some(true), Some(false)]);
    }
}
