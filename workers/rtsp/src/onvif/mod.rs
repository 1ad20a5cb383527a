//! The basics of an ONVIF device, so that recorders and managers find the cameras that are served here by
//! themselves (`docs/rtsp.md`, ONVIF): device and media service (SOAP 1.2 over HTTP), and WS-Discovery.
//!
//! | file | what |
//! |---|---|
//! | `soap.rs` | envelopes: what is asked, answers, faults (pure) |
//! | `token.rs` | WS-UsernameToken: who asks (pure) |
//! | `device.rs` | the answer to each operation (pure) |
//! | `probe.rs` | WS-Discovery's messages (pure) |
//! | `http.rs` | connections |
//! | `discovery.rs` | the multicast socket |
//! | `reception.rs` | both, while the server's door is open |
//!
//! ```text
//!   client ── POST ──> http ── soap ── token or digest (access) ── device ──> 200, or a fault
//!   client ── Probe (UDP) ──> discovery ── probe ──> ProbeMatches
//! ```
//! Every camera is a profile of the same name; a profile is told to who may play it. Nothing can be changed.

pub mod device;
pub mod discovery;
pub mod http;
pub mod probe;
pub mod reception;
pub mod soap;
pub mod token;
