//! Which records of analyzers fit a rule, and when what they tell of begins and ends: for whoever follows rules, a
//! recorder and the rules worker. Pure: records and times go in, decisions come out.
//!
//! | file | what |
//! |---|---|
//! | `record.rs` | the type of a record, its phase, the words of its data |
//! | `finding.rs` | what a record says it has found: label, score, place |
//! | `fit.rs` | whether a record fits a rule, and by which finding |
//! | `episode.rs` | when many fitting records are one event: begin, updates, end |
//! | `engine.rs` | all rules over all cameras |
#![forbid(unsafe_code)]

mod engine;
mod episode;
mod finding;
mod fit;
pub mod record;

pub use engine::{Engine, Heard, Kept, Told};
pub use episode::Stage;
pub use finding::Finding;
