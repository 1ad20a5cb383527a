//! What cannot be read of a file: a hole in the timeline, and no reason to tell nothing of the rest.

use protocol::time::UtcNs;

use crate::error::Error;
use crate::facts::Fragment;
use crate::file::RecordingFile;
use crate::gap::{Gap, GapReason};
use crate::timeline::{Timeline, TimelineFragment, spans};

/// Something that is left out because it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    pub from: UtcNs,
    pub to: UtcNs,
    /// Names the file.
    pub why: String,
}

impl Timeline {
    /// Leaves out what cannot be read of the file that an error is about. `false` when the error is about
    /// something else, or is over.
    pub(crate) fn leave_out(&mut self, error: &Error) -> bool {
        let path = error.damaged();
        let file = path.and_then(|path| self.files.iter().position(|file| file == path));
        let Some(file) = file else { return false };
        let mut open = RecordingFile::open(&self.files[file]).ok();
        let mut is_read = |place: &TimelineFragment| {
            let found = open.as_mut().map(|open| open.fragment(place.fragment.at_bytes));
            place.file != file || found.is_some_and(|found| found.is_ok())
        };
        let mut lost: Vec<Fragment> = Vec::new();
        let mut behind_lost = false;
        for mut place in std::mem::take(&mut self.fragments) {
            // Pictures that refer to what is lost are lost with it.
            let refers = behind_lost && !place.behind_gap && place.fragment.key.is_none();
            if refers || !is_read(&place) {
                lost.push(place.fragment);
                behind_lost = true;
                continue;
            }
            if std::mem::take(&mut behind_lost) {
                self.tear(&mut place);
            }
            self.fragments.push(place);
        }
        self.spans = spans(&self.fragments);
        let from = lost.iter().map(|fragment| fragment.capture).min();
        let to = lost.iter().map(|fragment| fragment.end).max();
        self.unread.extend(from.zip(to).map(|(from, to)| Unread {
            from,
            to,
            why: error.to_string(),
        }));
        !lost.is_empty()
    }

    /// A hole in front of `after`, up to what stands there last.
    fn tear(&mut self, after: &mut TimelineFragment) {
        let (before, first) = (self.fragments.last(), after.fragment.first_id());
        let last = before.map(|before| before.fragment.last_id());
        self.gaps.retain(|gap| gap.after > first || Some(gap.after) <= last);
        after.behind_gap = before.is_some();
        // What came back after a pause is not why this is missing.
        let wanted = Fragment { paused: false, ..after.fragment };
        let gap = before.and_then(|before| Gap::between(&before.fragment, true, &wanted));
        let gap = gap.map(|gap| Gap { reason: GapReason::Damage, ..gap });
        self.gaps.extend(gap.filter(|gap| self.range.touches(gap.from.min(gap.to), gap.to)));
        self.gaps.sort_by_key(|gap| gap.after);
    }
}
