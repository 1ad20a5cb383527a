//! Deaths: the single reaper, and the orphans a dead worker leaves.

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use protocol::admin::WorkerState;
use protocol::control::ItemId;
use protocol::exit::ExitReason;
use protocol::health::Health;
use protocol::name::RingName;
use protocol::time::{MonoNs, UtcNs};
use shmring::clock;

use super::Supervisor;
use crate::cgroup;
use crate::dossier::{self, Death, Progress, RingHead, item_in_hand};
use crate::launch::TMPDIR;
use crate::lifecycle::Input;
use crate::limits;
use crate::orphans;
use crate::process::Process;
use crate::workers::WorkerId;

impl Supervisor {
    pub(super) fn reap(&mut self, now: MonoNs) {
        self.child.drain();
        self.reserve.lend();
        let mut any = false;
        let mut deaths = Vec::new();
        while let Some((pid, reason)) = next_dead() {
            any = true;
            if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.tries(pid)) {
                self.trial_ended(now, &reason);
                continue;
            }
            let of = |process: &Option<Process>| {
                process.as_ref().is_some_and(|process| process.pid == pid)
            };
            let whose = self.workers.iter().find(|(_, worker)| of(&worker.process));
            if self.hooks.is_pid(pid) {
                self.hook_reaped(pid, &reason);
            } else if let Some((at, _)) = whose {
                deaths.push((at, reason));
            }
        }
        let pairs: Vec<Option<u64>> = deaths.iter().map(|(at, _)| self.pair_of(*at)).collect();
        for (at, reason) in &mut deaths {
            self.bury(*at, now, reason);
        }
        // Before any restart: an orphan may still hold what its successor needs.
        if any {
            self.end_orphans();
        }
        for ((at, reason), pair) in deaths.into_iter().zip(pairs) {
            self.tell(at, now, Input::Died(reason));
            self.part_from(at, now, pair);
        }
    }

    pub(super) fn bury(&mut self, at: WorkerId, now: MonoNs, reason: &mut ExitReason) {
        let Some(process) = self.workers[at].process.take() else { return };
        let (pid, health, limit) = (process.pid, process.health(), process.limits.limits.memory);
        let killed = self.was_killed_for_memory(&process, reason);
        if let (Some(groups), Some(group)) = (&mut self.spawner.cgroups, &process.cgroup) {
            groups.end(group);
        }
        self.forget_heir(&process);
        let last_words = process.bury(&mut self.poller);
        self.add_lines(at, last_words);
        let lines = self.workers[at].log.last(dossier::LINES, UtcNs(0), "");
        let texts = lines.iter().map(|line| line.text.as_str());
        if let Some(known) = limits::out_of_memory(reason, limit, killed, texts) {
            *reason = known;
        }
        let worker = &self.spec(at).name;
        if self.workers[at].life.state() == WorkerState::Stopping {
            tracing::debug!(%worker, pid, %reason, "ended");
        } else {
            tracing::warn!(%worker, pid, %reason, "died");
        }
        self.remember(at, now, reason, Some(pid), health);
    }

    /// By its own group's count, or the machine's: the latter tells of any process of the machine, so
    /// it is only asked at a death that looks like it.
    fn was_killed_for_memory(&mut self, process: &Process, reason: &ExitReason) -> bool {
        if !matches!(reason, ExitReason::Signal { number: 9, .. }) {
            return false;
        }
        let before = std::mem::replace(&mut self.oom_kills, cgroup::oom_kills_of_machine());
        let own = process.cgroup.as_ref().is_some_and(|group| group.was_out_of_memory());
        own || self.oom_kills > before
    }

    /// Keeps what explains a death, before its successor changes the rings.
    pub(super) fn remember(
        &mut self,
        at: WorkerId,
        now: MonoNs,
        reason: &ExitReason,
        pid: Option<u32>,
        health: Option<Health>,
    ) {
        let drilled = std::mem::take(&mut self.workers[at].drilled);
        let (spec, worker) = (self.spec(at), &self.workers[at]);
        let (reason, asked_for) = worker.life.judged(reason);
        let asked_for = asked_for || drilled;
        let item = health.as_ref().and_then(item_in_hand);
        let rings = spec.inputs.iter().chain(spec.outputs());
        let lines = worker.log.last(dossier::LINES, UtcNs(0), "");
        let death = Death {
            time_utc_ns: clock::now().utc,
            pid,
            uptime_s: now.saturating_since(worker.life.started()).as_secs_f64(),
            reason: reason.to_string(),
            asked_for,
            item,
            progress: health.as_ref().map(Progress::of),
            lines: lines.iter().map(|line| dossier::shortened(&line.text)).collect(),
            rings: dossier::looked_at(rings).map(|ring| self.ring_head(ring)).collect(),
        };
        self.workers[at].dossier.add(death);
        if !asked_for {
            self.workers[at].died = true;
            self.hook_death(at, &reason);
            self.suspect(at, &reason, item);
        }
    }

    /// An item that has killed twice is not given to the next process; what it cost so far is no fault
    /// of the worker's.
    fn suspect(&mut self, at: WorkerId, reason: &ExitReason, item: Option<ItemId>) {
        let worker = &mut self.workers[at];
        if let Some(ItemId { epoch, sequence }) = worker.poison.on_death(reason, item) {
            worker.life.forgive();
            let worker = &self.spec(at).name;
            tracing::warn!(%worker, epoch, sequence, "died twice on this item: passed over");
        }
    }

    pub(crate) fn ring_head(&self, ring: &RingName) -> RingHead {
        RingHead::of(self.outlook().status(ring))
    }

    /// Ends children that nobody started: what dead workers left behind. An orphan of a worker that
    /// lives (a daemon it started) stays: it carries that worker's group or TMPDIR.
    fn end_orphans(&self) {
        let children = orphans::children().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot list children: orphans of dead workers may live on");
            Vec::new()
        });
        let processes = || self.workers.values().filter_map(|worker| worker.process.as_ref());
        for child in children {
            let is_tried = self.upgrade.as_ref().is_some_and(|upgrade| upgrade.tries(child));
            let is_known = is_tried || self.hooks.is_pid(child);
            if is_known || processes().any(|process| process.pid == child) {
                continue;
            }
            let group = orphans::group_of(child);
            let tmp = orphans::variable_of(child, TMPDIR);
            let adopted = |process: &Process| {
                group == Some(process.pid) || tmp.as_deref() == process.tmp.to_str()
            };
            if !processes().any(adopted) && !self.hooks.is_group(group) {
                orphans::kill_child(child);
            }
        }
    }
}

/// Takes one dead child, if there is one.
fn next_dead() -> Option<(u32, ExitReason)> {
    loop {
        let status = match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Err(Errno::EINTR) => continue,
            Err(_) | Ok(WaitStatus::StillAlive) => return None,
            Ok(status) => status,
        };
        let reason = match status {
            WaitStatus::Exited(_, code) => ExitReason::Code(code),
            WaitStatus::Signaled(_, signal, core) => {
                ExitReason::Signal { number: signal as i32, core }
            }
            _ => continue,
        };
        let pid = status.pid().and_then(|pid| u32::try_from(pid.as_raw()).ok());
        if let Some(pid) = pid {
            return Some((pid, reason));
        }
    }
}
