//! Seeds for the fuzz targets of `core/fuzz`, from the inputs of the cases.

use std::io;
use std::path::Path;

use crate::blob::Blob;
use crate::manifest::{Case, Manifest, Operation};

/// The largest input that is a seed, in bytes: larger ones only make fuzzing slow.
const LARGEST: u64 = 64 << 10;

/// Writes `corpus/TARGET/CASE` for each case that is an input of a target; how many.
///
/// # Errors
///
/// When an input cannot be read or a seed cannot be written.
pub fn write(manifest: &Manifest, vectors: &Path, corpus: &Path) -> io::Result<usize> {
    let mut count = 0;
    for case in &manifest.cases {
        for (target, bytes) in inputs(case, vectors)? {
            let folder = corpus.join(target);
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(case.id.replace('/', "-")), bytes)?;
            count += 1;
        }
    }
    Ok(count)
}

/// What a case is to which target.
fn inputs(case: &Case, folder: &Path) -> io::Result<Vec<(&'static str, Vec<u8>)>> {
    let small = |blob: &Blob| blob.size <= LARGEST;
    let text = |text: &str| vec![("text", text.as_bytes().to_vec())];
    let lines = |annotations: &std::collections::BTreeMap<String, String>| {
        let lines: Vec<String> = annotations
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        ("text", lines.join("\n").into_bytes())
    };
    let image = |blob: &Blob| -> io::Result<Vec<_>> {
        let image = blob.read(folder)?;
        let targets = ["check", "reader", "superblock"];
        Ok(targets
            .map(|target| (target, image.clone()))
            .into_iter()
            .collect())
    };
    Ok(match &case.operation {
        Operation::MediaType(input) => text(&input.text),
        Operation::Digest(input) | Operation::Platform(input) => text(&input.text),
        Operation::Annotations(input) => vec![lines(&input.annotations)],
        Operation::LayoutMarker(input) | Operation::Document(input) | Operation::Config(input)
            if small(&input.document) =>
        {
            vec![("documents", input.document.read(folder)?)]
        }
        Operation::Select(input) => vec![("documents", input.index.read(folder)?)],
        Operation::Plan(input) if small(&input.manifest) => {
            let mut bytes = input.manifest.read(folder)?;
            if let Some(config) = &input.config {
                bytes.push(0);
                bytes.extend(config.read(folder)?);
            }
            vec![("documents", bytes)]
        }
        Operation::Unpack(input) if small(&input.blob) => {
            let target = match input.media_type.split(';').next() {
                Some(name) if name.ends_with("+zstd") => "zstd",
                Some(name) if name.ends_with("+gzip") => "gzip",
                _ => "superblock",
            };
            vec![(target, input.blob.read(folder)?)]
        }
        Operation::Seek(input) if small(&input.blob) => {
            vec![("chunks", input.blob.read(folder)?)]
        }
        Operation::Tar(input) | Operation::Build(input) if small(&input.archive) => {
            vec![("tar", input.archive.read(folder)?)]
        }
        Operation::Check(input) if small(&input.image) => image(&input.image)?,
        Operation::Read(input) if small(&input.image) => image(&input.image)?,
        // The blobs of layouts are those of other cases.
        _ => Vec::new(),
    })
}
