//! `erofs-unpack check`: whether the kernel may be handed an image.

use erofs_unpack_core::Code;
use erofs_unpack_core::check::{Level, Severity};
use erofs_unpack_core::oci::Policy;
use erofs_unpack_ops::check::{Breach, Checked, LayerReport, Options, Place, Report, check};
use erofs_unpack_ops::system::{self, Openings, Purpose};
use erofs_unpack_ops::{Done, Escaped, HostError, hint};

use super::refuse_jobs;
use crate::args::{Check, Talk};
use crate::output::{print, print_error, print_failure, write_json};

/// Runs the command and gives its exit code.
#[must_use]
pub fn run(args: &Check) -> u8 {
    let mut options = Options {
        checks: args.check.checks(),
        diff_id: args.diff_id,
        devices: args.devices.clone(),
        offset: args.offset,
        known_devices: args.known_devices,
        kernel: args.kernel,
        unannounced_verity: args.allow_unannounced_verity,
        jobs: args.jobs.map(usize::from),
        limits: args.limits.limits(),
        ..Options::default()
    };
    options.select.policy = args.select.policy.into();
    let done = match prepare(args, &mut options) {
        Ok(()) => check(&args.source, &options, &()),
        Err(error) => Done::failed(Report::new(&args.source, &options), error),
    };
    output(args, &done)
}

/// Adds to the options what may fail, and confines the process. What is wrong with the command line
/// is said before anything is read.
fn prepare(args: &Check, options: &mut Options) -> Result<(), HostError> {
    refuse_jobs("--jobs", args.jobs)?;
    options.checks.options(options.select.policy)?;
    options.select = args.select.options()?;
    let mut openings = Openings::new();
    openings.source(&args.source);
    // What is compressed is unpacked there.
    openings.spool(&system::temp_dir());
    args.devices.iter().for_each(|path| openings.read(path));
    if let Some(path) = &args.json {
        openings.report(path);
    }
    let verbose = args.talk.verbose;
    options.sandbox = args
        .confine
        .confine(&openings, Purpose::Verify, verbose, || {
            args.sandbox.load(&args.limits)
        })?;
    Ok(())
}

/// Prints everything and gives the exit code.
fn output(args: &Check, done: &Done<Report>) -> u8 {
    let report = &done.report;
    let printed = match &args.json {
        Some(path) => write_json(report, path),
        None => print(&text(args, report)),
    };
    if !args.talk.quiet {
        for warning in &report.warnings {
            print_error(format_args!("warning: {warning}"));
        }
    }
    let error = done.failure().map(|failure| &failure.error);
    for error in error.into_iter().chain(printed.as_ref().err()) {
        print_failure(error);
    }
    // What is refused is the result, and printed as such; what failed is not.
    for layer in &report.layers {
        if let ("failed", Some(error)) = (layer.status, &layer.error) {
            print_error(format_args!("layer {}: {}", layer.number, error.message));
        }
    }
    match printed {
        Err(printed) if report.exit_code == 0 => printed.exit_code(),
        _ => report.exit_code,
    }
}

/// All that is printed.
fn text(args: &Check, report: &Report) -> String {
    let source = &report.source;
    let mut text = String::new();
    if let Some(checked) = &report.checked {
        text.push_str(&findings(checked, &args.talk));
        text.push_str(&hints(args, checked));
        verdict(&mut text, args, source, checked);
    }
    for layer in &report.layers {
        describe_layer(&mut text, args, layer);
    }
    let whole = report.error.is_none();
    if whole && report.image.is_some() && !(args.talk.quiet && report.passed()) {
        let layers = plural(report.layers.len() as u64, "layer");
        let count = |status| {
            let with = report.layers.iter().filter(|layer| layer.status == status);
            with.count()
        };
        text.push_str(&match (count("refused"), count("failed")) {
            (0, 0) => format!("{source}: passed: {layers}\n"),
            (0, failed) => format!("{source}: failed: {failed} of {layers}\n"),
            (refused, 0) => format!("{source}: refused: {refused} of {layers}\n"),
            (refused, failed) => {
                format!("{source}: refused: {refused} of {layers}, and {failed} failed\n")
            }
        });
    }
    text
}

