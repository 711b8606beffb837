//! The inputs that cases are made of: the committed files of `corpus/<target>/`, and the schemas' examples.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Folder of a target's files.
pub fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// A target's files by name; none if it has no folder yet.
///
/// # Errors
/// If a file can't be read.
pub fn files(target: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = folder(target);
    let mut files = Vec::new();
    if !folder.is_dir() {
        return Ok(files);
    }
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, fs::read(&path).with_context(|| path.display().to_string())?));
    }
    files.sort();
    Ok(files)
}

/// Adds a file to a target's corpus and gives its path. The name ends in a hash of the contents: the same input is kept
/// once.
///
/// # Errors
/// If it can't be written.
pub fn keep(target: &str, kind: &str, input: &[u8]) -> Result<PathBuf> {
    let folder = folder(target);
    fs::create_dir_all(&folder)?;
    let hash = input
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let path = folder.join(format!("{kind}-{hash:016x}"));
    fs::write(&path, input)?;
    Ok(path)
}

/// Values of the schema examples of a topic, as JSON text.
///
/// # Errors
/// If they can't be read.
pub fn examples(stem: &str) -> Result<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/examples").join(stem);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    paths.iter().map(|path| Ok(fs::read_to_string(path)?)).collect()
}
