//! Packages of npm, for tests alone: pinned by version and hash, kept in the tests' cache, so that they are
//! fetched once. Without node, npm or a network there is none, and a test that wants it says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::{Failure, Outcome, ensure};

/// A package without dependencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: &'static str,
    pub version: &'static str,
    /// SHA-512 of its archive in hex; `npm view NAME@VERSION dist.integrity` has it in base64.
    pub sha512: &'static str,
    /// The first version of node that runs it.
    pub node: u32,
}

/// GPAC's reader of MP4 files.
pub const MP4BOX: Package = Package {
    name: "mp4box",
    version: "2.4.1",
    sha512: "d07197ee75e80c85fa14a2d59786b7c2d623065c2ab0ddf1b900b7197ccdb4aa7df055d43a10d2abadb76b3b33f031b9a6d77d657717a1d0e481b74c64e8d6bf",
    node: 20,
};

/// Finds what keeps people from using a page.
pub const AXE: Package = Package {
    name: "axe-core",
    version: "4.14.1",
    sha512: "1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5",
    node: 18,
};

/// The player of HLS and LL-HLS that most pages have.
pub const HLS_JS: Package = Package {
    name: "hls.js",
    version: "1.7.4",
    sha512: "dc697119d3ef4f6607bd060eb7ec8ecd3fc3122a2bfea255348ca51c0efb9207a805375042a8bbd06c1e7cd11498741e346ca30bc53adbe6ebbaa5bf4e99beb6",
    node: 18,
};

/// What draws the graphs of the page; it stands in `workers/web/page/vendor` as it came.
pub const UPLOT: Package = Package {
    name: "uplot",
    version: "1.6.32",
    sha512: "2883159c6ebccefbb95d751b0b82d010f9e1c0ec41b8bc96d401eda66e882935c89a46cb824332fa369b8cb8122cc6ac36e186cd09bf7a9ded3a4c93c6989023",
    node: 18,
};

impl Package {
    /// Its folder. `Ok(Err(why))` where it cannot be had; another archive than the pinned one is a failure.
    pub fn folder(&self) -> Outcome<Result<PathBuf, String>> {
        if let Err(why) = self.node_runs_it() {
            return Ok(Err(why));
        }
        let cache = std::env::temp_dir().join("framevisor-test-cache/npm");
        fs::create_dir_all(&cache).map_err(Failure::new)?;
        let name = format!("{}-{}", self.name, self.version);
        let archive = cache.join(format!("{name}.tgz"));
        if !archive.exists()
            && let Err(why) = self.fetch(&cache, &archive)
        {
            return Ok(Err(why));
        }
        let sum = sha512(&archive)?;
        if sum != self.sha512 {
            fs::remove_file(&archive).map_err(Failure::new)?;
            let expected = self.sha512;
            return Err(Failure(format!("{name}: SHA-512 {sum}, expected {expected}; removed")));
        }
        let folder = cache.join(&name);
        if !folder.exists() {
            unpack(&archive, &folder)?;
        }
        Ok(Ok(folder))
    }

    fn node_runs_it(&self) -> Result<(), String> {
        let output = Command::new("node").arg("--version").output();
        let version =
            output.map(|output| text(&output)).map_err(|error| format!("node: {error}"))?;
        let major = version.trim_start_matches('v').split('.').next().unwrap_or_default();
        match major.parse::<u32>() {
            Ok(major) if major >= self.node => Ok(()),
            _ => Err(format!("{} needs node {}, here is {version}", self.name, self.node)),
        }
    }

    /// As npm fetches it, from whatever registry it is set up with.
    fn fetch(&self, cache: &Path, archive: &Path) -> Result<(), String> {
        let own = cache.join(format!("fetch-{}", std::process::id()));
        fs::create_dir_all(&own).map_err(|error| error.to_string())?;
        let wanted = format!("{}@{}", self.name, self.version);
        let output = Command::new("timeout")
            .args(["120", "npm", "pack", "--silent", "--fetch-retries=0", &wanted])
            .current_dir(&own)
            .output();
        let fetched = own.join(format!("{}-{}.tgz", self.name, self.version));
        let moved = output.is_ok() && fs::rename(&fetched, archive).is_ok();
        let _ = fs::remove_dir_all(&own);
        let why = || match output {
            Ok(output) => format!("{}; {}", output.status, String::from_utf8_lossy(&output.stderr)),
            Err(error) => error.to_string(),
        };
        if moved { Ok(()) } else { Err(format!("npm pack {wanted}: {}", why())) }
    }
}

fn sha512(file: &Path) -> Outcome<String> {
    let output = Command::new("sha512sum").arg(file).output().map_err(Failure::new)?;
    ensure(output.status.success(), || format!("sha512sum {}", file.display()))?;
    Ok(text(&output).split_whitespace().next().unwrap_or_default().to_owned())
}

/// The folder is there when it is whole.
fn unpack(archive: &Path, folder: &Path) -> Outcome<()> {
    let part = folder.with_extension(format!("part-{}", std::process::id()));
    fs::create_dir_all(&part).map_err(Failure::new)?;
    let status = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&part).status();
    ensure(status.is_ok_and(|status| status.success()), || format!("tar {}", archive.display()))?;
    let moved = fs::rename(part.join("package"), folder);
    let _ = fs::remove_dir_all(&part);
    // Another process may have been first.
    ensure(moved.is_ok() || folder.exists(), || format!("cannot make {}", folder.display()))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
