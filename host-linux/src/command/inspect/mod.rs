//! `erofs-unpack inspect`: what a source is.
//!
//! Documents are verified on the way, as for `unpack`. Of a layer only the first bytes are
//! read: what its manifest states of it stays a statement.

mod blob;
mod layout;
mod text;

#[cfg(target_os = "linux")]
pub(super) use text::superblock_text;

use serde::Serialize;

use super::{confined, not_for_blobs, source_options, write_json};
use crate::cli::Inspect;
use crate::error::HostError;
use crate::report::{VERSION, shown};
use crate::say;
use crate::source::Source;
use crate::wall::Openings;

/// Runs the command and gives its exit code.
#[must_use]
pub fn run(args: &Inspect) -> u8 {
    match inspect(args) {
        Ok(()) => 0,
        Err(error) => {
            say::complain(&error);
            error.exit_code()
        }
    }
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    version: u32,
    command: &'static str,
    source: String,
    /// `layout`, `archive` or `blob`.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<layout::Found>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blob: Option<blob::Found>,
}

fn inspect(args: &Inspect) -> Result<(), HostError> {
    let limits = args.limits.limits();
    let mut openings = Openings::new();
    openings.source(&args.source);
    confined(&args.confine, &openings, false, || Ok(()))?;
    let source = Source::open(&args.source, &source_options(&args.select, false))?;
    let mut found = Found {
        version: VERSION,
        command: "inspect",
        source: shown(&args.source),
        kind: "blob",
        layout: None,
        blob: None,
    };
    match source {
        Source::Image(source) => {
            found.kind = source.kind();
            found.layout = Some(layout::inspect(args, &source, &limits)?);
        }
        Source::Blob(blob) => {
            not_for_blobs(&args.source, &args.select)?;
            if args.select.digest.is_some() {
                return Err(HostError::Usage(
                    "--digest: of a blob only the first bytes are looked at: \
                     use unpack --verify-only"
                        .into(),
                ));
            }
            found.blob = Some(blob::inspect(blob, &limits)?);
        }
    }
    if args.json {
        return write_json(&found, "-".as_ref());
    }
    say::print(&text::describe(&found))
}
