//! Video devices. FFmpeg reads them by a library of its own, which brings a window system, sound servers and
//! more along: it is loaded by who reads a device, and is no part of any other worker.

use std::sync::OnceLock;

use ffmpeg_next::ffi::LIBAVFORMAT_VERSION_MAJOR;
use libloading::Library;

use crate::error::MediaError;

/// Makes FFmpeg know devices, once a process. Its version goes with that of libavformat, which is loaded.
pub(super) fn register(input: &str) -> Result<(), MediaError> {
    static IS_THERE: OnceLock<bool> = OnceLock::new();
    let library = format!("libavdevice.so.{LIBAVFORMAT_VERSION_MAJOR}");
    match IS_THERE.get_or_init(|| load(&library).is_ok()) {
        true => Ok(()),
        false => Err(MediaError::NoDevices { input: input.to_owned(), library }),
    }
}

fn load(name: &str) -> Result<(), libloading::Error> {
    // SAFETY: FFmpeg's libraries may be initialised at any time, on any thread; so may those that this one
    // needs, which are the system's own.
    let library = unsafe { Library::new(name) }?;
    // SAFETY: `void avdevice_register_all(void)` since FFmpeg 0.5.
    let register_all =
        unsafe { library.get::<unsafe extern "C" fn()>(b"avdevice_register_all\0") }?;
    // SAFETY: it may be called at any time, and we do so once.
    unsafe { register_all() };
    // Never unloaded: libavformat knows its formats from now on.
    std::mem::forget(library);
    Ok(())
}
