//! The C face, used as a C program uses it: with the headers, the library and the pkg-config file that
//! scripts/c-path lays out, against rings written by the Rust crate.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod docs;
mod examples;
mod header;
mod install;
mod programs;
mod reading;
mod tools;
