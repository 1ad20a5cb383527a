//! The framevisor command: reads a topology, starts its workers, keeps them alive, ends them.
//!
//! What belongs here: the life of processes, the project's names and sockets, the control socket.
//! What does not: media, network input of any kind, unsafe code (that is `spawn`).
#![forbid(unsafe_code)]

pub mod topology;
