//! `erofs-unpack cache verify`.

use erofs_unpack_core::oci::Digest;
use serde::Serialize;

use super::{End, foreign};
use crate::cache::{self, Cache, Verify, VeritySetup};
use crate::cli::CacheVerify;
use crate::error::HostError;
use crate::processors::processors;
use crate::report::{ErrorReport, shown};
use crate::say;

/// An entry, for `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryReport {
    diff_id: String,
    /// `passed`, `refused`, or `failed` where the system did not do what was asked of it.
    status: &'static str,
    /// Whether its digest is the one that its name states; absent where it did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    dm_verity: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
}

#[derive(Default, Serialize)]
struct Found {
    entries: Vec<EntryReport>,
    #[serde(skip)]
    code: u8,
}

pub(super) fn run(args: &CacheVerify) -> u8 {
    let mut found = Found::default();
    let mut warnings = Vec::new();
    let error = verify(args, &mut found, &mut warnings).err();
    let end = End {
        command: "cache verify",
        dir: &args.dir,
        quiet: args.talk.quiet,
        code: found.code,
        warnings: &warnings,
        error: error.as_ref(),
    };
    end.tell(args.json.then_some(&found))
}

fn verify(
    args: &CacheVerify,
    found: &mut Found,
    warnings: &mut Vec<String>,
) -> Result<(), HostError> {
    let check = if args.no_check {
        None
    } else {
        Some(args.check.options(args.policy.into())?)
    };
    let cache = Cache::open(&args.dir)?;
    let wanted: Vec<Digest> = if args.diff_ids.is_empty() {
        let listing = cache.list()?;
        *warnings = foreign(&listing);
        listing.entries.iter().map(|entry| entry.diff_id).collect()
    } else {
        args.diff_ids.clone()
    };
    let isolation = args.sandbox.isolation()?;
    let mut how = Verify::new(check, args.limits.limits(), &isolation);
    how.jobs = processors();
    how.tree = (!args.no_dm_verity).then_some(VeritySetup::on_demand());
    how.converted = args.converted;
    for diff_id in &wanted {
        let result = cache::verify(&cache, diff_id, &how);
        let mut report = EntryReport {
            diff_id: diff_id.to_string(),
            status: "passed",
            verified: None,
            dm_verity: false,
            error: None,
        };
        let line = match result {
            Ok(Some(verified)) => {
                report.verified = Some(verified.is_named);
                report.dm_verity = verified.sidecar.is_some();
                let named = if verified.is_named {
                    ""
                } else {
                    " (from a tar layer: its digest says nothing)"
                };
                format!("passed {diff_id}{named}\n")
            }
            // It went since it was listed.
            Ok(None) if args.diff_ids.is_empty() => continue,
            Ok(None) => {
                let missing = rustix::io::Errno::NOENT;
                let path = cache.path_of(diff_id);
                let error = HostError::environment(path, "open for reading", missing);
                refused(found, &mut report, &error)
            }
            Err(error) => refused(found, &mut report, &error),
        };
        found.entries.push(report);
        if !args.json && !args.talk.quiet {
            say::print(&line)?;
        }
    }
    if args.talk.verbose && !args.json {
        let bad = found.entries.iter().filter(|entry| entry.error.is_some());
        let (all, bad) = (found.entries.len(), bad.count());
        say::print(&format!(
            "{} of {all} entries of {} passed\n",
            all.saturating_sub(bad),
            shown(&args.dir)
        ))?;
    }
    Ok(())
}

/// Notes an entry that did not pass, says why, and gives the line about it. A refusal outranks
/// what the system failed at.
fn refused(found: &mut Found, report: &mut EntryReport, error: &HostError) -> String {
    let code = error.exit_code();
    found.code = match found.code {
        0 => code,
        other => other.min(code),
    };
    report.status = if code == 1 { "refused" } else { "failed" };
    report.error = Some(ErrorReport::of(error));
    say::complain(error);
    format!("{} {}\n", report.status, report.diff_id)
}
