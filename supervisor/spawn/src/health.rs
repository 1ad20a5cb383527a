//! The health page: made and sealed by the supervisor, mapped and written by the worker.

use std::ffi::c_void;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use protocol::health::{MAGIC, PAGE_BYTES, word};

const WORDS: usize = PAGE_BYTES / size_of::<u64>();

/// Why a descriptor is no health page.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    #[error("health page: {step}: {source}")]
    Step { step: &'static str, source: std::io::Error },
    #[error("health page of {seen} bytes: expected {PAGE_BYTES}")]
    Size { seen: u64 },
    #[error("health page can be resized: expected a descriptor made by framevisor")]
    Unsealed,
}

/// The worker's side: the page, mapped for life. Words are relaxed atomics, so one that is read by
/// the supervisor is never torn; `word` numbers are those of [`protocol::health::word`].
#[derive(Debug)]
pub struct HealthPage {
    words: NonNull<[AtomicU64; WORDS]>,
}

// SAFETY: the mapping belongs to this value alone and lives until its Drop; through `&self` it is
// only reached as atomics.
unsafe impl Send for HealthPage {}
// SAFETY: as above: atomics may be shared between threads.
unsafe impl Sync for HealthPage {}

impl HealthPage {
    /// The supervisor's side: a page of zeros that nobody can resize, read there with pread.
    pub fn create() -> Result<OwnedFd, HealthError> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let page = memfd_create(c"framevisor-health", flags).map_err(at("memfd_create"))?;
        let file = File::from(page);
        file.set_len(PAGE_BYTES as u64)
            .map_err(|source| HealthError::Step { step: "set size", source })?;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals())).map_err(at("seal"))?;
        Ok(file.into())
    }

    /// Maps an inherited page. The seals prove that no one can truncate it under us (SIGBUS).
    pub fn map(page: OwnedFd) -> Result<Self, HealthError> {
        let file = File::from(page);
        let seen =
            file.metadata().map_err(|source| HealthError::Step { step: "stat", source })?.len();
        if seen != PAGE_BYTES as u64 {
            return Err(HealthError::Size { seen });
        }
        let present = fcntl(&file, FcntlArg::F_GET_SEALS).map_err(at("read its seals"))?;
        if !SealFlag::from_bits_truncate(present).contains(seals()) {
            return Err(HealthError::Unsealed);
        }
        let words = map_shared(&file)?;
        let page = Self { words };
        page.store(word::MAGIC, MAGIC);
        Ok(page)
    }

    pub fn store(&self, word: usize, value: u64) {
        self.words()[word].store(value.to_le(), Ordering::Relaxed);
    }

    pub fn add(&self, word: usize, more: u64) {
        let raised = |now| Some(u64::from_le(now).wrapping_add(more).to_le());
        // The closure always gives a value, so this cannot fail.
        let _ = self.words()[word].fetch_update(Ordering::Relaxed, Ordering::Relaxed, raised);
    }

    fn words(&self) -> &[AtomicU64; WORDS] {
        // SAFETY: `map_shared` mapped exactly this array, page aligned, readable and writable; the
        // seals keep its size and Drop alone unmaps it. Others touch it through read() only.
        unsafe { self.words.as_ref() }
    }
}

impl Drop for HealthPage {
    fn drop(&mut self) {
        // SAFETY: the range is the one `map_shared` returned, unmapped once, and no reference
        // outlives `self`.
        let _ = unsafe { munmap(self.words.cast::<c_void>(), PAGE_BYTES) };
    }
}

fn seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL
}

fn map_shared(file: &File) -> Result<NonNull<[AtomicU64; WORDS]>, HealthError> {
    const LENGTH: NonZeroUsize = NonZeroUsize::new(PAGE_BYTES).expect("a page is not empty");
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a fresh shared mapping at an address of the kernel's choice; it aliases no Rust value.
    let address = unsafe { mmap(None, LENGTH, protection, MapFlags::MAP_SHARED, file, 0) };
    Ok(address.map_err(at("map"))?.cast())
}

fn at(step: &'static str) -> impl FnOnce(Errno) -> HealthError {
    move |errno| HealthError::Step { step, source: errno.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::health::Health;
    use std::os::unix::fs::FileExt;

    fn read(file: &File) -> Option<Health> {
        let mut bytes = [0; PAGE_BYTES];
        file.read_exact_at(&mut bytes, 0).unwrap();
        Health::parse(&bytes)
    }

    #[test]
    fn what_the_worker_stores_the_supervisor_reads() {
        let fd = HealthPage::create().unwrap();
        let reader = File::from(fd.try_clone().unwrap());
        assert_eq!(read(&reader), None, "before the worker maps it");
        let page = HealthPage::map(fd).unwrap();
        page.add(word::BEAT, 2);
        page.add(word::BEAT, 1);
        page.store(word::ITEM_SEQUENCE, u64::MAX);
        let health = read(&reader).unwrap();
        assert_eq!((health.beat, health.item_sequence), (3, u64::MAX));
    }

    #[test]
    fn the_page_cannot_be_resized() {
        let file = File::from(HealthPage::create().unwrap());
        assert!(file.set_len(0).is_err());
        assert!(file.set_len(2 * PAGE_BYTES as u64).is_err());
    }

    #[test]
    fn a_page_that_could_shrink_is_not_mapped() {
        let plain = memfd_create(c"x", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        let file = File::from(plain);
        let short = file.try_clone().unwrap().into();
        assert!(matches!(HealthPage::map(short), Err(HealthError::Size { seen: 0 })));
        file.set_len(PAGE_BYTES as u64).unwrap();
        assert!(matches!(HealthPage::map(file.into()), Err(HealthError::Unsealed)));
    }
}
