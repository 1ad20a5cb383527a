//! What the page has of others is what they published, byte for byte.

use std::fs;
use std::path::Path;

use tests::npm::UPLOT;
use tests::{Outcome, ensure};

/// A file of the page, and the one of the package that it is.
const FILES: &[(&str, &str)] = &[
    ("uPlot.js", "dist/uPlot.esm.js"),
    ("uPlot.css", "dist/uPlot.min.css"),
    ("uPlot.LICENSE.txt", "LICENSE"),
];

fn same() -> Outcome<()> {
    let package = match UPLOT.folder()? {
        Ok(folder) => folder,
        Err(why) => {
            println!("skipped: {why}");
            return Ok(());
        }
    };
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workers/web/page/vendor");
    for (file, published) in FILES {
        let read = |path: &Path| fs::read(path).map_err(tests::Failure::new);
        let is_same = read(&ours.join(file))? == read(&package.join(published))?;
        ensure(is_same, || {
            format!("{file} is not {published} of {} {}", UPLOT.name, UPLOT.version)
        })?;
    }
    Ok(())
}

#[test]
fn what_the_page_has_of_others_is_as_they_published_it() {
    same().unwrap_or_else(|failure| panic!("{failure}"));
}
