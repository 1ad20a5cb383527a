//! What was recorded, to be looked at: lists, playlists and their segments, cuts to download.
//!
//! | file | what |
//! |---|---|
//! | `shelf.rs` | where recordings are; how many may be read at once |
//! | `turns.rs` | who may read now, so many of one address |
//! | `moment.rs` | times of requests (pure) |
//! | `list.rs` | `/api/v1/recordings` and what is below it |
//! | `play.rs` | `/recordings/CAM/...` |
//! | `playlist.rs` | a reel as HLS (pure) |
//! | `transfer.rs` | parts of files, as requests want them |

pub mod list;
pub mod moment;
pub mod play;
pub mod playlist;
pub mod shelf;
pub mod transfer;
pub mod turns;
