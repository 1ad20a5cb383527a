//! The driver's functions, by the names and types of its header (cuda.h), and every call of them.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fmt;
#[cfg(feature = "driver")]
use std::mem::ManuallyDrop;
use std::path::Path;
use std::ptr;

use crate::error::Error;
use crate::memory::HANDLE_BYTES;

/// `CU_MEMORYTYPE_HOST` and `CU_MEMORYTYPE_DEVICE`.
const HOST: c_uint = 1;
const DEVICE: c_uint = 2;
/// `CU_CTX_SCHED_BLOCKING_SYNC`: who waits for the device sleeps. FFmpeg refuses a context with other flags.
const SLEEPING: c_uint = 4;
/// `CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS`, the only value there is.
const LAZY_PEERS: c_uint = 1;

/// `CUcontext` and `CUstream`: never looked into.
type Opaque = *mut c_void;
/// `CUipcMemHandle`, passed by value.
#[repr(C)]
#[derive(Clone, Copy)]
struct IpcHandle([u8; HANDLE_BYTES]);

/// `CUDA_MEMCPY2D`, version 2.
#[repr(C)]
struct Copy2d {
    from_x: usize,
    from_y: usize,
    from_kind: c_uint,
    from_host: *const c_void,
    from_device: u64,
    from_array: Opaque,
    from_pitch: usize,
    to_x: usize,
    to_y: usize,
    to_kind: c_uint,
    to_host: *mut c_void,
    to_device: u64,
    to_array: Opaque,
    to_pitch: usize,
    row_bytes: usize,
    rows: usize,
}

macro_rules! functions {
    ($($field:ident: $name:literal ($($kind:ty),*),)*) => {
        /// What is called of the driver.
        #[cfg_attr(not(feature = "driver"), expect(dead_code, reason = "nothing is ever loaded"))]
        struct Functions {
            $($field: unsafe extern "C" fn($($kind),*) -> c_int,)*
        }

        #[cfg(feature = "driver")]
        impl Functions {
            fn of(library: &libloading::Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the types are those of the driver's header for functions of these names, which
                    // it keeps for ever: another one would have another name.
                    $($field: *unsafe { library.get($name.as_bytes()) }?,)*
                })
            }
        }
    };
}

functions! {
    init: "cuInit" (c_uint),
    error_name: "cuGetErrorName" (c_int, *mut *const c_char),
    error_text: "cuGetErrorString" (c_int, *mut *const c_char),
    count: "cuDeviceGetCount" (*mut c_int),
    device: "cuDeviceGet" (*mut c_int, c_int),
    uuid: "cuDeviceGetUuid_v2" (*mut [u8; 16], c_int),
    state: "cuDevicePrimaryCtxGetState" (c_int, *mut c_uint, *mut c_int),
    set_flags: "cuDevicePrimaryCtxSetFlags" (c_int, c_uint),
    retain: "cuDevicePrimaryCtxRetain" (*mut Opaque, c_int),
    release: "cuDevicePrimaryCtxRelease" (c_int),
    push: "cuCtxPushCurrent_v2" (Opaque),
    pop: "cuCtxPopCurrent_v2" (*mut Opaque),
    finish: "cuCtxSynchronize" (),
    settle: "cuStreamSynchronize" (Opaque),
    allocate: "cuMemAlloc_v2" (*mut u64, usize),
    free: "cuMemFree_v2" (u64),
    export: "cuIpcGetMemHandle" (*mut IpcHandle, u64),
    open: "cuIpcOpenMemHandle_v2" (*mut u64, IpcHandle, c_uint),
    close: "cuIpcCloseMemHandle" (u64),
    range: "cuMemGetAddressRange_v2" (*mut u64, *mut usize, u64),
    copy: "cuMemcpy2D_v2" (*const Copy2d),
}

/// A loaded driver. It is never unloaded: its threads and its devices' memory outlive every handle.
pub(crate) struct Library {
    functions: Functions,
    #[cfg(feature = "driver")]
    _library: ManuallyDrop<libloading::Library>,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").finish_non_exhaustive()
    }
}

/// A device's primary context: the one that FFmpeg and PyTorch use, too, so that addresses are good for all.
#[derive(Debug)]
pub(crate) struct Context {
    library: &'static Library,
    device: c_int,
    context: Opaque,
    /// Devices do not survive a fork: the child must not touch them.
    process: u32,
}

