//! The name programs look the library up by when they start. Its number is SHMRING_ABI_MAJOR: both are
//! raised when programs would break (tests/c/header.rs compares them).

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libshmring.so.0");
    println!("cargo:rerun-if-changed=build.rs");
}
