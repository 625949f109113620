//! Writes the vectors, the same bytes on every machine.
//!
//! Everything is made from the stored [`bases`] by named edits: an [`image`] has fields set, a
//! wire form is written field by field ([`zstd`], [`gzip`]). Each case states what must be said
//! of it by hand.

pub mod bases;
mod cases;
pub mod erofs;
pub mod gzip;
pub mod image;
pub mod suite;
pub mod tar;
pub mod zstd;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use self::bases::Bases;
use crate::manifest::{Manifest, VERSION};

/// Files in the folder of the vectors that are not made here.
const KEPT: [&str; 4] = ["DRAFT.md", "NOTICE.md", "README.md", "schema.json"];

/// All files of the vectors that are made here, by their paths, from the bases in `folder`.
///
/// # Errors
///
/// When a base is missing or is another than the one that this generator knows.
pub fn generate(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let bases = Bases::read(folder)?;
    let (cases, mut files) = cases::all(&bases);
    let named = |list: &[(&str, &str)]| {
        list.iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    };
    let manifest = Manifest {
        schema: "./schema.json".into(),
        version: VERSION,
        licence: "(MIT OR Apache-2.0) AND BSD-3-Clause".into(),
        sources: cases::sources(),
        origins: named(&cases::ORIGINS),
        groups: named(&cases::GROUPS),
        flags: named(&cases::FLAGS),
        bases: bases.listed(),
        cases,
    };
    let mut text = serde_json::to_vec_pretty(&manifest)?;
    text.push(b'\n');
    files.insert("manifest.json".into(), text);
    let coverage = crate::coverage::markdown(&manifest);
    files.insert("COVERAGE.md".into(), coverage.into_bytes());
    Ok(files)
}

/// Writes the vectors into `folder`, which holds the bases, and removes what is no part of
/// them.
///
/// # Errors
///
/// As [`generate`], and when a file cannot be written.
pub fn write(folder: &Path) -> io::Result<()> {
    let files = generate(folder)?;
    for path in stray(folder, &files)? {
        std::fs::remove_file(folder.join(path))?;
    }
    for (path, bytes) in &files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, bytes)?;
    }
    Ok(())
}

/// What in `folder` is not as [`write()`] would write it, one line each.
///
/// # Errors
///
/// As [`generate`], and when a file cannot be read.
pub fn check(folder: &Path) -> io::Result<Vec<String>> {
    let files = generate(folder)?;
    let mut wrong: Vec<String> = stray(folder, &files)?
        .into_iter()
        .map(|path| format!("{path}: is no part of the vectors"))
        .collect();
    for (path, bytes) in &files {
        match std::fs::read(folder.join(path)) {
            Ok(found) if found == *bytes => {}
            Ok(_) => wrong.push(format!("{path}: differs")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                wrong.push(format!("{path}: is missing"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(wrong)
}

/// The files in `folder` that are neither made here nor kept.
fn stray(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> io::Result<Vec<String>> {
    let mut stray = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(prefix) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&prefix))? {
            let entry = entry?;
            let name = entry.file_name();
            let path = match (prefix.as_str(), name.to_string_lossy()) {
                ("", name) => name.into_owned(),
                (prefix, name) => format!("{prefix}/{name}"),
            };
            if entry.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            let is_base = path
                .strip_prefix("bases/")
                .is_some_and(|name| bases::DIGESTS.iter().any(|(base, _)| *base == name));
            if !is_base && !KEPT.contains(&path.as_str()) && !files.contains_key(&path) {
                stray.push(path);
            }
        }
    }
    stray.sort();
    Ok(stray)
}
