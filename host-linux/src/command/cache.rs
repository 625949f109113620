//! `erofs-unpack cache`: containerd's cache of layer content.

use std::path::{Path, PathBuf};

use erofs_unpack_cli::args::ConfineArgs;
use erofs_unpack_cli::bars::Bars;
use erofs_unpack_cli::date::Date;
use erofs_unpack_cli::output::{
    exit_code_with_report, print, print_error, print_failure, write_json,
};
use erofs_unpack_ops::cache::{
    self, Collected, GcOptions, Listed, PutLayers, PutOptions, Report, Verified, VerifyOptions,
};
use erofs_unpack_ops::observer::{Item, Observer, Work};
use erofs_unpack_ops::system::{Openings, Purpose};
use erofs_unpack_ops::{Done, HostError};
use serde::Serialize;

use crate::args::{Cache, CacheCommand, CacheGc, CacheList, CachePut, CacheVerify};

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Cache) -> u8 {
    match &args.command {
        CacheCommand::Put(args) => put(args),
        CacheCommand::List(args) => list(args),
        CacheCommand::Verify(args) => verify(args),
        CacheCommand::Gc(args) => gc(args),
    }
}

/// Prints warnings and the error on stderr, and the report if it is wanted, and gives the exit
/// code.
fn output<T: Serialize>(done: &Done<Report<T>>, json: bool, quiet: bool) -> u8 {
    let report = &done.report;
    if !quiet {
        for warning in &report.warnings {
            print_error(format_args!("warning: {warning}"));
        }
    }
    if let Some(failure) = done.failure() {
        print_failure(&failure.error);
    }
    let written = if json {
        write_json(report, "-".as_ref())
    } else {
        Ok(())
    };
    exit_code_with_report(report.exit_code, written)
}

/// Prints a line for each entry that is done with, unless that is not wanted.
struct Lines {
    bars: Bars,
    are_wanted: bool,
}

impl Observer for Lines {
    fn begin(&self, work: Work) {
        self.bars.begin(work);
    }

    fn end(&self) {
        self.bars.end();
    }

    fn item(&self, item: &Item<'_>) -> Result<(), HostError> {
        if let Some(error) = item.error {
            print_error(error);
        }
        if !self.are_wanted {
            return Ok(());
        }
        let named = if item.is_named {
            ""
        } else {
            " (from a tar layer: its digest says nothing)"
        };
        print(&format!("{} {}{named}\n", item.status, item.diff_id))
    }
}

fn put(args: &CachePut) -> u8 {
    let quiet = args.talk.quiet || args.json;
    let lines = Lines {
        bars: Bars::new(quiet),
        are_wanted: !quiet,
    };
    let done = put_options(args).map_or_else(
        |error| Done::failed(Report::new("cache put", &args.dir), error),
        |options| cache::put(&args.dir, &args.sources, &options, &lines),
    );
    output::<PutLayers>(&done, args.json, args.talk.quiet)
}

/// The options that the arguments come to. From then on nothing else can be opened.
fn put_options(args: &CachePut) -> Result<PutOptions, HostError> {
    let mut openings = Openings::new();
    openings.cache(&args.dir);
    args.sources.iter().for_each(|path| openings.source(path));
    let sandbox = args
        .confine
        .confine(&openings, Purpose::Verify, args.talk.verbose, || {
            args.sandbox.load(&args.limits)
        })?;
    Ok(PutOptions {
        select: args.select.options()?,
        media_type: args.media_type.clone(),
        diff_id: args.diff_id,
        force: args.force,
        dm_verity: args.dm_verity,
        check: (!args.no_check).then(|| args.check.checks()),
        limits: args.limits.limits(),
        sandbox,
    })
}

/// Gives up what is not needed where nothing is decoded.
fn confine(openings: &Openings, args: ConfineArgs) -> Result<(), HostError> {
    args.confine(openings, Purpose::Verify, false, || Ok(()))
}

fn list(args: &CacheList) -> u8 {
    let mut openings = Openings::new();
    openings.read(&args.dir);
    let mut done = confine(&openings, args.confine).map_or_else(
        |error| Done::failed(Report::new("cache list", &args.dir), error),
        |()| cache::list(&args.dir),
    );
    if !args.json
        && done.failures.is_empty()
        && let Err(error) = print(&list_text(&done.report.own))
    {
        done.fail(error);
    }
    output(&done, args.json, false)
}

