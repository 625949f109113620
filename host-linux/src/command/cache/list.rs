//! `erofs-unpack cache list`.

use serde::Serialize;

use super::{End, foreign};
use crate::cache::{Cache, Entry};
use crate::cli::CacheList;
use crate::date::Date;
use crate::error::HostError;
use crate::say;

/// An entry, for `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntryReport {
    diff_id: String,
    /// Size of the file, tree included.
    size: u64,
    /// In seconds since 1970.
    modified: i64,
    dm_verity: bool,
}

impl EntryReport {
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            diff_id: entry.diff_id.to_string(),
            size: entry.size,
            modified: entry.modified,
            dm_verity: entry.dm_verity,
        }
    }
}

#[derive(Default, Serialize)]
struct Found {
    entries: Vec<EntryReport>,
}

pub(super) fn run(args: &CacheList) -> u8 {
    let mut found = Found::default();
    let mut warnings = Vec::new();
    let error = list(args, &mut found, &mut warnings).err();
    let end = End {
        command: "cache list",
        dir: &args.dir,
        quiet: false,
        code: 0,
        warnings: &warnings,
        error: error.as_ref(),
    };
    end.tell(args.json.then_some(&found))
}

fn list(args: &CacheList, found: &mut Found, warnings: &mut Vec<String>) -> Result<(), HostError> {
    let listing = Cache::open(&args.dir)?.list()?;
    *warnings = foreign(&listing);
    found.entries = listing.entries.iter().map(EntryReport::of).collect();
    if args.json {
        return Ok(());
    }
    let mut text = String::new();
    for entry in &listing.entries {
        let tree = if entry.dm_verity { "dm-verity" } else { "-" };
        text.push_str(&format!(
            "{} {:>12} {tree:9} {}\n",
            entry.diff_id,
            entry.size,
            Date::of(entry.modified)
        ));
    }
    say::print(&text)
}
