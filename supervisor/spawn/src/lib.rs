//! The unsafe corner of starting a process and of taking what it inherits.
//!
//! What belongs here: what must run between fork and exec, descriptors that arrive as numbers, the mapping of
//! the health page, and what the kernel tells by a raw call alone. What does not: which process to start, when,
//! and with what. Used by the supervisor (which forbids unsafe code) and by the worker runtime.

mod child;
mod fork;
mod health;
mod inherit;
mod kernel;
mod limits;
mod offline;
mod readable;

pub use child::{Command, FIRST_INHERITED, Input, Output, Running, StartError};
pub use health::{HealthError, HealthPage};
pub use inherit::{InheritError, take_inherited, take_inherited_list, take_inherited_number};
pub use kernel::{ClockState, clock_state, landlock_version};
pub use limits::{Limit, Limits, Refused};
pub use readable::is_readable;
