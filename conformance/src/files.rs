//! Files of other suites, which the project may not or need not hold: what must decode lies in one
//! folder, what must be refused in another. Each is asked of the core as a device layer, whose content
//! may be any bytes.

use std::io;
use std::path::{Path, PathBuf};

use erofs_unpack_core::oci::keys;

use crate::blob::{Blob, Content, measure};
use crate::manifest::{Limits, UnpackInput};
use crate::native::Native;

/// The window that `zstd -d` takes, in bytes.
const WINDOW: u64 = 128 << 20;
/// Larger files are asked in large pieces only, in bytes.
const LARGE: u64 = 1 << 20;
/// The ends of the names of files that are looked at, and the media types that these stand for.
const FORMS: [(&str, &str); 3] = [
    ("zst", "application/vnd.erofs+zstd"),
    ("gz", "application/vnd.erofs+gzip"),
    ("gzip", "application/vnd.erofs+gzip"),
];

/// What came of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many files were asked.
    pub files: usize,
    /// What is wrong, a line for each file.
    pub wrong: Vec<String>,
}

/// Asks the core about every `.zst`, `.gz` and `.gzip` in a folder, not in those below it: with every
/// library and in pieces of every size, which must all say the same. A file beside it whose name is the
/// same without that end is what must come out.
///
/// # Errors
///
/// When the folder or a file in it cannot be read.
pub fn check(folder: &Path, valid: bool) -> io::Result<Report> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if form(&path).is_some() && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let mut report = Report {
        files: paths.len(),
        wrong: Vec::new(),
    };
    for path in paths {
        if let Err(text) = check_file(folder, &path, valid)? {
            report.wrong.push(format!("{}: {text}", path.display()));
        }
    }
    Ok(report)
}

/// The media type that a name stands for.
fn form(path: &Path) -> Option<&'static str> {
    let end = path.extension()?.to_str()?;
    let form = FORMS.iter().find(|(name, _)| *name == end)?;
    Some(form.1)
}

fn check_file(folder: &Path, path: &Path, valid: bool) -> io::Result<Result<(), String>> {
    let (Some(media_type), Some(name)) = (form(path), path.file_name().and_then(|n| n.to_str()))
    else {
        return Ok(Err("has no name that can be read".into()));
    };
    let (size, sha256) = measure(std::fs::File::open(path)?)?;
    let limits = Limits {
        zstd_window: Some(WINDOW),
        ..Limits::default()
    };
    let input = UnpackInput {
        blob: Blob {
            content: Content::File(name.to_owned()),
            size,
            sha256,
        },
        media_type: media_type.to_owned(),
        digest: None,
        size: None,
        diff_id: None,
        annotations: [(keys::ROLE.to_owned(), "device".to_owned())].into(),
        devices: None,
        limits,
    };
    let content: PathBuf = path.with_extension("");
    let wanted = match std::fs::File::open(&content) {
        Ok(file) => Some(format!("sha256:{}", measure(file)?.1)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut first = None;
    for native in Native::for_blobs(size > LARGE) {
        let said = match native.unpack(&input, folder)? {
            Ok(outcome) => Ok(outcome.diff_id.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let by = format!(
            "{:?}, {:?}, {} bytes into {}",
            native.zstd, native.gzip, native.input, native.output
        );
        match (&said, valid) {
            (Ok(_), false) => return Ok(Err(format!("is taken ({by})"))),
            (Err(error), true) => return Ok(Err(format!("{error} ({by})"))),
            (Ok(digest), true) if wanted.as_ref().is_some_and(|wanted| wanted != digest) => {
                return Ok(Err(format!("decodes to other content ({by})")));
            }
            _ => {}
        }
        // Of what is refused the libraries may give different reasons.
        if valid && *first.get_or_insert_with(|| said.clone()) != said {
            return Ok(Err(format!("decodes in more than one way ({by})")));
        }
    }
    Ok(Ok(()))
}
