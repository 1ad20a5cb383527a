//! Lives in virtual time.

use super::*;
use protocol::admin::WorkerState;
use protocol::config::RestartConfig;

const GRACE: Duration = Duration::from_secs(2);
const START: Duration = Duration::from_secs(5);
const KILLED: ExitReason = ExitReason::Signal { number: 9, core: false };

fn at(ms: u64) -> MonoNs {
    MonoNs(ms * 1_000_000)
}

fn life(ready_at_start: bool, may_finish: bool) -> Lifecycle {
    let speaks_at_start = !ready_at_start;
    let traits =
        Traits { start_deadline: START, grace: GRACE, speaks_at_start, ready_at_start, may_finish };
    Lifecycle::new(traits, Policy::new(RestartConfig::default(), 1))
}

/// A built-in worker that became ready 100 ms after its start at 0.
fn up() -> Lifecycle {
    let mut life = life(false, false);
    assert_eq!(life.on(at(0), Input::Start), Some(Action::Spawn));
    assert_eq!(life.on(at(0), Input::Spawned), None);
    assert_eq!(life.on(at(100), Input::Ready), None);
    life
}

#[test]
fn a_worker_is_ready_when_it_says_so_and_running_when_data_flows() {
    let mut life = life(false, false);
    life.on(at(0), Input::Start);
    life.on(at(0), Input::Spawned);
    assert_eq!(life.state(), WorkerState::Starting);
    life.on(at(10), Input::Ready);
    assert_eq!(life.state(), WorkerState::Ready);
    life.on(at(20), Input::Condition(Condition::Flowing, String::new()));
    assert_eq!(life.state(), WorkerState::Running);
    life.on(at(30), Input::Condition(Condition::Degraded, "camera refuses".into()));
    assert_eq!(life.state(), WorkerState::Degraded);
    assert_eq!(life.why(at(30)), "camera refuses");
}

#[test]
fn the_first_death_restarts_at_once_and_the_second_waits() {
    let mut life = up();
    assert_eq!(life.on(at(1000), Input::Died(KILLED)), Some(Action::Spawn));
    life.on(at(1000), Input::Spawned);
    life.on(at(1060), Input::Ready);
    assert_eq!(life.restarts(), 1);
    assert_eq!(life.restart_time(), Some(Duration::from_millis(60)));
    assert_eq!(life.on(at(1100), Input::Died(KILLED)), None);
    assert_eq!(life.state(), WorkerState::Backoff);
    let due = life.deadline().unwrap();
    assert!(due >= at(1300) && due <= at(1400), "{due:?}");
    assert_eq!(life.on(at(1200), Input::Time), None);
    assert_eq!(life.on(due, Input::Time), Some(Action::Spawn));
}

