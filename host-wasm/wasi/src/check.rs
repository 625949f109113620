//! `check`: whether the kernel may be handed an image.

use std::cell::RefCell;
use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::unpack::{Expectations, Sniffed, sniff};
use serde_json::{Value as Json, json};

use crate::blob::Blob;
use crate::cli::Check;
use crate::content::{self, Content};
use crate::error::{HostError, shown};
use crate::examine::{Examined, examine};
use crate::output::{Temporary, temporary};
use crate::report::{ErrorReport, FoundReport, VERSION, outcome_name};
use crate::say;

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Check) -> u8 {
    let (examined, error) = match check(args) {
        Ok(examined) => (Some(examined), None),
        Err(error) => (None, Some(error)),
    };
    let refused = examined
        .as_ref()
        .is_some_and(|examined| !examined.summary.passed());
    let code = error
        .as_ref()
        .map_or(u8::from(refused), HostError::exit_code);
    let told = match &args.json {
        Some(path) => say::write_json(&report(args, code, examined.as_ref(), error.as_ref()), path),
        None => say::print(&describe(args, examined.as_ref())),
    };
    for error in error.iter().chain(told.as_ref().err()) {
        say::complain(error);
    }
    match told {
        Err(told) if code == 0 => told.exit_code(),
        _ => code,
    }
}

fn check(args: &Check) -> Result<Examined, HostError> {
    let mut options = args.check.options(args.policy)?;
    options.devices = args.known_devices;
    let limits = args.limits.limits();
    let mut blob = Blob::open(&args.source)?;
    let sniffed = sniff(blob.head());
    let stated = args.digest.is_some() || args.diff_id.is_some();
    if let (Some(length), Sniffed::Erofs, false) = (blob.length, &sniffed, stated) {
        // It is read where it is.
        let file = File::open(&args.source)
            .map_err(|error| HostError::environment(&args.source, "open for reading", error))?;
        let content = Content::File(RefCell::new(file));
        return examine(&args.source, &content, length, &limits, &options);
    }
    let mut expected = Expectations::new(match sniffed {
        Sniffed::Compressed(compression) => compression,
        Sniffed::Erofs | Sniffed::Tar | Sniffed::Unknown => Compression::None,
    });
    expected.blob_size = blob.length;
    expected.blob_digest = args.digest;
    expected.diff_id = args.diff_id;
    let (_temporary, content, place) = scratch()?;
    let outcome = content::unpack(&mut blob, &content, &place, &expected, &limits)?;
    examine(
        &args.source,
        &content,
        outcome.image_size,
        &limits,
        &options,
    )
}

/// Where an image waits that has no name yet: in TMPDIR, where that is set, else in memory.
pub(crate) fn scratch() -> Result<(Option<Temporary>, Content, PathBuf), HostError> {
    match env::var_os("TMPDIR") {
        None => Ok((None, Content::Memory(RefCell::default()), "memory".into())),
        Some(folder) => {
            let folder = PathBuf::from(folder);
            let made = temporary(&folder, "erofs-unpack");
            let (temporary, content) = made
                .map_err(|error| HostError::environment(&folder, "create a file in it", error))?;
            Ok((Some(temporary), content, folder))
        }
    }
}

fn describe(args: &Check, examined: Option<&Examined>) -> String {
    let Some(examined) = examined else {
        return String::new();
    };
    let summary = &examined.summary;
    let mut text = examined.describe(&args.talk);
    if args.talk.quiet && summary.passed() {
        return text;
    }
    let word = if summary.passed() {
        "passed"
    } else {
        "refused"
    };
    text.push_str(&format!(
        "{}: {word}: {}, {}, {} (policy {}, level {})\n",
        shown(Path::new(&args.source)),
        plural(summary.inodes, "inode"),
        plural(summary.errors, "error"),
        plural(summary.warnings, "warning"),
        args.policy.name(),
        args.check.level.name()
    ));
    if args.talk.verbose {
        text.push_str(&format!(
            "  {} of metadata, {} decoded, {} kept meanwhile\n",
            plural(summary.metadata, "byte"),
            plural(summary.decoded, "byte"),
            plural(summary.memory, "byte")
        ));
    }
    text
}

fn plural(count: u64, one: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {one}{s}")
}

fn report(args: &Check, code: u8, examined: Option<&Examined>, error: Option<&HostError>) -> Json {
    let mut report = json!({
        "version": VERSION,
        "command": "check",
        "outcome": outcome_name(code),
        "exitCode": code,
        "source": shown(&args.source),
        "level": args.check.level.name(),
        "policy": args.policy.name(),
    });
    if let Json::Object(report) = &mut report {
        if !args.check.allow.is_empty() {
            report.insert("allowed".into(), json!(args.check.allow));
        }
        if let Some(Json::Object(found)) = examined.map(|found| json!(FoundReport::of(found))) {
            report.extend(found);
        }
        if let Some(error) = error {
            report.insert("error".into(), json!(ErrorReport::of(error)));
        }
    }
    report
}
