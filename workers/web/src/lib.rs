//! The web worker: rings to browsers. One page, its API, and nothing that can change anything.
//!
//! | file | what |
//! |---|---|
//! | `web.rs` | the worker: binds the parts, drives the sockets a step at a time |
//! | `server.rs` | connections, with their caps and deadlines |
//! | `guard.rs` | which requests are answered at all, and the headers of every answer |
//! | `route.rs`, `api.rs`, `snap.rs`, `assets.rs` | what a path gives |
//! | `desk.rs` | pictures on demand: who looks, when to attach, one encoding for all |
//! | `picture.rs`, `colour.rs`, `jpeg.rs` | a copied picture to JPEG (pure) |
//! | `playback/` | what was recorded: lists, playlists, segments, cuts |
//! | `board.rs` | what the rings and workers say about each camera (pure) |
//! | `events.rs`, `metrics.rs` | the last records; Prometheus text |
//! | `site.rs`, `cache.rs` | what the routes share; slow answers kept for a moment |
//! | `sources.rs`, `live.rs` | where facts come from: the traits, and the rings and supervisor behind them |
#![forbid(unsafe_code)]

pub mod answer;
pub mod api;
pub mod assets;
pub mod board;
pub mod cache;
pub mod colour;
pub mod desk;
pub mod events;
pub mod guard;
pub mod jpeg;
pub mod live;
pub mod metrics;
pub mod picture;
pub mod playback;
pub mod route;
pub mod server;
pub mod site;
pub mod snap;
pub mod sources;
#[cfg(test)]
mod testing;
pub mod web;
