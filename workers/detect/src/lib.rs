//! The detect worker: pictures of frame rings through a model, and what it finds as records in its event ring.
//!
//! ```text
//! frame rings ──> tensors (letterboxed, as numbers) ─> batch ──> runner ──> engine: ONNX Runtime or tract
//!   (a lease lasts until its picture                    │  (its own thread: the heart beats on)
//!    is sampled)                                        v
//!                           meaning ──> nms ──> find (classes, zones) ──> records ──> event ring
//! ```
//!
//! | file | what |
//! |---|---|
//! | `detect.rs` | the worker: takes pictures, lets them go, tells what was found |
//! | `camera.rs` | one of its inputs |
//! | `batch.rs` | when a batch is complete (pure) |
//! | `runner.rs` | the thread that loads and runs the model |
//! | `engine.rs` | which engine and what hardware, and what is told when it is not what was asked for |
//! | `examine.rs` | what runs a model here, for `framevisor doctor` |
//! | `meaning.rs` | a model's output to boxes and classes (pure) |
//! | `nms.rs` | overlapping boxes once (pure) |
//! | `labels.rs` | names of classes (pure) |
//! | `find.rs` | what of it is wanted, where it is (pure) |
//! | `records.rs` | what is told of a picture (pure) |
#![forbid(unsafe_code)]

pub mod batch;
pub mod camera;
pub mod detect;
pub mod engine;
pub mod examine;
pub mod find;
pub mod labels;
pub mod meaning;
pub mod nms;
pub mod records;
pub mod runner;
