//! `/live/CAM?as=jpeg`: pictures over a WebSocket, for what plays no video: JPEG as the snapshots are, each behind a text
//! that says which it is. The next one is taken when the last is sent: a slow viewer sees fewer.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use super::socket::{Gone, Line, Said};
use super::viewers::Ticket;
use crate::desk::Snapshot;
use crate::site::Site;
use crate::snap;

/// Pause between two looks at the frame ring: thirty pictures a second.
const LOOK_AGAIN: Duration = Duration::from_millis(33);
/// Pause after there was none.
const RETRY: Duration = Duration::from_secs(1);

/// `{"type": "picture", ...}`: the JPEG that follows. Its identity is where it entered the system.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "picture")]
struct Which<'a> {
    ring: &'a str,
    epoch: u64,
    sequence: u64,
    capture_utc_ns: u64,
    /// Since this host got it.
    age_ms: u64,
    width: u32,
    height: u32,
}

pub(super) async fn serve(mut line: Line, site: Arc<Site>, camera: String, ticket: Ticket) {
    // The viewer is gone: nobody is left to tell.
    let _ = play(&mut line, &site, &camera, &ticket).await;
}

async fn play(line: &mut Line, site: &Site, camera: &str, ticket: &Ticket) -> Result<(), Gone> {
    let mut last: Option<Arc<Snapshot>> = None;
    let mut said = String::new();
    loop {
        // Listening while looking: a viewer that left is not waited for.
        let mut found = None;
        line.listen(async { found = snap::next(site, camera, last.as_deref(), LOOK_AGAIN).await })
            .await?;
        let Some(snapshot) = found else {
            let why = site.desk.newest(camera).await.err().map(|none| none.to_string());
            let why = why.unwrap_or_default();
            if why != said {
                line.say(&Said::Waiting { why: &why }).await?;
                said = why;
            }
            line.listen(sleep(RETRY)).await?;
            continue;
        };
        said.clear();
        give(line, site, &snapshot, ticket).await?;
        last = Some(snapshot);
    }
}

async fn give(
    line: &mut Line,
    site: &Site,
    snapshot: &Snapshot,
    ticket: &Ticket,
) -> Result<(), Gone> {
    let stamp = &snapshot.stamp;
    let age = site.sources().now().mono.saturating_since(stamp.arrival);
    ticket.sends(stamp.arrival);
    line.say(&Which {
        ring: stamp.id.ring.as_str(),
        epoch: stamp.id.epoch,
        sequence: stamp.id.sequence,
        capture_utc_ns: stamp.capture_utc.0,
        age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        width: snapshot.width,
        height: snapshot.height,
    })
    .await?;
    line.bytes(snapshot.jpeg.clone()).await?;
    ticket.sent(1, snapshot.jpeg.len(), site.sources().now().mono);
    Ok(())
}