fn describe_layer(text: &mut String, args: &Check, layer: &LayerReport) {
    let name = format!("layer {}", layer.number);
    if let Some(checked) = &layer.checked {
        verdict(text, args, &name, checked);
        if let (Some(reads), false) = (layer.reads, args.talk.quiet) {
            text.push_str(&format!(
                "  {reads} were read, and verified ({} of {} bytes); --level full reads and verifies \
                 all\n",
                reads.bytes, reads.of_bytes
            ));
        }
        // Below the line of its layer, so that it is plain what belongs to which.
        for line in findings(checked, &args.talk).lines() {
            text.push_str(&format!("  {line}\n"));
        }
    } else if let Some(error) = &layer.error {
        text.push_str(&format!("{name}: {}: {}\n", layer.status, error.message));
    } else if !args.talk.quiet {
        let role = layer.role;
        text.push_str(&format!("{name}: verified: {role}, nothing to check\n"));
    }
}

/// The findings, each rule with its places below it.
pub(super) fn findings(checked: &Checked, talk: &Talk) -> String {
    let mut text = String::new();
    for breach in &checked.breaches {
        if !(talk.quiet && breach.severity == Severity::Warning) {
            describe_breach(&mut text, talk, breach);
        }
    }
    text
}

/// What helps, a line for each rule that something helps with.
fn hints(args: &Check, checked: &Checked) -> String {
    if args.talk.quiet {
        return String::new();
    }
    let mut text = String::new();
    for breach in &checked.breaches {
        let error = &breach.first.error;
        let hint = match error.code() {
            Code::DeviceForeign => Some(
                "--device FILE attaches a device, --known-devices N says how many belong to the layer",
            ),
            _ => hint(error),
        };
        if let Some(hint) = hint {
            text.push_str(&format!("  {hint}\n"));
        }
    }
    text
}

fn describe_breach(text: &mut String, talk: &Talk, breach: &Breach) {
    let times = match breach.count {
        0 | 1 => String::new(),
        count => format!(" ({count} times)"),
    };
    // What cannot be read without breaking a rule of its own.
    let demand = breach
        .rule()
        .map_or("The image can be read", |rule| rule.demand);
    let (severity, rule) = (breach.severity.name(), breach.first.error.id());
    text.push_str(&format!("{severity} {rule}{times}: {demand}\n"));
    for place in breach.places() {
        text.push_str(&format!("  {}\n", line(place)));
    }
    let more = breach.count.saturating_sub(breach.places().count() as u64);
    if more > 0 {
        text.push_str(&format!("  and {more} more\n"));
    }
    if talk.verbose
        && let Some(rule) = breach.rule()
    {
        text.push_str(&format!(
            "  why: {} ({})\n",
            rule.reason.name(),
            rule.source
        ));
    }
}

/// One finding.
fn line(place: &Place) -> String {
    match &place.path {
        Some(path) => format!("/{}: {}", Escaped::name(path), place.error),
        None => place.error.to_string(),
    }
}

/// The line that closes an image, and which kernels read it.
fn verdict(text: &mut String, args: &Check, name: &str, checked: &Checked) {
    let summary = &checked.summary;
    if args.talk.quiet && summary.passed() {
        return;
    }
    let word = if summary.passed() {
        "passed"
    } else {
        "refused"
    };
    text.push_str(&format!(
        "{name}: {word}: {}, {}, {} (policy {}, level {})\n",
        plural(summary.inodes, "inode"),
        plural(summary.errors, "error"),
        plural(summary.warnings, "warning"),
        Policy::from(args.select.policy).name(),
        Level::from(args.check.level).name()
    ));
    if let Some(needs) = checked.needs() {
        let whole = match Level::from(args.check.level) {
            Level::Superblock => ", as far as the superblock says",
            Level::Metadata | Level::Full => "",
        };
        text.push_str(&format!("  kernel: {needs}{whole}\n"));
    }
    if args.talk.verbose {
        text.push_str(&format!(
            "  {} of metadata, {} decoded, {} kept meanwhile\n",
            plural(summary.metadata, "byte"),
            plural(summary.decoded, "byte"),
            plural(summary.memory, "byte")
        ));
    }
}

/// So many of something.
fn plural(count: u64, one: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {one}{s}")
}
