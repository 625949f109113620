//! The operation `cache gc`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use erofs_unpack_core::oci::{Config, Descriptor, Digest, Document, MediaKind};
use erofs_unpack_core::{At, Code, Error, Limits, Value};
use serde::Serialize;

use super::Cache;
use super::collect::{Keep, collect, snapshot_links};
use super::report::{EntryReport, Report};
use crate::done::Done;
use crate::error::HostError;
use crate::image::{read, read_index};
use crate::report::shown;
use crate::source::{ImageSource, Source, SourceOptions};

/// Where containerd's erofs snapshotter keeps its snapshots, unless its configuration says
/// otherwise (`root` in `defaults_linux.go`, and the plugin's id).
pub const SNAPSHOTTER: &str = "/var/lib/containerd/io.containerd.snapshotter.v1.erofs";

/// What stays.
#[derive(Clone, Debug, Default)]
pub struct GcOptions {
    /// OCI image layouts whose layers stay.
    pub layouts: Vec<PathBuf>,
    /// Only the images of these names in them; none means all.
    pub references: Vec<String>,
    /// Further diffIDs that stay.
    pub keep: Vec<Digest>,
    /// Entries that are younger than this stay.
    pub older_than: Option<Duration>,
    /// The roots of containerd's erofs snapshotters whose snapshots' entries stay; the usual one
    /// where none is given.
    pub snapshots: Vec<PathBuf>,
    /// Only say what would go.
    pub dry_run: bool,
    /// What a document may ask for.
    pub limits: Limits,
}

/// What went.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// The entries that went.
    pub removed: Vec<EntryReport>,
    /// Their bytes.
    pub freed: u64,
    /// How many stay.
    pub kept: usize,
    /// Sidecars without an image that went, escaped.
    pub sidecars: Vec<String>,
    /// How many temporary files went.
    pub temporary: usize,
}

/// Removes what killed writers left in a cache, and entries that nothing needs.
///
/// Without [`GcOptions::layouts`], [`GcOptions::keep`] and [`GcOptions::older_than`] no entry is
/// removed.
pub fn gc(dir: &Path, options: &GcOptions) -> Done<Report<Collected>> {
    Done::run(Report::new("cache gc", dir), |done| {
        let cache = Cache::open(dir)?;
        let keep = keep(options)?;
        done.report.foreign(&cache.list()?);
        let removed = collect(&cache, keep.as_ref(), options.dry_run)?;
        done.report.own = Collected {
            dry_run: options.dry_run,
            removed: removed.entries.iter().map(EntryReport::of).collect(),
            freed: removed.entries.iter().map(|entry| entry.size).sum(),
            kept: removed.kept,
            sidecars: removed.sidecars.iter().map(|path| shown(path)).collect(),
            temporary: removed.temporary,
        };
        Ok(())
    })
}

/// What the options keep; `None` when they do not speak of entries at all.
fn keep(options: &GcOptions) -> Result<Option<Keep>, HostError> {
    if options.layouts.is_empty() && options.keep.is_empty() && options.older_than.is_none() {
        return Ok(None);
    }
    let mut keep = Keep::default();
    keep.diff_ids.extend(&options.keep);
    for layout in &options.layouts {
        match Source::open(layout, &SourceOptions::default())? {
            Source::Image(source) => needed(&source, options, &mut keep.diff_ids)?,
            Source::Blob(_) => {
                return Err(HostError::Usage(format!(
                    "{}: expected an image layout; an entry is kept with --keep",
                    shown(layout)
                )));
            }
        }
    }
    if let Some(age) = options.older_than {
        let now = SystemTime::now();
        let since = now.checked_sub(age).unwrap_or(UNIX_EPOCH);
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        keep.since = Some(i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    }
    let default = Path::new(SNAPSHOTTER);
    let mut roots: Vec<&Path> = options.snapshots.iter().map(AsRef::as_ref).collect();
    if roots.is_empty() && default.join("snapshots").symlink_metadata().is_ok() {
        roots.push(default);
    }
    for root in roots {
        keep.files.extend(snapshot_links(root)?);
    }
    Ok(Some(keep))
}

/// Adds the diffIDs of all images in a layout, of all platforms. What cannot be read might need
/// an entry, so it is an error.
fn needed(
    source: &ImageSource,
    options: &GcOptions,
    diff_ids: &mut BTreeSet<Digest>,
) -> Result<(), HostError> {
    let limits = &options.limits;
    let (index, _) = read_index(source, limits)?;
    let is_meant = |entry: &&Descriptor| {
        let names = &options.references;
        names.is_empty()
            || entry
                .names()
                .any(|name| names.iter().any(|one| one == name))
    };
    let names = &options.references;
    let unusable = index
        .unusable_documents()
        .find(|entry| names.is_empty() || names.iter().any(|name| entry.is_named(Some(name))));
    if let Some(entry) = unusable {
        let place = source.path().join("index.json");
        return Err(HostError::refused(place, entry.error));
    }
    let mut known = false;
    for entry in index.documents().filter(is_meant) {
        known = true;
        below(source, entry, 1, limits, diff_ids)?;
    }
    if !known && !options.references.is_empty() {
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
            if let Some(entry) = index.unusable_documents().next() {
                return Err(refused(entry.error));
            }
            return index.documents().try_for_each(|entry| {
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
