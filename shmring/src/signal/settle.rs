//! How a reader keeps its descriptor true while the helper thread may be filling it. Closures only, so that
//! the model checker runs this very file (`tests/model`).

/// Empties first and looks then. Whatever the helper had seen when it filled what is emptied here, this
/// look sees too, because the kernel's lock on the eventfd stands between the two; and what comes later
/// rings a bell that the helper has not heard. The other way round a wake-up is lost.
pub(crate) fn settle(empty: impl FnOnce(), has_news: impl FnOnce() -> bool, fill: impl FnOnce()) {
    // PAIR event
    empty();
    if has_news() {
        fill();
    }
}
