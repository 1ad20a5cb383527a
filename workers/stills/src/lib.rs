//! Pictures of frame rings as JPEG: for whoever shows or keeps single ones, the page and the rules worker.
//!
//! | file | what |
//! |---|---|
//! | `picture.rs` | a picture copied out of its ring |
//! | `colour.rs` | from the samples of a stream to those of a JPEG |
//! | `jpeg.rs` | the JPEG |
#![forbid(unsafe_code)]

pub mod colour;
pub mod jpeg;
pub mod picture;
#[cfg(test)]
mod testing;
