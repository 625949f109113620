//! An image through the core's check.

use std::io;
use std::path::Path;

use erofs_unpack_core::check::{self, Options, Severity, Summary};
use erofs_unpack_core::erofs::{ReadError, Release};
use erofs_unpack_core::{Error, Limits};
use serde_json::{Map, json};

use super::convert::{limits, outputs, policy, refusal};
use crate::manifest::{CheckInput, Level};
use crate::run::Answer;

/// Checks an image. It is refused with its first error.
pub(super) fn check(input: &CheckInput, folder: &Path) -> io::Result<Answer> {
    check_with(input, folder, |image, limits, options, sink| {
        let checked = check::check(image, image.len() as u64, limits, options, sink);
        checked.map_err(|error| match error {
            ReadError::Refused(error) => ReadError::Refused(error),
            ReadError::Source(error) => ReadError::Source(io::Error::other(error)),
        })
    })
}

/// What takes the findings.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&check::Finding);

/// Answers with what `run` says of the image.
pub(crate) fn check_with(
    input: &CheckInput,
    folder: &Path,
    run: impl FnOnce(&[u8], &Limits, &Options, Sink<'_>) -> Result<Summary, ReadError<io::Error>>,
) -> io::Result<Answer> {
    let image = input.image.read(folder)?;
    let mut options = Options::default();
    options.level = match input.level {
        Level::Superblock => check::Level::Superblock,
        Level::Metadata => check::Level::Metadata,
        Level::Full => check::Level::Full,
    };
    options.policy = policy(input.policy);
    options.devices = input.devices;
    options.kernel = match &input.kernel {
        None => None,
        Some(text) => match Release::parse(text) {
            None => return Ok(Answer::Unable(format!("{text} is no release"))),
            release => release,
        },
    };
    for id in &input.allow {
        if !options.allow(id) {
            return Ok(Answer::Unable(format!("there is no rule {id}")));
        }
    }
    let mut findings = Vec::new();
    let mut sink = |finding: &check::Finding| findings.push(*finding);
    let checked = run(&image, &limits(&input.limits), &options, &mut sink);
    let ids = |severity| {
        let mut ids: Vec<&str> = findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .map(|finding| finding.error.id())
            .collect();
        // Which rules are broken, not how often: one fault may be met on several ways.
        ids.sort_unstable();
        ids.dedup();
        json!(ids)
    };
    let mut said = Map::from_iter([
        ("errors".to_owned(), ids(Severity::Error)),
        ("warnings".to_owned(), ids(Severity::Warning)),
    ]);
    let summary = match checked {
        Ok(summary) => summary,
        Err(ReadError::Refused(error)) => return Ok(Answer::Invalid(refusal(&error), said)),
        Err(ReadError::Source(error)) => return Err(error),
    };
    said.extend(outputs(json!({
        "inodes": summary.inodes,
        "directories": summary.directories,
    })));
    let first: Option<Error> = findings
        .iter()
        .find(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.error);
    Ok(match first {
        Some(error) => Answer::Invalid(refusal(&error), said),
        None => Answer::Valid(said),
    })
}
