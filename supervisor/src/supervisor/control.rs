//! What workers say over their control links, and what they are told.

use std::time::Duration;

use protocol::admin::WorkerState;
use protocol::codec::FRAME_MAX_BYTES;
use protocol::control::{CONTROL_VERSION, Query, RingContract, StartUp, ToWorker, WorkersPage};
use protocol::exit::ExitReason;
use protocol::time::{MonoNs, UtcNs};

use super::{Supervisor, current};
use crate::floors;
use crate::lifecycle::Input;
use crate::link::{Heard, Received, Violation};
use crate::logs::LogBook;
use crate::process::ProcessId;
use crate::rings;
use crate::topology::{Launch, RingSpec};
use crate::worker::Row;
use crate::workers::WorkerId;

/// Messages of one worker in one turn of the loop; the rest wait until others had theirs.
const MESSAGES_A_TURN: usize = 32;
/// Leaves room for the frame around it, in either language.
const ANSWER_MAX_BYTES: usize = FRAME_MAX_BYTES - 256;

impl Supervisor {
    pub(super) fn hear(&mut self, now: MonoNs, id: ProcessId) {
        for _ in 0..MESSAGES_A_TURN {
            let Some(process) = current(&mut self.workers, id) else { return };
            process.link.flush();
            let heard = match process.link.receive(now) {
                Ok(Received::Nothing) => break,
                Ok(Received::Closed) => return self.link_closed(now, id),
                Ok(Received::Message(heard)) => self.understand(now, id, heard),
                Err(violation) => Err(violation),
            };
            if let Err(violation) = heard {
                return self.cut_off(now, id, &violation);
            }
        }
        if let Some(process) = current(&mut self.workers, id) {
            process.update_interest(&self.poller);
        }
    }

    fn understand(&mut self, now: MonoNs, id: ProcessId, heard: Heard) -> Result<(), Violation> {
        let input = match heard {
            Heard::Answered | Heard::Stopped => return Ok(()),
            Heard::Ask { id: question, query } => {
                return self.answer_worker(now, id, question, query);
            }
            Heard::HandOver(server) => return self.hand_over(id, server),
            Heard::Yielded(to) => {
                self.yielded(id, to);
                return Ok(());
            }
            Heard::Happened(told) => {
                self.happened(id.worker, told);
                return Ok(());
            }
            Heard::Condition(condition, why) => Input::Condition(condition, why),
            Heard::Reply { to, result } => {
                self.replied(id, to, result);
                return Ok(());
            }
            Heard::Greeted => Input::Greeted,
            Heard::Ready => {
                if let Some(process) = current(&mut self.workers, id) {
                    process.beat.restart(now);
                }
                Input::Ready
            }
        };
        self.tell(id.worker, now, input);
        Ok(())
    }

    fn answer_worker(
        &mut self,
        now: MonoNs,
        id: ProcessId,
        question: u64,
        query: Query,
    ) -> Result<(), Violation> {
        let body = match query {
            Query::Workers => fitting(self.rows(now)),
            Query::WorkersFrom(first) => page(&self.rows(now), first),
            Query::Logs { worker, lines } => {
                let at = self.workers.named(&worker);
                let log = at.and_then(|at| self.workers.get(at)).map(|worker| &worker.log);
                newest(log, lines)
            }
        };
        match current(&mut self.workers, id) {
            Some(process) => process.link.send(&ToWorker::Answer { id: question, body }),
            None => Ok(()),
        }
    }

    fn hand_over(&mut self, id: ProcessId, server: String) -> Result<(), Violation> {
        let Some(start_up) = self.start_up(id.worker) else { return Ok(()) };
        let Some(process) = current(&mut self.workers, id) else { return Ok(()) };
        self.reserve.lend();
        self.hand_overs.start(id, server, &process.tmp, start_up)
    }

