//! The driver, and a device of it.

use std::env;
use std::ffi::c_int;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::error::Error;
use crate::memory::{Allocation, Handle, Imported};
use crate::raw::{Context, Library};

/// The name that NVIDIA's driver has on every Linux.
const LIBRARY: &str = "libcuda.so.1";
/// Names another library than that of the system.
const OVERRIDE: &str = "FRAMEVISOR_LIBCUDA";

/// Loaded once a process and never unloaded.
#[derive(Clone, Copy, Debug)]
pub struct Driver(&'static Library);

impl Driver {
    /// The system's, or the one that `FRAMEVISOR_LIBCUDA` names. What is not there the first time is not looked
    /// for again.
    pub fn here() -> Result<Self, Error> {
        static HERE: OnceLock<Result<Driver, Error>> = OnceLock::new();
        let path = || env::var_os(OVERRIDE).map_or_else(|| PathBuf::from(LIBRARY), PathBuf::from);
        HERE.get_or_init(|| Self::load(&path())).clone()
    }

    /// A library that may be called as the driver is.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Library::load(path).map(|library| Self(Box::leak(Box::new(library))))
    }
}

/// Who a device is, the same in every process: its UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceId(pub [u8; 16]);

/// As `nvidia-smi -L` writes it.
impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GPU")?;
        for (place, byte) in self.0.iter().enumerate() {
            let dash = if matches!(place, 0 | 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// A device, whose primary context lives as long as one of these or memory of it does.
#[derive(Clone, Debug)]
pub struct Device {
    context: Arc<Context>,
    ordinal: c_int,
    id: DeviceId,
}

impl Device {
    /// The one that FFmpeg takes, too, when it is not told otherwise.
    pub fn first(driver: Driver) -> Result<Self, Error> {
        if driver.0.devices()? < 1 {
            return Err(Error::NoDevice);
        }
        Self::open(driver, 0)
    }

    /// Devices are numbered by what each process may see, so that memory goes by who its device is.
    pub fn with_id(driver: Driver, wanted: DeviceId) -> Result<Self, Error> {
        let mut seen = Vec::new();
        for ordinal in 0..driver.0.devices()? {
            let (_, id) = driver.0.device(ordinal)?;
            if DeviceId(id) == wanted {
                return Self::open(driver, ordinal);
            }
            seen.push(DeviceId(id).to_string());
        }
        let seen = if seen.is_empty() { "none".to_owned() } else { seen.join(", ") };
        Err(Error::OtherDevice { wanted: wanted.to_string(), seen })
    }

    fn open(driver: Driver, ordinal: c_int) -> Result<Self, Error> {
        let (device, id) = driver.0.device(ordinal)?;
        let context = Arc::new(Context::retain(driver.0, device)?);
        Ok(Self { context, ordinal, id: DeviceId(id) })
    }

    pub fn id(&self) -> DeviceId {
        self.id
    }

    /// Its number in this process, as DLPack tells it.
    pub fn ordinal(&self) -> i32 {
        self.ordinal
    }

    pub fn allocate(&self, bytes: u64) -> Result<Allocation, Error> {
        Allocation::new(self.clone(), bytes)
    }

    /// Memory that another process has exported. `bytes`: as that process says.
    pub fn import(&self, handle: &Handle, bytes: u64) -> Result<Imported, Error> {
        Imported::open(self.clone(), handle, bytes)
    }

    /// Waits for all that this process has told it.
    pub fn finish(&self) -> Result<(), Error> {
        self.context.finish()
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_called_as_its_tools_call_it() {
        let id = DeviceId(std::array::from_fn(|place| u8::try_from(place * 16).unwrap()));
        assert_eq!(id.to_string(), "GPU-00102030-4050-6070-8090-a0b0c0d0e0f0");
    }

    #[test]
    fn a_driver_that_is_not_there_is_named_with_a_cure() {
        let told = Driver::load(Path::new("/nowhere/libcuda.so.1")).unwrap_err().to_string();
        for word in ["/nowhere/libcuda.so.1", "install NVIDIA's driver"] {
            assert!(told.contains(word), "{told}");
        }
    }
}
