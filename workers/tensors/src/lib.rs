//! Pictures as the numbers that models take, for who makes them (decoder) and who runs models (detect). Pure.
//!
//! | file | what |
//! |---|---|
//! | `letterbox.rs` | where a picture lies in a model's input, and back |
//! | `input.rs` | rows of a picture to a model's numbers |
//! | `element.rs` | numbers to bytes of a ring, and back |
//! | `note.rs` | what a tensor in a ring was made of |
//! | `rect.rs` | a box |
#![forbid(unsafe_code)]

pub mod element;
pub mod input;
pub mod letterbox;
pub mod note;
pub mod rect;

pub use element::Element;
pub use input::{Sight, Wish};
pub use letterbox::{Placement, Sides};
pub use note::Note;
pub use rect::Rect;
