//! Everything that can happen to the supervisor.

use crate::admin::ClientId;
use crate::hooks::HookRun;
use crate::process::ProcessId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody connects to the control socket.
    AdminConnection,
    /// A worker that was adopted ended.
    AdoptedEnded(ProcessId),
    /// A child ended: a worker's process, or an orphan that became ours.
    ChildEnded,
    /// A connection of the control socket has something to read, or room to write.
    Client(ClientId),
    /// The guard says something, or is gone.
    GuardLink,
    /// A hand-over thread has finished.
    HandOverEnded,
    /// A hook printed something.
    HookOutput(HookRun),
    /// A worker's control link has something to read, or room to write.
    Link(ProcessId),
    /// A worker printed something.
    Output(ProcessId),
    /// A change of the topology is ready to be made, or refused.
    Prepared,
    /// A command that was asked whether it is up has answered.
    ProbeAnswered,
    /// Somebody wants the project to end.
    StopSignal,
    /// Time for deadlines and beats.
    Tick,
}
