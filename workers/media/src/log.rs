//! FFmpeg's log as `tracing` events.
//!
//! FFmpeg's errors are about the stream it was given, so they are WARN here: the worker decides
//! whether data was lost. A damaged stream repeats itself at picture rate, therefore one message
//! (by its format string) is let through at its 1st, 2nd, 4th, 8th ... occurrence.

use std::cell::RefCell;

/// What is overheard of one call: its last lines say why it failed.
const HEARD_BYTES: usize = 2048;

thread_local! {
    /// What FFmpeg logs on this thread while somebody listens.
    static HEARD: RefCell<Option<String>> = const { RefCell::new(None) };
    /// What is shown of nothing that FFmpeg logs on this thread.
    static HIDDEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// From here on these words are hidden in what FFmpeg logs on this thread: servers repeat what they were asked.
pub(crate) fn hide(words: Vec<String>) {
    HIDDEN.set(words);
}

/// Hears what FFmpeg says on this thread until it is dropped; one at a time.
#[derive(Debug)]
pub(crate) struct Listener(());

/// FFmpeg tells some reasons in its log alone, such as what a server answered.
pub(crate) fn listen() -> Listener {
    HEARD.set(Some(String::new()));
    Listener(())
}

impl Listener {
    /// Lines, the newest last. Not for people: there may be addresses in it with all that lets in.
    pub(crate) fn said(&self) -> String {
        HEARD.with_borrow(|heard| heard.clone().unwrap_or_default())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        HEARD.set(None);
    }
}

#[cfg(target_arch = "x86_64")]
fn is_heard() -> bool {
    HEARD.with_borrow(Option::is_some)
}

#[cfg(target_arch = "x86_64")]
fn hear(text: &str) {
    HEARD.with_borrow_mut(|heard| {
        let Some(heard) = heard.as_mut() else { return };
        while heard.len() + text.len() >= HEARD_BYTES
            && let Some(end) = heard.find('\n')
        {
            heard.drain(..=end);
        }
        heard.push_str(text);
        heard.push('\n');
    });
}

#[cfg(target_arch = "x86_64")]
fn without_hidden(text: &str) -> String {
    let hide = |text: String, word: &String| text.replace(word.as_str(), "***");
    HIDDEN.with_borrow(|words| words.iter().fold(text.to_owned(), hide))
}

#[cfg(target_arch = "x86_64")]
pub(crate) fn install() {
    bridge::install();
}

/// `va_list` has another shape on each architecture; elsewhere FFmpeg writes to stderr itself.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn install() {
    ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Warning);
}

/// The text without what stands between `://` and `@`, and without queries of addresses: passwords may be in both.
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "FFmpeg writes by itself"))]
fn without_users(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, behind) = rest.split_at(at + 3);
        shown.push_str(before);
        let is_end = |c: char| c.is_whitespace() || matches!(c, '\'' | '"');
        let (address, after) = behind.split_at(behind.find(is_end).unwrap_or(behind.len()));
        let address = address.rsplit_once('@').map_or(address, |(_, host)| host);
        shown.push_str(address.split('?').next().unwrap_or_default());
        rest = after;
    }
    shown + rest
}

#[cfg(target_arch = "x86_64")]
mod bridge {
    use std::collections::HashMap;
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::sync::Mutex;

    use ffmpeg_next::ffi;

    /// More distinct messages than this share one count; FFmpeg has a few dozen that ever show.
    const MESSAGES_MAX: usize = 256;
    const LINE_BYTES: u16 = 512;

    static SEEN: Mutex<Option<HashMap<usize, u64>>> = Mutex::new(None);

    pub(super) fn install() {
        ffmpeg_next::log::set_level(ffmpeg_next::log::Level::Warning);
        // SAFETY: `on_log` has the C signature FFmpeg asks for, may run on any thread, and lives
        // for the whole process.
        unsafe { ffi::av_log_set_callback(Some(on_log)) };
    }

    unsafe extern "C" fn on_log(
        context: *mut c_void,
        level: c_int,
        format: *const c_char,
        arguments: *mut ffi::__va_list_tag,
    ) {
        if level > ffi::AV_LOG_WARNING {
            return;
        }
        let count = occurrence(format as usize).filter(|count| count.is_power_of_two());
        let is_heard = super::is_heard();
        if count.is_none() && !is_heard {
            return;
        }
        let mut line: [c_char; LINE_BYTES as usize] = [0; _];
        let mut with_prefix: c_int = 1;
        // SAFETY: context, format and arguments are those of this call, passed on unread; the line
        // has the size given, and FFmpeg ends it with a zero.
        unsafe {
            ffi::av_log_format_line2(
                context,
                level,
                format,
                arguments,
                line.as_mut_ptr(),
                c_int::from(LINE_BYTES),
                &raw mut with_prefix,
            )
        };
        // SAFETY: FFmpeg has just written a zero-ended text into `line`.
        let text = unsafe { CStr::from_ptr(line.as_ptr()) }.to_string_lossy();
        let text = super::without_hidden(text.trim_end());
        if is_heard {
            super::hear(&text);
        }
        if let Some(count) = count {
            emit(level, &text, count);
        }
    }

    /// How often this format string has been logged, this time included.
    fn occurrence(format: usize) -> Option<u64> {
        let mut seen = SEEN.lock().ok()?;
        let counts = seen.get_or_insert_with(HashMap::new);
        let key =
            if counts.len() < MESSAGES_MAX || counts.contains_key(&format) { format } else { 0 };
        let count = counts.entry(key).or_insert(0);
        *count += 1;
        Some(*count)
    }

    fn emit(level: c_int, text: &str, count: u64) {
        if level <= ffi::AV_LOG_ERROR {
            tracing::warn!(count, "FFmpeg: {}", super::without_users(text));
        } else {
            tracing::debug!(count, "FFmpeg: {}", super::without_users(text));
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::{HEARD_BYTES, hear, hide, listen, without_hidden, without_users};

    #[test]
    fn what_is_hidden_is_hidden_wherever_a_server_repeats_it() {
        let said = "Server error: k3y-of-mine is already published";
        assert_eq!(without_hidden(said), said);
        hide(vec!["k3y-of-mine".to_owned()]);
        assert_eq!(without_hidden(said), "Server error: *** is already published");
    }

    #[test]
    fn of_much_that_is_said_the_last_lines_are_heard() {
        let heard = listen();
        for number in 0..100 {
            hear(&format!("line {number} {}", "x".repeat(100)));
        }
        assert!(heard.said().len() <= HEARD_BYTES);
        assert!(heard.said().lines().next_back().is_some_and(|line| line.starts_with("line 99 ")));
    }

    #[test]
    fn no_password_of_an_address_gets_into_the_log() {
        for (said, shown) in [
            (
                "[hls] keepalive failed for 'http://a:b@h/x.ts' with 5",
                "[hls] keepalive failed for 'http://h/x.ts' with 5",
            ),
            ("srt://h:1?passphrase=x udp://u@h:2", "srt://h:1 udp://h:2"),
            (
                "[tcp @ 0x1] Connection to rtsp://me:p@ss@h:1/x failed",
                "[tcp @ 0x1] Connection to rtsp://h:1/x failed",
            ),
            ("udp://h:1 @ 5", "udp://h:1 @ 5"),
            ("nothing of that kind: a@b", "nothing of that kind: a@b"),
        ] {
            assert_eq!(without_users(said), shown);
        }
    }
}
