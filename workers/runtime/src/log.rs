//! Logs go to stderr, one line each; the supervisor captures them and adds name and time.

use tracing_subscriber::EnvFilter;

/// `FRAMEVISOR_LOG` sets the level, for example `debug` or `recorder=trace`.
const LEVEL: &str = "FRAMEVISOR_LOG";

pub(crate) fn init() {
    init_at("info");
}

/// For verbs, which say what they have to say themselves.
pub(crate) fn init_quiet() {
    init_at("off");
}

fn init_at(level: &str) {
    let filter = EnvFilter::try_from_env(LEVEL).unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        // Nobody may be reading just now: what cannot be said is no reason to die.
        .log_internal_errors(false)
        .finish();
    // Fails only when one is set already, as in a test process.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
