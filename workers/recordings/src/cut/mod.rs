//! A stretch of a camera's recording as one file for others, by copy: which fragments it takes, where each
//! goes, and when its pictures were captured. For exports to disk and for downloads alike.

mod clock;
mod footage;
mod held;
mod layout;

pub use clock::{Clock, Point, Sighting};
pub use footage::{ClockSource, Footage, Missing, Part, Piece, Why};
pub use layout::lead_ns;
