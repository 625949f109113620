//! `erofs-unpack cache gc`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use erofs_unpack_core::oci::{Config, Descriptor, Digest, Document, MediaKind};
use erofs_unpack_core::{At, Code, Error, Limits, Value};
use serde::Serialize;

use super::list::EntryReport;
use super::{End, foreign};
use crate::cache::{self, Cache, Keep};
use crate::cli::CacheGc;
use crate::error::HostError;
use crate::image::{read, read_index};
use crate::report::shown;
use crate::say;
use crate::source::{ImageSource, Source, SourceOptions};

/// Where containerd's erofs snapshotter keeps its snapshots, unless its configuration says
/// otherwise (`root` in `defaults_linux.go`, and the plugin's id).
const SNAPSHOTTER: &str = "/var/lib/containerd/io.containerd.snapshotter.v1.erofs";

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    /// Whether nothing was removed.
    dry_run: bool,
    /// The entries that went.
    removed: Vec<EntryReport>,
    /// Their bytes.
    freed: u64,
    /// How many stay.
    kept: usize,
    /// Sidecars without an image that went.
    sidecars: Vec<String>,
    /// How many temporary files went.
    temporary: usize,
}

pub(super) fn run(args: &CacheGc) -> u8 {
    let mut found = Found::default();
    let mut warnings = Vec::new();
    let error = gc(args, &mut found, &mut warnings).err();
    let end = End {
        command: "cache gc",
        dir: &args.dir,
        quiet: args.talk.quiet,
        code: 0,
        warnings: &warnings,
        error: error.as_ref(),
    };
    end.tell(args.json.then_some(&found))
}

fn gc(args: &CacheGc, found: &mut Found, warnings: &mut Vec<String>) -> Result<(), HostError> {
    let cache = Cache::open(&args.dir)?;
    let keep = keep(args)?;
    *warnings = foreign(&cache.list()?);
    let removed = cache::collect(&cache, keep.as_ref(), args.dry_run)?;
    found.dry_run = args.dry_run;
    found.kept = removed.kept;
    found.temporary = removed.temporary;
    found.freed = removed.entries.iter().map(|entry| entry.size).sum();
    found.sidecars = removed.sidecars.iter().map(|path| shown(path)).collect();
    found.removed = removed.entries.iter().map(EntryReport::of).collect();
    if args.json || args.talk.quiet {
        return Ok(());
    }
    let verb = if args.dry_run {
        "would remove"
    } else {
        "removed"
    };
    let mut text = String::new();
    for entry in &removed.entries {
        text.push_str(&format!("{verb} {} {}\n", entry.diff_id, entry.size));
    }
    for path in &found.sidecars {
        text.push_str(&format!("{verb} {path}\n"));
    }
    text.push_str(&format!(
        "{verb} {} of {} bytes, {}; {}\n",
        some(removed.entries.len(), "entry", "entries"),
        found.freed,
        some(removed.temporary, "temporary file", "temporary files"),
        match removed.kept {
            1 => "1 entry stays".to_owned(),
            kept => format!("{kept} entries stay"),
        }
    ));
    say::print(&text)
}

/// A number of things.
fn some(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// What the command line keeps; `None` when it does not speak of entries at all.
fn keep(args: &CacheGc) -> Result<Option<Keep>, HostError> {
    if args.layouts.is_empty() && args.keep.is_empty() && args.older_than.is_none() {
        return Ok(None);
    }
    let mut keep = Keep::default();
    keep.diff_ids.extend(&args.keep);
    let limits = args.limits.limits();
    for layout in &args.layouts {
        match Source::open(layout, &SourceOptions::default())? {
            Source::Image(source) => needed(&source, args, &limits, &mut keep.diff_ids)?,
            Source::Blob(_) => {
                return Err(HostError::Usage(format!(
                    "{}: expected an image layout; an entry is kept with --keep",
                    shown(layout)
                )));
            }
        }
    }
    if let Some(age) = args.older_than {
        let now = SystemTime::now();
        let since = now.checked_sub(age).unwrap_or(UNIX_EPOCH);
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        keep.since = Some(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    }
    let default = Path::new(SNAPSHOTTER);
    let mut roots: Vec<&Path> = args.snapshots.iter().map(AsRef::as_ref).collect();
    if roots.is_empty() && default.join("snapshots").symlink_metadata().is_ok() {
        roots.push(default);
    }
    for root in roots {
        keep.files.extend(cache::snapshot_links(root)?);
    }
    Ok(Some(keep))
}

/// Adds the diffIDs of all images in a layout, of all platforms. What cannot be read might need
/// an entry, so it is an error.
fn needed(
    source: &ImageSource,
    args: &CacheGc,
    limits: &Limits,
    diff_ids: &mut BTreeSet<Digest>,
) -> Result<(), HostError> {
    let (index, _) = read_index(source, limits)?;
    let is_meant = |entry: &&Descriptor| {
        let names = &args.references;
        names.is_empty()
            || entry
                .names()
                .any(|name| names.iter().any(|one| one == name))
    };
    let mut known = false;
    for entry in index.images().filter(is_meant) {
        known = true;
        below(source, entry, 1, limits, diff_ids)?;
    }
    if !known && !args.references.is_empty() {
        return Err(HostError::Usage(format!(
            "--ref: {} holds no image of such a name",
            shown(source.path())
        )));
    }
    Ok(())
}

/// Adds the diffIDs below an entry of an index.
fn below(
    source: &ImageSource,
    entry: &Descriptor,
    depth: u32,
    limits: &Limits,
    diff_ids: &mut BTreeSet<Digest>,
) -> Result<(), HostError> {
    let place = source.blob_place(&entry.digest);
    let refused = |error| HostError::refused(place.clone(), error);
    let document = read(source, entry, limits)?;
    let manifest = match Document::parse(&document, Some(&entry.media_type), limits) {
        Ok(Document::Manifest(manifest)) => manifest,
        Ok(Document::Index(_)) if depth >= limits.index_depth => {
            return Err(refused(
                Error::new(Code::IndexDepth, At::Whole)
                    .expected(Value::AtMost(limits.index_depth.into())),
            ));
        }
        Ok(Document::Index(index)) => {
            return index.images().try_for_each(|entry| {
                below(source, entry, depth.saturating_add(1), limits, diff_ids)
            });
        }
        Err(error) => return Err(refused(error)),
    };
    // Of an EROFS layer that is not compressed, the digest is the diffID.
    for layer in &manifest.layers {
        diff_ids.insert(layer.digest);
        diff_ids.extend(layer.erofs.uncompressed_digest);
    }
    if manifest.config.media_type.kind() == MediaKind::Config {
        let document = read(source, &manifest.config, limits)?;
        let config = Config::parse(&document, limits).map_err(|error| {
            HostError::refused(source.blob_place(&manifest.config.digest), error)
        })?;
        diff_ids.extend(config.diff_ids.into_iter().flatten());
    }
    Ok(())
}