    /// `None` for a `run:` worker, which cannot ask for one.
    fn start_up(&mut self, at: WorkerId) -> Option<StartUp> {
        let topology = &self.spawner.topology;
        let worker = self.workers.get_mut(at)?;
        let spec = &worker.spec;
        let Launch::Use(config) = &spec.launch else { return None };
        worker.laid = worker.writes.first().map(RingSpec::places);
        let more = worker.writes.iter().skip(1);
        worker.more_laid = more.map(|ring| (ring.name.clone(), ring.places())).collect();
        let contract = |ring| RingContract {
            group: self.spawner.group,
            ..rings::contract(&self.spawner.outlook, ring, &mut self.floors)
        };
        let mut outputs = worker.writes.iter().map(contract);
        let (output, more_outputs) = (outputs.next(), outputs.collect());
        Some(StartUp {
            version: CONTROL_VERSION,
            project: topology.project.clone(),
            worker: spec.name.clone(),
            config: config.clone(),
            inputs: spec.inputs.clone(),
            output,
            more_outputs,
            runtime_dir: self.spawner.place.path().to_owned(),
            poison: worker.poison.passed_over(),
            stands_by: worker.stands_by,
            state_dir: floors::state_folder(&topology.project),
        })
    }

    /// A failed hand-over is the start deadline's to judge: mostly the worker died meanwhile, and
    /// its own exit tells more.
    pub(super) fn hand_overs_ended(&mut self) {
        for outcome in self.hand_overs.ended() {
            let worker = self.workers.get(outcome.process.worker).map(|worker| &worker.spec.name);
            if let (Err(error), Some(worker)) = (outcome.result, worker) {
                tracing::debug!(%worker, %error, "hand-over failed");
            }
        }
    }

    pub(super) fn ask_to_stop(&mut self, at: WorkerId, now: MonoNs, grace: Duration) {
        let Some(process) = &mut self.workers[at].process else { return };
        let grace_ms = u32::try_from(grace.as_millis()).unwrap_or(u32::MAX);
        let (id, sent) = (process.id, process.link.send(&ToWorker::Stop { grace_ms }));
        process.update_interest(&self.poller);
        if let Err(violation) = sent {
            self.cut_off(now, id, &violation);
        }
    }

    /// Its process ends now, or has closed what it must not close.
    fn link_closed(&mut self, now: MonoNs, id: ProcessId) {
        let Some(worker) = self.workers.get_mut(id.worker) else { return };
        let built_in = matches!(worker.spec.launch, Launch::Use(_));
        let Some(process) = current(&mut self.workers, id) else { return };
        process.forget_link(&mut self.poller);
        if built_in {
            process.closed = Some(now);
        } else {
            self.tell(id.worker, now, Input::Deaf);
        }
    }

    pub(super) fn cut_off(&mut self, now: MonoNs, id: ProcessId, violation: &Violation) {
        let Some(process) = current(&mut self.workers, id) else { return };
        process.forget_link(&mut self.poller);
        self.tell(id.worker, now, Input::Fault(ExitReason::Protocol(violation.to_string())));
    }
}

/// The rows as JSON, as many as one datagram takes: some 250. Of more workers than that, those that
/// run well are left out first, the last of them before the others.
fn fitting(mut rows: Vec<Row>) -> String {
    loop {
        let body = serde_json::json!(rows).to_string();
        if body.len() <= ANSWER_MAX_BYTES {
            return body;
        }
        // Rows differ in length, so this may take a second turn; it ends as it always shortens.
        let kept = rows.len() * ANSWER_MAX_BYTES / body.len();
        rows = most_telling(rows, kept);
    }
}

/// The newest lines as JSON, as many as one datagram takes.
fn newest(log: Option<&LogBook>, lines: u32) -> String {
    let Some(log) = log else { return "null".to_owned() };
    let lines = log.last(usize::try_from(lines).unwrap_or(usize::MAX), UtcNs(0), "");
    let mut oldest = 0;
    loop {
        let body = serde_json::json!(lines[oldest..]).to_string();
        if body.len() <= ANSWER_MAX_BYTES || oldest == lines.len() {
            return body;
        }
        // Lines differ in length, so this may take some turns; it ends as it always shortens.
        let kept = (lines.len() - oldest) * ANSWER_MAX_BYTES / body.len();
        oldest = (lines.len() - kept).max(oldest + 1);
    }
}

/// As many rows as one datagram takes, from the `first` on.
fn page(rows: &[Row], first: u32) -> String {
    let rest = usize::try_from(first).ok().and_then(|first| rows.get(first..)).unwrap_or_default();
    let mut count = rest.len();
    loop {
        let behind = u32::try_from(count).ok().filter(|_| count < rest.len());
        let next = behind.and_then(|count| first.checked_add(count));
        let page = WorkersPage { workers: rest[..count].iter().collect(), next };
        // Our own types always have a JSON form.
        let body = serde_json::to_string(&page).unwrap_or_default();
        if body.len() <= ANSWER_MAX_BYTES || count <= 1 {
            return body;
        }
        // Rows differ in length, so this may take a second turn; it ends as it always shortens.
        count = (count * ANSWER_MAX_BYTES / body.len()).max(1);
    }
}

