//! What goes wrong with a device, with what to do about it.

/// Clonable, because a driver that is not there is told to everybody who asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "CUDA: {doing}: {name} ({code}): {text}",
        name = if name.is_empty() { "error" } else { name.as_str() }
    )]
    Call { doing: &'static str, code: i32, name: String, text: String },
    #[error(
        "no CUDA device: the driver finds none that this process may use (CUDA_VISIBLE_DEVICES)"
    )]
    NoDevice,
    #[error(
        "no CUDA driver: {why}; install NVIDIA's driver (libcuda.so.1), or pass its devices and library into \
         the container"
    )]
    NoDriver { why: String },
    #[error("no CUDA device {wanted}: this process sees {seen} (CUDA_VISIBLE_DEVICES)")]
    OtherDevice { wanted: String, seen: String },
    #[error("rows of a picture lie outside of the {bytes} bytes that they should lie in")]
    Outside { bytes: u64 },
    #[error(
        "another process's memory on a device has {there} bytes, and its ring says {bytes}: its writer is damaged"
    )]
    Short { bytes: u64, there: u64 },
}
