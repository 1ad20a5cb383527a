//! libavformat, loaded when the first file or stream is opened.
//!
//! A worker that reads a camera with framevisor's own RTSP client, or plays a pattern, never calls it,
//! and yet the loader would spend half of that worker's start on it: Debian's libavformat brings 37
//! more libraries, with TLS, SSH, messaging and tracker music. So the functions that opening and
//! reading take are defined here under their own names, which keeps the linker from asking for the
//! library, and pass their calls on. Whoever links others of its functions, as [`crate::Muxer`]
//! does, has the library from the start, and these find the same one.

use std::ffi::{c_char, c_int, c_uchar, c_void};
use std::sync::OnceLock;

use ffmpeg_next::ffi::{
    AVDictionary, AVFormatContext, AVIOContext, AVInputFormat, AVPacket, LIBAVFORMAT_VERSION_MAJOR,
};
use libloading::Library;

use crate::error::MediaError;

/// Before anything else of this library: says in words that it is not there.
pub(crate) fn load_libavformat() -> Result<(), MediaError> {
    let library = format!("libavformat.so.{LIBAVFORMAT_VERSION_MAJOR}");
    if FUNCTIONS.get().is_none() {
        let functions =
            Functions::of(&library).map_err(|source| MediaError::Library { library, source })?;
        // Another thread's are the same.
        _ = FUNCTIONS.set(functions);
    }
    Ok(())
}

static FUNCTIONS: OnceLock<Functions> = OnceLock::new();

/// A C function that is called before [`load_libavformat`] has nobody to give an error to.
fn functions() -> &'static Functions {
    FUNCTIONS.get().expect("libavformat is loaded before its first call")
}

macro_rules! delayed {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($type),*) $(-> $result)?,)*
        }

        impl Functions {
            fn of(library: &str) -> Result<Self, libloading::Error> {
                // SAFETY: FFmpeg's libraries may be initialised at any time, on any thread; and the
                // signatures below are those of its header, of the version in the file's name.
                unsafe {
                    let library = Library::new(library)?;
                    let functions = Self {
                        $($name: *library.get(concat!(stringify!($name), "\0").as_bytes())?,)*
                    };
                    // Never unloaded: the pointers above would dangle.
                    std::mem::forget(library);
                    Ok(functions)
                }
            }
        }

        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
                // SAFETY: the caller keeps what the header asks for, and it is passed on as it is.
                unsafe { (functions().$name)($($argument),*) }
            }
        )*
    };
}

delayed! {
    fn av_read_frame(context: *mut AVFormatContext, packet: *mut AVPacket) -> c_int;
    fn avformat_alloc_context() -> *mut AVFormatContext;
    fn avformat_close_input(context: *mut *mut AVFormatContext);
    fn avformat_find_stream_info(
        context: *mut AVFormatContext,
        options: *mut *mut AVDictionary
    ) -> c_int;
    fn avformat_free_context(context: *mut AVFormatContext);
    fn avformat_open_input(
        context: *mut *mut AVFormatContext,
        url: *const c_char,
        format: *const AVInputFormat,
        options: *mut *mut AVDictionary
    ) -> c_int;
    fn avformat_seek_file(
        context: *mut AVFormatContext,
        stream: c_int,
        earliest: i64,
        wanted: i64,
        latest: i64,
        flags: c_int
    ) -> c_int;
    fn avio_alloc_context(
        buffer: *mut c_uchar,
        bytes: c_int,
        writes: c_int,
        opaque: *mut c_void,
        read: Option<unsafe extern "C" fn(*mut c_void, *mut u8, c_int) -> c_int>,
        write: Option<unsafe extern "C" fn(*mut c_void, *mut u8, c_int) -> c_int>,
        seek: Option<unsafe extern "C" fn(*mut c_void, i64, c_int) -> i64>
    ) -> *mut AVIOContext;
    fn avio_size(context: *mut AVIOContext) -> i64;
    fn avio_close(context: *mut AVIOContext) -> c_int;
    fn avio_context_free(context: *mut *mut AVIOContext);
    fn avio_flush(context: *mut AVIOContext);
}
