//! Waiting for an instant of our clock.

use protocol::time::MonoNs;
use shmring::clock;

/// For ever without an instant.
pub async fn until(at: Option<MonoNs>) {
    match at {
        Some(at) => tokio::time::sleep(at.saturating_since(clock::mono())).await,
        None => std::future::pending().await,
    }
}
