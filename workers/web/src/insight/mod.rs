//! What the page shows of the insides: records of event rings as they come, the way of a camera's pictures hop by
//! hop, the last minutes of every ring, and what workers printed. All of it is read; nothing here changes anything.
//!
//! | file | what |
//! |---|---|
//! | `records.rs`, `follow.rs` | a bounded past of each event ring; following it as server-sent events |
//! | `passage.rs` | the times of a picture on its way, and what they come to (pure) |
//! | `gauge.rs` | packet rings attached for their times, while somebody looks |
//! | `history.rs` | rates and lags of the last minutes (pure) |
//! | `routes.rs` | what the paths answer |

pub mod follow;
pub mod gauge;
pub mod history;
pub mod passage;
pub mod records;
pub mod routes;