// SAFETY: the driver may be called from every thread; a context is a name that it looks up.
unsafe impl Send for Context {}
// SAFETY: the same; nothing of it changes.
unsafe impl Sync for Context {}

/// One side of a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    Device { address: u64, pitch: usize },
    Host { address: *mut u8, pitch: usize },
}

impl Library {
    #[cfg(feature = "driver")]
    pub(crate) fn load(path: &Path) -> Result<Self, Error> {
        let no_driver = |why: libloading::Error| Error::NoDriver { why: why.to_string() };
        // SAFETY: the system's driver, or a library that whoever started this process named in its stead.
        let library = unsafe { libloading::Library::new(path) }.map_err(no_driver)?;
        let functions = Functions::of(&library).map_err(no_driver)?;
        let library = Self { functions, _library: ManuallyDrop::new(library) };
        // SAFETY: takes a number alone; may be called any number of times.
        library.check("starting the driver", unsafe { (library.functions.init)(0) })?;
        Ok(library)
    }

    #[cfg(not(feature = "driver"))]
    pub(crate) fn load(path: &Path) -> Result<Self, Error> {
        Err(Error::NoDriver {
            why: format!("{} is not asked for: built without the feature `cuda`", path.display()),
        })
    }

    pub(crate) fn devices(&self) -> Result<c_int, Error> {
        let mut count = 0;
        // SAFETY: fills the number it is given.
        self.check("counting devices", unsafe { (self.functions.count)(&raw mut count) })?;
        Ok(count)
    }

    /// Its number within the driver, and who it is.
    pub(crate) fn device(&self, ordinal: c_int) -> Result<(c_int, [u8; 16]), Error> {
        let (mut device, mut id) = (0, [0; 16]);
        // SAFETY: fills the number it is given.
        let code = unsafe { (self.functions.device)(&raw mut device, ordinal) };
        self.check("opening a device", code)?;
        // SAFETY: fills the 16 bytes it is given.
        let code = unsafe { (self.functions.uuid)(&raw mut id, device) };
        self.check("asking for a device's UUID", code)?;
        Ok((device, id))
    }

    fn check(&self, doing: &'static str, code: c_int) -> Result<(), Error> {
        if code == 0 {
            return Ok(());
        }
        let told = |ask: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int| {
            let mut text = ptr::null();
            // SAFETY: fills the pointer it is given, with NULL for a number that it does not know.
            unsafe { ask(code, &raw mut text) };
            if text.is_null() {
                return String::new();
            }
            // SAFETY: not NULL, so a text of the driver's, which is constant.
            unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
        };
        let (name, text) = (told(self.functions.error_name), told(self.functions.error_text));
        Err(Error::Call { doing, code, name, text })
    }
}

/// While it lives the context is this thread's current one.
struct Current<'a>(&'a Context);

impl Drop for Current<'_> {
    fn drop(&mut self) {
        let mut popped = ptr::null_mut();
        // SAFETY: this thread has pushed it, and whoever pushes another one pops that before.
        unsafe { (self.0.library.functions.pop)(&raw mut popped) };
    }
}

impl Context {
    /// Makes the primary context live. A process that may be the first to do so has waiting threads sleep.
    pub(crate) fn retain(library: &'static Library, device: c_int) -> Result<Self, Error> {
        let (mut flags, mut is_active, mut context) = (0, 0, ptr::null_mut());
        let functions = &library.functions;
        // SAFETY: fills the two numbers it is given.
        let code = unsafe { (functions.state)(device, &raw mut flags, &raw mut is_active) };
        library.check("looking at a device's context", code)?;
        if is_active == 0 && flags != SLEEPING {
            // Another thread may have made it live just now; the flags are that one's then.
            // SAFETY: takes numbers alone.
            let _ = unsafe { (functions.set_flags)(device, SLEEPING) };
        }
        // SAFETY: fills the pointer it is given.
        let code = unsafe { (functions.retain)(&raw mut context, device) };
        library.check("opening a device's context", code)?;
        Ok(Self { library, device, context, process: std::process::id() })
    }

    pub(crate) fn is_here(&self) -> bool {
        self.process == std::process::id()
    }

