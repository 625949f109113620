//! An image through the core's check.

use std::io;
use std::path::Path;

use erofs_unpack_core::Error;
use erofs_unpack_core::check::{self, Options, Severity};
use erofs_unpack_core::erofs::ReadError;
use erofs_unpack_core::oci;
use serde_json::{Map, json};

use super::{limits, outputs, refusal};
use crate::manifest::{CheckInput, Level, Policy};
use crate::run::Answer;

/// Checks an image. It is refused with its first error.
pub(super) fn check(input: &CheckInput, folder: &Path) -> io::Result<Answer> {
    let image = input.image.read(folder)?;
    let mut options = Options::default();
    options.level = match input.level {
        Level::Superblock => check::Level::Superblock,
        Level::Metadata => check::Level::Metadata,
        Level::Full => check::Level::Full,
    };
    options.policy = policy(input.policy);
    options.devices = input.devices;
    for id in &input.allow {
        if !options.allow(id) {
            return Ok(Answer::Unable(format!("there is no rule {id}")));
        }
    }
    let mut findings = Vec::new();
    let mut sink = |finding: &check::Finding| findings.push(*finding);
    let limits = limits(&input.limits);
    let size = image.len() as u64;
    let checked = check::check(&image[..], size, &limits, &options, &mut sink);
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
        Err(ReadError::Source(error)) => return Err(io::Error::other(format!("{error:?}"))),
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

const fn policy(policy: Policy) -> oci::Policy {
    match policy {
        Policy::Any => oci::Policy::Any,
        Policy::Containerd => oci::Policy::Containerd,
        Policy::Strict => oci::Policy::Strict,
    }
}
