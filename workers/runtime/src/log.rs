//! Logs go to stderr, one line each; the supervisor captures them and adds name and time.

use tracing_subscriber::EnvFilter;

/// `FRAMEVISOR_LOG` sets the level, for example `debug` or `recorder=trace`.
const LEVEL: &str = "FRAMEVISOR_LOG";

pub(crate) fn init() {
    let filter = EnvFilter::try_from_env(LEVEL).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .finish();
    // Fails only when one is set already, as in a test process.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
