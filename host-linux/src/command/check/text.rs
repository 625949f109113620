//! What people read: the findings by their rules, and the verdict.

use super::Found;
use super::layers::LayerFound;
use crate::cli::Check;
use crate::escape::Escaped;
use crate::examine::{Breach, Examined, Place};
use crate::report::shown;

use erofs_unpack_core::check::{Severity, Summary};

/// All that is printed. `whole` says whether the check came to its end.
pub(super) fn describe(args: &Check, found: &Found, whole: bool) -> String {
    let quiet = args.talk.quiet;
    let source = shown(&args.source);
    let mut text = String::new();
    if let Some(examined) = &found.lone {
        text.push_str(&findings(examined, quiet));
        verdict(&mut text, args, &source, &examined.summary);
    }
    for layer in &found.layers {
        describe_layer(&mut text, args, layer);
    }
    if whole && found.image.is_some() && !(quiet && found.passed()) {
        let refused = found.layers.iter().filter(|layer| !layer.passed()).count();
        let layers = plural(found.layers.len() as u64, "layer");
        text.push_str(&match refused {
            0 => format!("{source}: passed: {layers}\n"),
            refused => format!("{source}: refused: {refused} of {layers}\n"),
        });
    }
    text
}

fn describe_layer(text: &mut String, args: &Check, found: &LayerFound) {
    let name = format!("layer {}", found.layer.number);
    if let Some(examined) = &found.examined {
        text.push_str(&findings(examined, args.talk.quiet));
        verdict(text, args, &name, &examined.summary);
    } else if let Some(error) = &found.error {
        text.push_str(&format!("{name}: refused: {error}\n"));
    } else if !args.talk.quiet {
        let role = found.layer.role.name();
        text.push_str(&format!("{name}: verified: {role}, nothing to check\n"));
    }
}

/// The findings, each rule with its places below it.
pub(crate) fn findings(examined: &Examined, quiet: bool) -> String {
    let mut text = String::new();
    for breach in &examined.breaches {
        if !(quiet && breach.severity == Severity::Warning) {
            describe_breach(&mut text, breach);
        }
    }
    text
}

fn describe_breach(text: &mut String, breach: &Breach) {
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
