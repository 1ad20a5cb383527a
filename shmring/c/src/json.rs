//! What is known of rings, as JSON.

use std::ffi::{CString, c_char};

use protocol::name::{ProjectName, RingName};
use serde_json::{Value, json};
use shmring::{census, clock, project};

use crate::error::{Error, pointer, quietly};
use crate::handle;
use crate::input;
use crate::reader::Reader;

/// # Safety
/// As in the header: `reader` NULL or attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_reader_json(reader: *mut Reader) -> *mut c_char {
    pointer(|| {
        // SAFETY: by the caller's word.
        let reader = unsafe { handle::look(reader) }?;
        let mut row = row(&reader.project, &reader.ring)?;
        let (source, own) = reader.facts();
        (row["source"], row["reader"]) = (source, own);
        text(&row)
    })
}

/// # Safety
/// As in the header: `project` NULL or a text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_rings_json(project: *const c_char) -> *mut c_char {
    pointer(|| {
        // SAFETY: by the caller's word.
        let project = unsafe { input::text("project", project) }?;
        let projects = project::given(project)?.map_or_else(project::all, |given| vec![given]);
        let mut rows = Vec::new();
        for project in &projects {
            for ring in census::names(project) {
                rows.push(row(project, &ring)?);
            }
        }
        text(&Value::Array(rows))
    })
}

/// A row of the census, with its project.
fn row(project: &ProjectName, ring: &RingName) -> Result<Value, Error> {
    let status = census::status(project, ring, clock::mono());
    let mut row = serde_json::to_value(status).map_err(shmring::Error::from)?;
    row["project"] = json!(project);
    Ok(row)
}

/// For `shmring_free`.
pub(crate) fn text(value: &Value) -> Result<*mut c_char, Error> {
    // JSON writes a NUL as an escape.
    let text = CString::new(value.to_string());
    Ok(text.map_err(|error| Error::Bug(error.to_string()))?.into_raw())
}

/// # Safety
/// As in the header: NULL, or a text this library made, not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_free(text: *mut c_char) {
    quietly(|| {
        if !text.is_null() {
            // SAFETY: not NULL, so one of `text`'s by the caller's word, with the length it had.
            drop(unsafe { CString::from_raw(text) });
        }
    });
}
