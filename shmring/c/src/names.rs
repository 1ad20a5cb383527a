//! Names of numbers.

use std::ffi::c_char;

use protocol::stream::{DType, PixelFormat};

#[unsafe(no_mangle)]
pub extern "C" fn shmring_format_name(format: u32) -> *const c_char {
    let name = match PixelFormat::from_code(format) {
        Some(PixelFormat::Yuv420p) => c"yuv420p",
        Some(PixelFormat::Yuv422p) => c"yuv422p",
        Some(PixelFormat::Yuv444p) => c"yuv444p",
        Some(PixelFormat::Nv12) => c"nv12",
        Some(PixelFormat::Gray8) => c"gray8",
        Some(PixelFormat::Rgb24) => c"rgb24",
        Some(PixelFormat::Bgr24) => c"bgr24",
        Some(PixelFormat::Rgba) => c"rgba",
        None => c"unknown",
    };
    name.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn shmring_dtype_name(dtype: u32) -> *const c_char {
    let name = match DType::from_code(dtype) {
        Some(DType::I8) => c"i8",
        Some(DType::I16) => c"i16",
        Some(DType::I32) => c"i32",
        Some(DType::I64) => c"i64",
        Some(DType::U8) => c"u8",
        Some(DType::U16) => c"u16",
        Some(DType::U32) => c"u32",
        Some(DType::F16) => c"f16",
        Some(DType::F32) => c"f32",
        Some(DType::F64) => c"f64",
        Some(DType::Bf16) => c"bf16",
        Some(DType::Bool) => c"bool",
        None => c"unknown",
    };
    name.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_own_name_in_c() {
        for format in PixelFormat::ALL {
            // SAFETY: a static text.
            let name = unsafe { std::ffi::CStr::from_ptr(shmring_format_name(format as u32)) };
            assert_eq!(name.to_str().unwrap(), format.as_str());
        }
    }

    #[test]
    fn every_type_of_element_has_its_own_name_in_c() {
        for dtype in DType::ALL {
            // SAFETY: a static text.
            let name = unsafe { std::ffi::CStr::from_ptr(shmring_dtype_name(dtype as u32)) };
            assert_eq!(name.to_str().unwrap(), dtype.as_str());
        }
    }
}
