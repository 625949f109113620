//! What people read: the findings by their rules, and the verdict.

use super::Found;
use super::layers::LayerFound;
use crate::cli::{Check, Talk};
use crate::escape::Escaped;
use crate::examine::{Breach, Examined, Place};
use crate::report::shown;

use erofs_unpack_core::Code;
use erofs_unpack_core::check::{Severity, Summary};

/// All that is printed. `whole` says whether the check came to its end.
pub(super) fn describe(args: &Check, found: &Found, whole: bool) -> String {
    let source = shown(&args.source);
    let mut text = String::new();
    if let Some(examined) = &found.lone {
        text.push_str(&findings(examined, &args.talk));
        text.push_str(hint(args, examined));
        verdict(&mut text, args, &source, &examined.summary);
    }
    for layer in &found.layers {
        describe_layer(&mut text, args, layer);
    }
    if whole && found.image.is_some() && !(args.talk.quiet && found.passed()) {
        let layers = plural(found.layers.len() as u64, "layer");
        let count = |status| {
            let with = found.layers.iter().filter(|layer| layer.status() == status);
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

fn describe_layer(text: &mut String, args: &Check, found: &LayerFound) {
    let name = format!("layer {}", found.layer.number);
    if let Some(examined) = &found.examined {
        verdict(text, args, &name, &examined.summary);
        // Below the line of its layer, so that it is plain what belongs to which.
        for line in findings(examined, &args.talk).lines() {
            text.push_str(&format!("  {line}\n"));
        }
    } else if let Some(error) = &found.error {
        text.push_str(&format!("{name}: {}: {error}\n", found.status()));
    } else if !args.talk.quiet {
        let role = found.layer.role.name();
        text.push_str(&format!("{name}: verified: {role}, nothing to check\n"));
    }
}

/// The findings, each rule with its places below it.
pub(crate) fn findings(examined: &Examined, talk: &Talk) -> String {
    let mut text = String::new();
    for breach in &examined.breaches {
        if !(talk.quiet && breach.severity == Severity::Warning) {
            describe_breach(&mut text, talk, breach);
        }
    }
    text
}

/// What to do about devices that are not at hand, where the command line is to say it.
fn hint(args: &Check, examined: &Examined) -> &'static str {
    let is_foreign = |breach: &Breach| breach.first.error.code() == Code::DeviceForeign;
    if args.talk.quiet || !examined.breaches.iter().any(is_foreign) {
        return "";
    }
    "  --device FILE attaches a device, --known-devices N says how many belong to the layer\n"
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

/// The line that closes an image.
fn verdict(text: &mut String, args: &Check, name: &str, summary: &Summary) {
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
        args.select.policy.name(),
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
}

/// So many of something.
fn plural(count: u64, one: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {one}{s}")
}
