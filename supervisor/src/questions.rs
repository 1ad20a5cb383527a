//! Messages that were given to workers and not replied to yet. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};

use crate::admin::Asker;
use crate::process::ProcessId;

/// A worker that listens looks at its link between two pictures; a slow model takes some seconds.
pub(crate) const REPLY_WITHIN: Duration = Duration::from_secs(10);
/// Of all workers together; a program that asks more waits for replies first.
const OPEN_MAX: usize = 256;

/// One message without a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) asker: Asker,
    pub(crate) process: ProcessId,
    pub(crate) deadline: MonoNs,
}

/// What another supervisor goes on with: each with its number and that of the process it was put to.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Handed {
    open: Vec<(u64, Asker, u64, MonoNs)>,
    asked: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Questions {
    open: BTreeMap<u64, Question>,
    asked: u64,
}

impl Questions {
    /// The number under which the worker will reply; `None` while too many wait.
    pub(crate) fn ask(&mut self, now: MonoNs, asker: Asker, process: ProcessId) -> Option<u64> {
        if self.open.len() >= OPEN_MAX {
            return None;
        }
        self.asked += 1;
        let deadline = now + REPLY_WITHIN;
        self.open.insert(self.asked, Question { asker, process, deadline });
        Some(self.asked)
    }

    /// Who gets this reply. A worker can answer only what it was asked.
    pub(crate) fn answered(&mut self, number: u64, process: ProcessId) -> Option<Asker> {
        self.open.get(&number).filter(|question| question.process == process)?;
        self.open.remove(&number).map(|question| question.asker)
    }

    /// Those that get no reply any more, because `is_over` says so.
    pub(crate) fn given_up(&mut self, is_over: impl Fn(&Question) -> bool) -> Vec<Question> {
        self.open.extract_if(.., |_, question| is_over(question)).map(|(_, q)| q).collect()
    }

    pub(crate) fn hand_on(&self) -> Handed {
        let open = self.open.iter().map(|(number, question)| {
            (*number, question.asker, question.process.number, question.deadline)
        });
        Handed { open: open.collect(), asked: self.asked }
    }

    /// `processes` are all that run; what was put to another gets no reply, and its asker waits in vain
    /// until its own patience ends.
    pub(crate) fn resume(handed: Handed, processes: impl Iterator<Item = ProcessId>) -> Self {
        let processes: Vec<ProcessId> = processes.collect();
        let open = handed.open.into_iter().filter_map(|(number, asker, process, deadline)| {
            let process = *processes.iter().find(|id| id.number == process)?;
            Some((number, Question { asker, process, deadline }))
        });
        Self { open: open.collect(), asked: handed.asked }
    }

    pub(crate) fn next_deadline(&self) -> Option<MonoNs> {
        self.open.values().map(|question| question.deadline).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::ClientId;
    use crate::workers::WorkerId;

    const NOW: MonoNs = MonoNs(5_000_000_000);

    fn asker(request: u64) -> Asker {
        Asker { client: ClientId::default(), request }
    }

    fn process(number: u64) -> ProcessId {
        ProcessId { worker: WorkerId::default(), number }
    }

    #[test]
    fn a_reply_reaches_who_asked_once_and_only_from_who_was_asked() {
        let mut questions = Questions::default();
        let number = questions.ask(NOW, asker(7), process(1)).unwrap();
        assert_eq!(questions.answered(number, process(2)), None);
        assert_eq!(questions.answered(number, process(1)), Some(asker(7)));
        assert_eq!(questions.answered(number, process(1)), None);
    }

    #[test]
    fn what_is_not_replied_to_is_given_up_at_its_deadline_or_with_its_worker() {
        let mut questions = Questions::default();
        questions.ask(NOW, asker(1), process(1)).unwrap();
        let later = NOW + Duration::from_secs(1);
        questions.ask(later, asker(2), process(2)).unwrap();
        assert_eq!(questions.next_deadline(), Some(NOW + REPLY_WITHIN));
        let late = questions.given_up(|question| question.deadline <= NOW + REPLY_WITHIN);
        assert_eq!(late.iter().map(|q| q.asker).collect::<Vec<_>>(), [asker(1)]);
        assert_eq!(questions.given_up(|question| question.process == process(2)).len(), 1);
        assert_eq!(questions.next_deadline(), None);
    }

    #[test]
    fn not_more_than_a_bounded_number_waits() {
        let mut questions = Questions::default();
        let asked = (0..).take_while(|_| questions.ask(NOW, asker(1), process(1)).is_some());
        assert_eq!(asked.count(), OPEN_MAX);
    }
}
