//! Live video: the packets of a camera, made into fragments once and given to all who watch.
//!
//! ```text
//!  ring ─> tap ─> packager ─> feed ─┬─> history ──> socket.rs    fMP4 over WebSocket, picture by picture
//!                                   └─> segments ─> hls.rs       the same bytes as parts and segments
//!            desk (pictures of a frame ring) ─────> pictures.rs  JPEG over WebSocket
//! ```
//!
//! | file | what |
//! |---|---|
//! | `unit.rs` | a fragment, and the stretch of a stream that it belongs to |
//! | `packager.rs`, `pace.rs`, `ears.rs` | packets into fragments (pure) |
//! | `numbers.rs` | which number a stretch of a stream has, also after a restart |
//! | `history.rs` | the newest fragments, and how a viewer moves along them (pure) |
//! | `segments.rs`, `playlist.rs` | the same fragments as HLS (pure) |
//! | `feed.rs`, `tap.rs`, `channels.rs` | one camera shared by its viewers; its reader; all cameras, read while somebody watches |
//! | `hls.rs`, `socket.rs`, `pictures.rs` | what a path gives |
//! | `viewers.rs` | who watches, and how that goes |
//!
//! What belongs here: which bytes a viewer gets, and when. What does not: boxes (`fmp4`), decoding.

pub mod channels;
pub mod ears;
pub mod feed;
pub mod history;
pub mod hls;
pub mod numbers;
pub mod pace;
pub mod packager;
pub mod pictures;
pub mod playlist;
pub mod segments;
pub mod socket;
pub mod tap;
#[cfg(test)]
pub(crate) mod testing;
pub mod unit;
pub mod viewers;
