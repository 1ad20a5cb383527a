//! Several at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::ExportError;
use crate::watch::Watch;

/// Does `work` for each item, several at once, and answers in their order. The first error ends all.
pub(crate) fn each<T: Sync, R: Send>(
    items: &[T],
    watch: &Watch,
    work: impl Fn(&T) -> Result<R, ExportError> + Sync,
) -> Result<Vec<R>, ExportError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<R, ExportError>)>> = Mutex::default();
    let failed = AtomicUsize::new(0);
    let run = || {
        while failed.load(Ordering::Relaxed) == 0 {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { break };
            let result = watch.go_on().and_then(|()| work(item));
            failed.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(items.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, result)| (result.is_ok(), *at));
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answers_in_order_and_with_the_first_error() {
        let items: Vec<u64> = (0..100).collect();
        let watch = Watch::default();
        let all = each(&items, &watch, |item| Ok(item * 2)).unwrap();
        assert!(all.iter().zip(&items).all(|(twice, item)| *twice == item * 2));
        let failed = each(&items, &watch, |item| match item {
            7 => Err(ExportError::Exists("seven".into())),
            item => Ok(*item),
        });
        assert!(failed.unwrap_err().to_string().contains("seven"));
        watch.interrupt(2);
        let ended = each(&items, &watch, |item| Ok(*item));
        assert!(matches!(ended, Err(ExportError::Interrupted { signal: 2 })));
    }
}
