//! Messages between a program at the control socket and a worker: passed on, answered later.

use protocol::admin::{Reply, ReplyError};
use protocol::name::WorkerName;
use protocol::time::MonoNs;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Supervisor, current};
use crate::admin::Asker;
use crate::admin::verbs::{Answer, error};
use crate::link::Undelivered;
use crate::process::ProcessId;
use crate::questions::{Question, REPLY_WITHIN};

/// Arguments of `send`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message {
    pub(crate) name: WorkerName,
    /// Any JSON value.
    pub(crate) message: Value,
}

impl Supervisor {
    pub(crate) fn send_message(
        &mut self,
        now: MonoNs,
        asker: Asker,
        args: Message,
    ) -> Result<Answer, ReplyError> {
        let at = self.id_of(&args.name)?;
        let worker = &args.name;
        let Some(process) = &mut self.workers[at].process else {
            let hint = format!("start it with `framevisor start {worker}`");
            return Err(error("reply", format!("{worker} does not run"), &hint));
        };
        let Some(number) = self.questions.ask(now, asker, process.id) else {
            let text = "too many messages wait for a reply".to_owned();
            return Err(error("reply", text, "wait for replies before sending more"));
        };
        let id = process.id;
        let delivered = process.link.deliver(number, &args.message);
        process.update_interest(&self.poller);
        delivered.map(|()| Answer::Later).map_err(|cause| {
            self.questions.answered(number, id);
            undelivered(worker, &cause)
        })
    }

    /// What a worker replied; to a question that nobody asked it, nobody listens.
    pub(super) fn replied(&mut self, id: ProcessId, number: u64, reply: Result<Value, String>) {
        let Some(asker) = self.questions.answered(number, id) else { return };
        let said = reply.map_err(|text| error("reply", text, "these are the worker's own words"));
        self.answer_late(asker, said);
    }

    /// Nobody waits for a worker that is dead or takes too long.
    pub(super) fn give_up_questions(&mut self, now: MonoNs) {
        let workers = &mut self.workers;
        let over = |question: &Question| {
            question.deadline <= now
                || workers.get(question.process.worker).is_none_or(|worker| {
                    worker.process.as_ref().is_none_or(|process| process.id != question.process)
                })
        };
        for question in self.questions.given_up(over) {
            let why = if current(&mut self.workers, question.process).is_some() {
                format!("no reply came within {} s", REPLY_WITHIN.as_secs())
            } else {
                "the worker ended before it replied".to_owned()
            };
            let hint = "a worker replies with verb reply, see docs/protocol.md";
            self.answer_late(question.asker, Err(error("reply", why, hint)));
        }
    }

    pub(crate) fn answer_late(&mut self, asker: Asker, result: Result<Value, ReplyError>) {
        let reply = Reply::of(asker.request, result);
        self.admin.reply(asker.client, &reply, &mut self.poller);
    }
}

fn undelivered(worker: &WorkerName, cause: &Undelivered) -> ReplyError {
    let hint = match cause {
        Undelivered::Silent => {
            "a built-in worker listens when it is ready, another when it has said hello (docs/protocol.md)"
        }
        Undelivered::Deaf => "it may be busy: try again, or restart it",
        Undelivered::TooLong { .. } => "put the data into a file or a ring, and send its name",
    };
    error("reply", format!("{worker} {cause}"), hint)
}
