//! The web worker: rings to browsers. One page, its API, and the few changes that a token may make.
//!
//! | file | what |
//! |---|---|
//! | `web.rs` | the worker: binds the parts, drives the sockets a step at a time |
//! | `server.rs` | connections, with their caps and deadlines |
//! | `wire.rs` | a connection, with or without TLS |
//! | `guard/` | which requests are answered at all, who may see and change what, and the headers of every answer |
//! | `route.rs`, `openapi.rs` | the table of all paths, and the description made of it |
//! | `api.rs`, `snap.rs`, `assets.rs` | what a path gives |
//! | `deeds.rs`, `control.rs` | what a token may change, and how the supervisor is asked for it |
//! | `desk.rs` | pictures on demand: who looks, when to attach, one encoding for all |
//! | `stream/` | live video: packets to fragments, over WebSockets and as HLS; who watches |
//! | `playback/` | what was recorded: lists, playlists, segments, cuts |
//! | `webrtc/` | live video by WebRTC: WHEP around the crate `whep` |
//! | `board.rs` | what the rings and workers say about each camera (pure) |
//! | `insight/` | what the page shows of the insides: records, hops, history, logs |
//! | `events.rs`, `following.rs`, `changes.rs` | what happened lately; who follows it; what the supervisor tells |
//! | `metrics.rs`, `tally.rs` | Prometheus text; what is counted for it (both pure) |
//! | `site.rs`, `cache.rs` | what the routes share; slow answers kept for a moment |
//! | `sources.rs`, `live.rs` | where facts come from: the traits, and the rings and supervisor behind them |
#![forbid(unsafe_code)]

pub mod answer;
pub mod api;
pub mod assets;
pub mod board;
pub mod cache;
pub mod changes;
pub mod control;
pub mod deeds;
pub mod desk;
pub mod events;
pub mod following;
pub mod guard;
pub mod insight;
pub mod live;
pub mod metrics;
pub mod openapi;
pub mod playback;
pub mod route;
pub mod server;
pub mod site;
pub mod snap;
pub mod sources;
pub mod stream;
pub mod tally;
pub mod web;
pub mod webrtc;
pub mod wire;

// Shared with the rules worker.
pub use stills::{jpeg, picture};