    fn enter(&self) -> Result<Current<'_>, Error> {
        // SAFETY: a context that is retained as long as this value lives.
        let code = unsafe { (self.library.functions.push)(self.context) };
        self.library.check("entering a device's context", code)?;
        Ok(Current(self))
    }

    pub(crate) fn allocate(&self, bytes: usize) -> Result<u64, Error> {
        let (_current, mut address) = (self.enter()?, 0);
        // SAFETY: fills the number it is given.
        let code = unsafe { (self.library.functions.allocate)(&raw mut address, bytes) };
        self.library.check("allocating memory", code)?;
        Ok(address)
    }

    /// Of [`Self::allocate`], once.
    pub(crate) fn free(&self, address: u64) -> Result<(), Error> {
        let _current = self.enter()?;
        // SAFETY: takes a number; one that is no allocation is refused.
        self.library.check("freeing memory", unsafe { (self.library.functions.free)(address) })
    }

    pub(crate) fn export(&self, address: u64) -> Result<[u8; HANDLE_BYTES], Error> {
        let (_current, mut handle) = (self.enter()?, IpcHandle([0; HANDLE_BYTES]));
        // SAFETY: fills the handle it is given; a number that is no allocation is refused.
        let code = unsafe { (self.library.functions.export)(&raw mut handle, address) };
        self.library.check("exporting memory", code)?;
        Ok(handle.0)
    }

    pub(crate) fn open(&self, handle: &[u8; HANDLE_BYTES]) -> Result<u64, Error> {
        let (_current, mut address) = (self.enter()?, 0);
        let handle = IpcHandle(*handle);
        // SAFETY: fills the number it is given; a handle that names no memory is refused.
        let code = unsafe { (self.library.functions.open)(&raw mut address, handle, LAZY_PEERS) };
        self.library.check("opening another process's memory", code)?;
        Ok(address)
    }

    /// Bytes from `address` to the end of the allocation that it lies in; `None` where the driver does not say.
    pub(crate) fn extent(&self, address: u64) -> Result<Option<u64>, Error> {
        let (_current, mut base, mut bytes) = (self.enter()?, 0, 0);
        let code = {
            // SAFETY: fills the two numbers it is given; one that lies in no allocation is refused.
            unsafe { (self.library.functions.range)(&raw mut base, &raw mut bytes, address) }
        };
        let left = (bytes as u64).saturating_sub(address.saturating_sub(base));
        Ok((code == 0).then_some(left))
    }

    /// Of [`Self::open`], once.
    pub(crate) fn close(&self, address: u64) -> Result<(), Error> {
        let _current = self.enter()?;
        let code = {
            // SAFETY: takes a number; one that was not opened is refused.
            unsafe { (self.library.functions.close)(address) }
        };
        self.library.check("closing another process's memory", code)
    }

    /// Waits for all that this process has told the device.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        let _current = self.enter()?;
        // SAFETY: takes nothing.
        self.library.check("waiting for the device", unsafe { (self.library.functions.finish)() })
    }

    /// Waits for the copies of [`Self::copy`], which go through the default stream.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        let _current = self.enter()?;
        let code = {
            // SAFETY: NULL is the default stream's name.
            unsafe { (self.library.functions.settle)(ptr::null_mut()) }
        };
        self.library.check("waiting for a copy", code)
    }

    /// # Safety
    /// `rows` rows of `row_bytes` bytes, each a pitch behind the one before, may be read at `from` and written
    /// at `to`. A side on the host stays as it is until the copy has ended.
    pub(crate) unsafe fn copy(
        &self,
        from: Side,
        to: Side,
        row_bytes: usize,
        rows: usize,
    ) -> Result<(), Error> {
        let _current = self.enter()?;
        let told = |side| match side {
            Side::Device { address, pitch } => (DEVICE, ptr::null_mut(), address, pitch),
            Side::Host { address, pitch } => (HOST, address.cast::<c_void>(), 0, pitch),
        };
        let (from_kind, from_host, from_device, from_pitch) = told(from);
        let (to_kind, to_host, to_device, to_pitch) = told(to);
        let copy = Copy2d {
            from_x: 0,
            from_y: 0,
            from_kind,
            from_host,
            from_device,
            from_array: ptr::null_mut(),
            from_pitch,
            to_x: 0,
            to_y: 0,
            to_kind,
            to_host,
            to_device,
            to_array: ptr::null_mut(),
            to_pitch,
            row_bytes,
            rows,
        };
        // SAFETY: a whole description, whose sides the caller answers for.
        let code = unsafe { (self.library.functions.copy)(&raw const copy) };
        self.library.check("copying a picture", code)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        if self.is_here() {
            // SAFETY: retained once by this value. In a forked child the driver must not be called.
            unsafe { (self.library.functions.release)(self.device) };
        }
    }
}
