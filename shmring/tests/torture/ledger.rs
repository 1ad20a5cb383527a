//! What each part has done, in a file that outlives it: a part may be killed after any item.

use std::fs::{File, OpenOptions};
use std::io::Error;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Words of one part's page.
const WORDS: usize = 32;
const PAGE_BYTES: u64 = WORDS as u64 * 8;

/// Defines the counters once: their field, and their place in the page.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The figures of one part, over all of its lives.
        #[derive(Clone, Copy, Debug, Default)]
        pub(crate) struct Figures {
            $($(#[$doc])* pub(crate) $name: u64,)*
        }

        impl Figures {
            fn to_words(self) -> [u64; WORDS] {
                let mut words = [0; WORDS];
                let mut place = words.iter_mut();
                $(*place.next().unwrap() = self.$name;)*
                words
            }

            fn from_words(words: [u64; WORDS]) -> Self {
                let mut words = words.into_iter();
                Self { $($name: words.next().unwrap(),)* }
            }
        }
    };
}

counters! {
    /// Pictures or packets published, or looked at.
    items,
    /// Pictures that changed, or mixed two, while they were leased.
    torn,
    /// Pictures and packets whole but not what their number says.
    bad,
    missed,
    /// Times that whole epochs were told as gone.
    lost_epochs,
    new_epochs,
    /// Packets neither read nor told as missed, and those read twice.
    unaccounted,
    /// Answers that no part of a healthy ring should get.
    errors,
    /// Loans refused although leases can never exhaust a ring.
    starved,
    /// Where a packet reader goes on after its death; what a writer has published.
    epoch,
    sequence,
    /// The ring ended, and this part was told or said so.
    ended,
    /// Descriptors, mappings and address space of a part that is never killed: at first, and at most.
    descriptors_first,
    descriptors_most,
    mappings_first,
    mappings_most,
    space_first_kib,
    space_most_kib,
}

/// The file of all pages. Page 0 is the director's word to the parts.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    path: PathBuf,
}

impl Ledger {
    pub(crate) fn create(path: PathBuf) -> Result<Self, Error> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(Self { file, path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn ask_to_finish(&self) {
        self.file.write_all_at(&1u64.to_le_bytes(), 0).unwrap();
    }

    pub(crate) fn figures(&self, page: u64) -> Figures {
        read(&self.file, page)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// One part's page, in its hands.
#[derive(Debug)]
pub(crate) struct Page {
    file: File,
    number: u64,
    pub(crate) figures: Figures,
}

impl Page {
    /// Goes on where the part's last life ended. The page's number ends the ledger's name in `at`.
    pub(crate) fn open(at: &str) -> Self {
        let (path, number) = at.rsplit_once(':').unwrap();
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let number = number.parse().unwrap();
        let figures = read(&file, number);
        Self { file, number, figures }
    }

    pub(crate) fn save(&self) {
        let bytes: Vec<u8> =
            self.figures.to_words().iter().flat_map(|word| word.to_le_bytes()).collect();
        self.file.write_all_at(&bytes, self.number * PAGE_BYTES).unwrap();
    }

    pub(crate) fn is_to_finish(&self) -> bool {
        let mut word = [0; 8];
        self.file.read_exact_at(&mut word, 0).is_ok_and(|()| word != [0; 8])
    }
}

fn read(file: &File, page: u64) -> Figures {
    let mut bytes = [0; WORDS * 8];
    // A page never written is one of zeros.
    let _ = file.read_at(&mut bytes, page * PAGE_BYTES);
    let mut words = bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    Figures::from_words(std::array::from_fn(|_| words.next().unwrap()))
}
