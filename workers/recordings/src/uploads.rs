//! Which recordings are in a store: `CAMERA/uploads.jsonl`, a line for each, written by uploaders once the store
//! has said so. It is what tells a file that is safe elsewhere from one that is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::time::UtcNs;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::lines::{self, Lines};

/// In the directory of its camera.
const UPLOADS_FILE: &str = "uploads.jsonl";
/// Of the lines; a reader passes over those of another.
const VERSION: u32 = 1;

/// A recording that is in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    v: u32,
    /// Of the recording.
    pub number: u64,
    /// What the file was when it was sent: one of another length was changed since.
    pub bytes: u64,
    /// Of all of it, in hexadecimal digits.
    pub sha256: String,
    /// Where it is: `s3://BUCKET/KEY`.
    pub url: String,
    /// Which store that is, when it is not Amazon's: buckets of two may have one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    pub at_utc_ns: UtcNs,
}

impl Upload {
    pub fn new(number: u64, bytes: u64, sha256: String, url: String, at_utc_ns: UtcNs) -> Self {
        Self { v: VERSION, number, bytes, sha256, url, endpoint: None, at_utc_ns }
    }

    /// In the store that answers there.
    pub fn at(self, endpoint: Option<String>) -> Self {
        Self { endpoint, ..self }
    }

    fn is_where(&self, other: &Self) -> bool {
        (&self.url, &self.endpoint) == (&other.url, &other.endpoint)
    }
}

/// Where it stands what of a camera is in a store.
pub fn uploads_file(folder: &Path) -> PathBuf {
    folder.join(UPLOADS_FILE)
}

/// By the numbers of the recordings; of each the last word of each place.
pub fn uploads(folder: &Path) -> Result<BTreeMap<u64, Vec<Upload>>, Error> {
    let mut found: BTreeMap<u64, Vec<Upload>> = BTreeMap::new();
    for upload in lines::read::<Upload>(&uploads_file(folder))? {
        if upload.v == VERSION {
            let places = found.entry(upload.number).or_default();
            places.retain(|before| !before.is_where(&upload));
            places.push(upload);
        }
    }
    Ok(found)
}

/// What the file says from a place on, in its order, and where that ends.
pub(crate) fn uploads_from(folder: &Path, from: u64) -> Result<(Vec<Upload>, u64), Error> {
    let (lines, upto) = lines::read_from::<Upload>(&uploads_file(folder), from)?;
    Ok((lines.into_iter().filter(|upload| upload.v == VERSION).collect(), upto))
}

/// Notes durably that a recording is in a store.
pub fn add_upload(folder: &Path, upload: &Upload) -> Result<(), Error> {
    Lines::open(&uploads_file(folder))?.push(upload)
}

/// Forgets what is not wanted any more, when there is such; how many.
pub fn forget_uploads(folder: &Path, keep: impl Fn(&Upload) -> bool) -> Result<usize, Error> {
    let path = uploads_file(folder);
    if !path.exists() {
        return Ok(0);
    }
    let lines = Lines::open(&path)?;
    let all = uploads(folder)?;
    let before = all.values().map(Vec::len).sum::<usize>();
    let kept: Vec<Upload> = all.into_values().flatten().filter(|upload| keep(upload)).collect();
    if kept.len() < before {
        lines.replace(&kept)?;
    }
    Ok(before - kept.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(number: u64, bytes: u64, bucket: &str) -> Upload {
        let url = format!("s3://{bucket}/cam1/{number}.mp4");
        Upload::new(number, bytes, "00ff".to_owned(), url, UtcNs(9))
    }

    #[test]
    fn the_last_word_about_each_place_of_a_recording_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert!(uploads(dir.path()).unwrap().is_empty());
        for upload in
            [upload(1, 10, "a"), upload(2, 20, "a"), upload(1, 10, "b"), upload(1, 8, "a")]
        {
            add_upload(dir.path(), &upload).unwrap();
        }
        let found = uploads(dir.path()).unwrap();
        let of_one: Vec<u64> = found[&1].iter().map(|upload| upload.bytes).collect();
        assert_eq!((of_one, found[&2].len()), (vec![10, 8], 1));
        assert_eq!(forget_uploads(dir.path(), |upload| upload.number > 1).unwrap(), 2);
        assert_eq!(uploads(dir.path()).unwrap().into_keys().collect::<Vec<_>>(), [2]);
        assert_eq!(forget_uploads(dir.path(), |_| true).unwrap(), 0);
    }

    #[test]
    fn buckets_of_one_name_in_two_stores_are_two_places() {
        let dir = tempfile::tempdir().unwrap();
        let endpoints = [None, Some("http://10.0.0.9:9000".to_owned()), None];
        for endpoint in endpoints.clone() {
            add_upload(dir.path(), &upload(1, 10, "a").at(endpoint)).unwrap();
        }
        let found = uploads(dir.path()).unwrap();
        let places: Vec<_> = found[&1].iter().map(|upload| upload.endpoint.clone()).collect();
        assert_eq!(places, endpoints[1..]);
    }
}