/// The `count` rows that tell most, in their old order.
fn most_telling(rows: Vec<Row>, count: usize) -> Vec<Row> {
    let is_well = |row: &Row| matches!(row.status.state, WorkerState::Ready | WorkerState::Running);
    let mut numbered: Vec<(usize, Row)> = rows.into_iter().enumerate().collect();
    numbered.sort_by_key(|(at, row)| (is_well(row), *at));
    numbered.truncate(count);
    numbered.sort_by_key(|(at, _)| *at);
    numbered.into_iter().map(|(_, row)| row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{LogLine, Stream};
    use protocol::admin::WorkerStatus;
    use protocol::codec;

    fn row(at: usize) -> Row {
        let status = WorkerStatus {
            name: format!("w{at}").parse().unwrap(),
            kind: "run".into(),
            pid: Some(1),
            state: WorkerState::Ready,
            why: "x".repeat(at % 300),
            restarts: 0,
            uptime_s: 0.1,
            last_exit: String::new(),
            restart_ms: None,
            health: Default::default(),
        };
        Row { status, listen: Vec::new(), outlives: false, limits: None }
    }

    #[test]
    fn a_list_that_is_too_long_for_a_datagram_is_cut_not_refused() {
        let body = fitting((0..2000).map(row).collect());
        let rows: Vec<WorkerStatus> = serde_json::from_str(&body).unwrap();
        assert!((100..400).contains(&rows.len()), "{} rows", rows.len());
        codec::encode(&ToWorker::Answer { id: 1, body }).unwrap();
    }

    #[test]
    fn page_by_page_a_list_of_any_length_is_whole() {
        let rows: Vec<Row> = (0..2000).map(row).collect();
        let (mut names, mut next, mut pages) = (Vec::new(), Some(0), 0);
        while let Some(first) = next {
            let body = page(&rows, first);
            codec::encode(&ToWorker::Answer { id: 1, body: body.clone() }).unwrap();
            let page: WorkersPage<WorkerStatus> = serde_json::from_str(&body).unwrap();
            names.extend(page.workers.into_iter().map(|row| row.name.to_string()));
            (next, pages) = (page.next, pages + 1);
        }
        assert_eq!(names, (0..2000).map(|at| format!("w{at}")).collect::<Vec<_>>());
        assert!((5..30).contains(&pages), "{pages}");
        assert_eq!(page(&rows, 5000), r#"{"workers":[],"next":null}"#);
    }

    #[test]
    fn of_lines_that_are_too_many_for_a_datagram_the_newest_are_told() {
        let mut log = LogBook::new("w".parse().unwrap());
        for n in 0..500 {
            let text = format!("{n} {}", "x".repeat(400));
            drop(log.add(MonoNs(n), UtcNs(n), Stream::Stderr, text));
        }
        let body = newest(Some(&log), 1000);
        codec::encode(&ToWorker::Answer { id: 1, body: body.clone() }).unwrap();
        let lines: Vec<LogLine> = serde_json::from_str(&body).unwrap();
        assert!((80..160).contains(&lines.len()), "{} lines", lines.len());
        assert!(lines.last().unwrap().text.starts_with("499 "));
        let two: Vec<LogLine> = serde_json::from_str(&newest(Some(&log), 2)).unwrap();
        assert_eq!(two.len(), 2);
        assert_eq!(newest(None, 2), "null");
        assert_eq!(newest(Some(&LogBook::new("w".parse().unwrap())), 2), "[]");
    }

    #[test]
    fn a_list_that_is_cut_keeps_the_workers_in_trouble_in_their_order() {
        let mut rows: Vec<Row> = (0..2000).map(row).collect();
        for at in [1500, 1999] {
            rows[at].status.state = WorkerState::Held;
        }
        let rows: Vec<WorkerStatus> = serde_json::from_str(&fitting(rows)).unwrap();
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert!(names.starts_with(&["w0", "w1"]) && names.ends_with(&["w1500", "w1999"]));
    }
}
