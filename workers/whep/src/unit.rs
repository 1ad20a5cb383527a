//! One access unit or piece of sound as it goes out, shared by all viewers of a camera.

use std::sync::Arc;

use protocol::time::Stamp;

use crate::formats::Media;

/// What a camera's feed holds.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) media: Media,
    /// Whether a viewer may begin here.
    pub(crate) entry: bool,
    /// Presentation time on the camera's stream clock, which never steps back (`worker::timeline`).
    pub(crate) pts_ns: i64,
    /// When it was captured, by the clock its ring says.
    pub(crate) captured: Stamp,
    pub(crate) data: Arc<[u8]>,
}
