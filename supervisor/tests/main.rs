//! The framevisor command as people and machines use it: real processes, real signals. One binary,
//! one file a promise; every wait has a deadline; ports are the system's choice.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "clippy knows test functions, not the helpers of a test program"
)]

mod fake;
mod harness;

mod a_rust_program_controls_a_project;
mod a_service_manager_is_told;
mod changes_without_harm;
mod coming_up_in_order;
mod commands_that_speak;
mod control_socket;
mod credentials_are_never_shown;
mod events_tell_what_happened;
mod faults;
mod first_steps;
mod hooks;
mod hostile_workers_harm_only_themselves;
mod inputs_that_kill;
mod limits_of_workers;
mod listening_sockets_outlive_workers;
mod nothing_survives_the_supervisor;
mod one_project_runs_once;
mod python_client;
mod restarts;
mod rings_are_looked_at_without_a_supervisor;
mod rings_fit_into_shared_memory;
mod rings_of_a_project;
mod shells_and_manual;
mod stop_and_start;
mod stopping_is_ordered_and_bounded;
mod topologies_from_several_places;
mod upgrade;
mod verbs_that_live_in_workers;
mod when_descriptors_run_out;
mod why_explains_deaths;
