//! The framevisor command as people and machines use it: real processes, real signals. One binary,
//! one file a promise; every wait has a deadline; ports are the system's choice.

mod fake;
mod harness;

mod commands_that_speak;
mod control_socket;
mod hostile_workers_harm_only_themselves;
mod listening_sockets_outlive_workers;
mod nothing_survives_the_supervisor;
mod one_project_runs_once;
mod restarts;
mod stopping_is_ordered_and_bounded;
