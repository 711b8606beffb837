//! Builds the web console, which the binary holds: `npm ci` and `npm run build` on a copy of `connectors/console`.
//!
//! In a copy, for a build must not write into the sources. Packages are installed again only if the lockfile has changed.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// What makes the console, relative to its folder.
const SOURCES: [&str; 8] =
    ["src", "public", "dev", "index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"];
/// Settings of npm, for the install.
const NPM_SETTINGS: &str = ".npmrc";
/// A copy of the lockfile whose packages are installed.
const INSTALLED: &str = "installed-lock.json";

fn main() -> Result<(), Box<dyn Error>> {
    let console = Path::new("../console");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", console.join(source).display());
    }
    let work = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?).join("console");
    fs::create_dir_all(&work)?;
    for source in SOURCES.iter().chain(&[NPM_SETTINGS]) {
        copy(&console.join(source), &work.join(source))?;
    }
    let lockfile = fs::read(work.join("package-lock.json"))?;
    if fs::read(work.join(INSTALLED)).ok().as_ref() != Some(&lockfile) {
        npm(&work, &["ci", "--no-audit", "--no-fund", "--loglevel=error"])?;
        fs::write(work.join(INSTALLED), &lockfile)?;
    }
    npm(&work, &["run", "--silent", "build"])
}

/// Copies a file, or a folder in place of what was there.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let run = Command::new("npm").args(arguments).current_dir(folder).output();
    let run = run.map_err(|error| {
        format!("the web console is built with npm, which can't be run: {error}; on Debian: apt-get install npm")
    })?;
    if run.status.success() {
        return Ok(());
    }
    let (said, complained) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    Err(format!("npm {} in connectors/console failed:\n{said}{complained}", arguments.join(" ")).into())
}
