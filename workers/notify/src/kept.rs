//! What outlives this process, as a file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

#[derive(Clone, Debug)]
pub(crate) struct Kept(PathBuf);

impl Kept {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// `None` when there is none that can be read.
    pub(crate) fn load<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&fs::read(&self.0).ok()?).ok()
    }

    /// All of it, or what was kept before.
    pub(crate) fn save(&self, what: &impl Serialize) -> io::Result<()> {
        fs::create_dir_all(self.0.parent().unwrap_or_else(|| Path::new(".")))?;
        let fresh = self.0.with_added_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(what)?)?;
        file.sync_data()?;
        fs::rename(&fresh, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use protocol::time::UtcNs;

    use super::*;
    use crate::queue::Queue;

    #[test]
    fn what_is_kept_is_loaded_and_what_is_none_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::at(dir.path().join("below/tell.json"));
        assert_eq!(kept.load::<Queue>(), None);
        let queue = Queue::since(UtcNs(7));
        kept.save(&queue).unwrap();
        assert_eq!(kept.load(), Some(queue));
        fs::write(&kept.0, "{").unwrap();
        assert_eq!(kept.load::<Queue>(), None);
    }
}
