//! The operation `cache verify`.

use std::path::Path;

use erofs_unpack_core::Limits;
use erofs_unpack_core::oci::{Digest, Policy};
use serde::Serialize;

use super::Cache;
use super::content::{Verify, verify_entry};
use super::report::Report;
use crate::done::Done;
use crate::error::HostError;
use crate::observer::{Item, Observer};
use crate::options::Checks;
use crate::report::ErrorReport;
use crate::sandbox::Sandbox;
use crate::system::processors;

/// What is verified.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// The diffIDs of the entries; none means all.
    pub diff_ids: Vec<Digest>,
    /// How the insides of images are checked; `None` for not at all.
    pub check: Option<Checks>,
    /// How strictly.
    pub policy: Policy,
    /// Verify dm-verity trees too, where an entry has one.
    pub dm_verity: bool,
    /// Images whose digest is another pass if all else does: those that were made from tar layers
    /// lie under the diffIDs of the tar archives.
    pub converted: bool,
    /// What an image may ask for.
    pub limits: Limits,
    /// Where images are checked.
    pub sandbox: Sandbox,
}

/// What came of the entries.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verified {
    /// The entries.
    pub entries: Vec<VerifiedEntry>,
}

/// An entry that was verified.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedEntry {
    /// The diffID that its name states.
    pub diff_id: String,
    /// `passed`, `refused`, or `failed` where the system did not do what was asked of it.
    pub status: &'static str,
    /// Whether its digest is the one that its name states; absent where it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// Whether it has a dm-verity tree.
    pub dm_verity: bool,
    /// Why it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

/// Verifies the entries of a cache: digest, inside of the image, dm-verity tree.
///
/// The observer is told of each entry as it is done with. An entry that does not pass is no error
/// of this operation: the report says it, and its exit code.
pub fn verify(
    dir: &Path,
    options: &VerifyOptions,
    observer: &dyn Observer,
) -> Done<Report<Verified>> {
    Done::run(Report::new("cache verify", dir), |done| {
        let report = &mut done.report;
        let check = match &options.check {
            None => None,
            Some(checks) => Some(checks.options(options.policy)?),
        };
        let cache = Cache::open(dir)?;
        let wanted: Vec<Digest> = if options.diff_ids.is_empty() {
            let listing = cache.list()?;
            report.foreign(&listing);
            listing.entries.iter().map(|entry| entry.diff_id).collect()
        } else {
            options.diff_ids.clone()
        };
        let mut how = Verify::new(check, options.limits, &options.sandbox);
        how.jobs = processors();
        how.tree = options.dm_verity;
        how.converted = options.converted;
        for diff_id in &wanted {
            let mut entry = VerifiedEntry {
                diff_id: diff_id.to_string(),
                status: "passed",
                verified: None,
                dm_verity: false,
                error: None,
            };
            let error = match verify_entry(&cache, diff_id, &how) {
                Ok(Some(content)) => {
                    entry.verified = Some(content.is_named);
                    entry.dm_verity = content.sidecar.is_some();
                    None
                }
                // It went since it was listed.
                Ok(None) if options.diff_ids.is_empty() => continue,
                Ok(None) => {
                    let missing = rustix::io::Errno::NOENT;
                    let path = cache.path_of(diff_id);
                    Some(HostError::environment(path, "open for reading", missing))
                }
                Err(error) => Some(error),
            };
            if let Some(error) = &error {
                refused(report, &mut entry, error);
            }
            let status = entry.status;
            let is_named = entry.verified.unwrap_or(true);
            report.own.entries.push(entry);
            observer.item(&Item {
                diff_id,
                status,
                is_named,
                error: error.as_ref(),
            })?;
        }
        Ok(())
    })
}

/// Notes an entry that did not pass. A refusal outranks what the system failed at.
fn refused(report: &mut Report<Verified>, entry: &mut VerifiedEntry, error: &HostError) {
    let code = error.exit_code();
    report.found_code = match report.found_code {
        0 => code,
        other => other.min(code),
    };
    entry.status = if code == 1 { "refused" } else { "failed" };
    entry.error = Some(ErrorReport::of(error));
}