fn list_text(listed: &Listed) -> String {
    let mut text = String::new();
    for entry in &listed.entries {
        let tree = if entry.dm_verity { "dm-verity" } else { "-" };
        text.push_str(&format!(
            "{} {:>12} {tree:9} {}\n",
            entry.diff_id,
            entry.size,
            Date::of(entry.modified)
        ));
    }
    text
}

fn verify(args: &CacheVerify) -> u8 {
    let lines = Lines {
        bars: Bars::new(true),
        are_wanted: !args.json && !args.talk.quiet,
    };
    let mut done = verify_options(args).map_or_else(
        |error| Done::failed(Report::new("cache verify", &args.dir), error),
        |options| cache::verify(&args.dir, &options, &lines),
    );
    if args.talk.verbose && !args.json && done.failures.is_empty() {
        let sum = sum_text(&done.report);
        if let Err(error) = print(&sum) {
            done.fail(error);
        }
    }
    output(&done, args.json, args.talk.quiet)
}

/// The options that the arguments come to. From then on nothing else can be opened.
fn verify_options(args: &CacheVerify) -> Result<VerifyOptions, HostError> {
    let mut openings = Openings::new();
    openings.read(&args.dir);
    let sandbox = args
        .confine
        .confine(&openings, Purpose::Verify, args.talk.verbose, || {
            args.sandbox.load(&args.limits)
        })?;
    Ok(VerifyOptions {
        diff_ids: args.diff_ids.clone(),
        check: (!args.no_check).then(|| args.check.checks()),
        policy: args.policy.into(),
        dm_verity: !args.no_dm_verity,
        converted: args.converted,
        limits: args.limits.limits(),
        sandbox,
    })
}

fn sum_text(report: &Report<Verified>) -> String {
    let entries = &report.own.entries;
    let bad = entries.iter().filter(|entry| entry.error.is_some());
    let (all, bad) = (entries.len(), bad.count());
    let passed = all.saturating_sub(bad);
    format!("{passed} of {all} entries of {} passed\n", report.dir)
}

fn gc(args: &CacheGc) -> u8 {
    let options = GcOptions {
        layouts: args.layouts.clone(),
        references: args.references.clone(),
        keep: args.keep.clone(),
        older_than: args.older_than,
        snapshots: args.snapshots.clone(),
        dry_run: args.dry_run,
        limits: args.limits.limits(),
    };
    let mut openings = Openings::new();
    openings.cache(&args.dir);
    args.layouts.iter().for_each(|path| openings.source(path));
    let snapshots = args.snapshots.iter().map(PathBuf::as_path);
    snapshots
        .chain([Path::new(cache::SNAPSHOTTER)])
        .for_each(|path| openings.read(path));
    let mut done = confine(&openings, args.confine).map_or_else(
        |error| Done::failed(Report::new("cache gc", &args.dir), error),
        |()| cache::gc(&args.dir, &options),
    );
    if !args.json
        && !args.talk.quiet
        && done.failures.is_empty()
        && let Err(error) = print(&gc_text(&done.report.own))
    {
        done.fail(error);
    }
    output(&done, args.json, args.talk.quiet)
}

fn gc_text(collected: &Collected) -> String {
    let verb = if collected.dry_run {
        "would remove"
    } else {
        "removed"
    };
    let mut text = String::new();
    for entry in &collected.removed {
        text.push_str(&format!("{verb} {} {}\n", entry.diff_id, entry.size));
    }
    for path in &collected.sidecars {
        text.push_str(&format!("{verb} {path}\n"));
    }
    text.push_str(&format!(
        "{verb} {} of {} bytes, {}; {}\n",
        some(collected.removed.len(), "entry", "entries"),
        collected.freed,
        some(collected.temporary, "temporary file", "temporary files"),
        match collected.kept {
            1 => "1 entry stays".to_owned(),
            kept => format!("{kept} entries stay"),
        }
    ));
    text
}

/// A number of things.
fn some(number: usize, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}