#[test]
fn the_fifth_death_holds_until_a_person_asks() {
    let mut life = up();
    let mut now = 1000;
    for _ in 0..4 {
        let action = life.on(at(now), Input::Died(KILLED));
        if action.is_none() {
            let due = life.deadline().unwrap();
            assert_eq!(life.on(due, Input::Time), Some(Action::Spawn));
        }
        life.on(at(now), Input::Spawned);
        now += 5000;
    }
    assert_eq!(life.on(at(now), Input::Died(KILLED)), None);
    assert_eq!(life.state(), WorkerState::Held);
    assert_eq!(life.on(at(now + 60_000), Input::Time), None);
    assert_eq!(life.on(at(now + 60_000), Input::Restart), Some(Action::Spawn));
    assert_eq!(life.state(), WorkerState::Starting);
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_killed_and_started_again() {
    let mut life = life(false, false);
    life.on(at(0), Input::Start);
    life.on(at(0), Input::Spawned);
    assert_eq!(life.on(at(4999), Input::Time), None);
    assert_eq!(life.on(at(5000), Input::Time), Some(Action::Kill));
    assert_eq!(life.on(at(5010), Input::Died(KILLED)), Some(Action::Spawn));
    assert_eq!(life.last_exit(), Some(&ExitReason::StartTimeout));
}

#[test]
fn a_gap_of_the_supervisor_gives_a_starting_worker_its_time_anew() {
    let mut life = life(false, false);
    life.on(at(0), Input::Start);
    life.on(at(0), Input::Spawned);
    life.forgive_gap(at(60_000));
    assert_eq!(life.on(at(64_999), Input::Time), None);
    assert_eq!(life.on(at(65_000), Input::Time), Some(Action::Kill));
}

#[test]
fn a_fault_kills_and_is_the_reason_that_is_told() {
    let mut life = up();
    let fault = ExitReason::Protocol("garbage".into());
    assert_eq!(life.on(at(200), Input::Fault(fault.clone())), Some(Action::Kill));
    assert_eq!(life.on(at(201), Input::Fault(ExitReason::NoHeartbeat)), None);
    assert_eq!(life.on(at(210), Input::Died(KILLED)), Some(Action::Spawn));
    assert_eq!(life.last_exit(), Some(&fault));
}

#[test]
fn a_stop_asks_then_terms_then_kills() {
    let mut life = up();
    let ask = Action::Ask { grace: GRACE };
    assert_eq!(life.on(at(1000), Input::Stop), Some(ask));
    assert_eq!(life.on(at(2999), Input::Time), None);
    assert_eq!(life.on(at(3000), Input::Time), Some(Action::Term));
    assert_eq!(life.on(at(3500), Input::Time), Some(Action::Kill));
    assert_eq!(life.on(at(4500), Input::Time), Some(Action::Kill));
    assert_eq!(life.on(at(4600), Input::Died(KILLED)), None);
    assert_eq!(life.state(), WorkerState::Stopped);
}

#[test]
fn a_stop_of_a_command_that_never_spoke_begins_with_sigterm() {
    let mut life = life(true, false);
    life.on(at(0), Input::Start);
    life.on(at(0), Input::Spawned);
    assert_eq!(life.state(), WorkerState::Running);
    assert_eq!(life.on(at(100), Input::Stop), Some(Action::Term));
    assert_eq!(life.on(at(2099), Input::Time), None);
    assert_eq!(life.on(at(2100), Input::Time), Some(Action::Kill));
}

#[test]
fn a_command_that_greets_is_ready_when_it_says_so() {
    let mut life = life(true, false);
    life.on(at(0), Input::Start);
    life.on(at(0), Input::Spawned);
    life.on(at(10), Input::Greeted);
    assert_eq!(life.state(), WorkerState::Starting);
    life.on(at(500), Input::Ready);
    assert_eq!(life.state(), WorkerState::Ready);
    let ask = Action::Ask { grace: GRACE };
    assert_eq!(life.on(at(600), Input::Stop), Some(ask));
}

#[test]
fn a_command_that_has_closed_its_link_is_not_asked_over_it() {
    let greeted = || {
        let mut life = life(true, false);
        life.on(at(0), Input::Start);
        life.on(at(0), Input::Spawned);
        life.on(at(10), Input::Greeted);
        life.on(at(20), Input::Ready);
        life
    };
    let mut deaf = greeted();
    assert_eq!(deaf.on(at(30), Input::Deaf), None);
    assert_eq!(deaf.state(), WorkerState::Ready);
    assert_eq!(deaf.on(at(100), Input::Stop), Some(Action::Term));
    assert_eq!(deaf.on(at(2099), Input::Time), None);
    assert_eq!(deaf.on(at(2100), Input::Time), Some(Action::Kill));
    let mut leaving = greeted();
    assert_eq!(leaving.on(at(100), Input::Stop), Some(Action::Ask { grace: GRACE }));
    leaving.on(at(110), Input::Deaf);
    assert_eq!(leaving.on(at(2100), Input::Time), Some(Action::Term));
    assert_eq!(leaving.on(at(2600), Input::Time), Some(Action::Kill), "it has had its grace");
}

#[test]
fn a_restart_by_a_person_stops_it_first_and_forgives_its_past() {
    let mut life = up();
    for ms in [200, 300] {
        life.on(at(ms), Input::Died(KILLED));
        if let Some(due) = life.deadline() {
            life.on(due, Input::Time);
        }
        life.on(at(ms), Input::Spawned);
        life.on(at(ms), Input::Ready);
    }
    let ask = Action::Ask { grace: GRACE };
    assert_eq!(life.on(at(1000), Input::Restart), Some(ask));
    let clean = Input::Died(ExitReason::Code(0));
    assert_eq!(life.on(at(1100), clean), Some(Action::Spawn));
    assert_eq!(life.last_exit(), Some(&ExitReason::Operator));
    life.on(at(1100), Input::Spawned);
    life.on(at(1200), Input::Ready);
    assert_eq!(life.on(at(1300), Input::Died(KILLED)), Some(Action::Spawn));
}

#[test]
fn one_that_follows_its_other_side_starts_at_once_and_its_own_deaths_still_count() {
    let mut life = up();
    assert_eq!(life.on(at(1000), Input::Died(KILLED)), Some(Action::Spawn));
    life.on(at(1000), Input::Spawned);
    life.on(at(1100), Input::Ready);
    assert_eq!(life.on(at(1200), Input::Follow), Some(Action::Ask { grace: GRACE }));
    assert_eq!(life.on(at(1200), Input::Follow), None, "it is on its way already");
    assert_eq!(life.on(at(1300), Input::Died(ExitReason::Code(1))), Some(Action::Spawn));
    assert_eq!(life.last_exit(), Some(&ExitReason::OtherSide));
    life.on(at(1300), Input::Spawned);
    life.on(at(1400), Input::Ready);
    assert_eq!(life.on(at(1500), Input::Died(KILLED)), None);
    assert_eq!(life.state(), WorkerState::Backoff);
}

#[test]
fn a_finite_input_that_ended_is_not_started_again_but_a_service_is() {
    let mut finite = life(false, true);
    finite.on(at(0), Input::Start);
    finite.on(at(0), Input::Spawned);
    finite.on(at(10), Input::Ready);
    assert_eq!(finite.on(at(20), Input::Died(ExitReason::Code(0))), None);
    assert_eq!(finite.state(), WorkerState::Stopped);
    let mut service = up();
    let ended = Input::Died(ExitReason::Code(0));
    assert_eq!(service.on(at(200), ended), Some(Action::Spawn));
}

#[test]
fn a_program_that_cannot_be_started_is_held_like_any_other() {
    let mut life = life(false, false);
    let mut action = life.on(at(0), Input::Start);
    let mut tries = 0;
    let mut now = at(0);
    while life.state() != WorkerState::Held {
        assert!(tries < 5, "still trying");
        if action.take().is_none() {
            now = life.deadline().unwrap();
            assert_eq!(life.on(now, Input::Time), Some(Action::Spawn));
        }
        tries += 1;
        action = life.on(now, Input::SpawnFailed("no such file".into()));
    }
    assert_eq!(tries, 5);
}

#[test]
fn stopping_now_kills_whatever_it_is_doing() {
    let mut life = up();
    assert_eq!(life.on(at(200), Input::KillNow), Some(Action::Kill));
    let mut asked = up();
    asked.on(at(200), Input::Stop);
    assert_eq!(asked.on(at(300), Input::KillNow), Some(Action::Kill));
    assert_eq!(asked.on(at(310), Input::Died(KILLED)), None);
    assert_eq!(asked.state(), WorkerState::Stopped);
}

#[test]
fn a_worker_without_room_to_start_is_tried_until_there_is_and_never_held() {
    let mut life = up();
    assert_eq!(life.on(at(200), Input::Died(KILLED)), Some(Action::Spawn));
    for _ in 0..20 {
        assert_eq!(life.on(at(200), Input::NoRoom("too many open files".into())), None);
        assert_eq!(life.state(), WorkerState::Backoff);
        let now = life.deadline().unwrap();
        assert!(life.why(now).starts_with("cannot start: too many open files"));
        assert_eq!(life.on(now, Input::Time), Some(Action::Spawn));
    }
    life.on(at(300_000), Input::Spawned);
    life.on(at(300_100), Input::Ready);
    assert_eq!((life.state(), life.restarts()), (WorkerState::Ready, 1));
}
