//! `erofs-unpack rules`: the catalogue of the check, as text, Markdown or JSON.

use erofs_unpack_core::check::{RULES, Rule, Severity};
use erofs_unpack_core::oci::Policy;
use serde::Serialize;

use erofs_unpack_cli::output::print;
use erofs_unpack_ops::HostError;
use erofs_unpack_ops::report::to_json;

use crate::args::Rules;

/// The policies, from the laxest to the strictest.
const POLICIES: [Policy; 3] = [Policy::Any, Policy::Containerd, Policy::Strict];

/// What stands before the table.
const INTRODUCTION: &str = "\
# The rules of the check

This page is generated: `erofs-unpack rules --markdown`.

`erofs-unpack check`, and `unpack` after it has verified a layer, hold an EROFS image against these
rules. A breach is an *error*, which refuses the image, or a *warning*, by the policy:

- `any`: what the kernel takes and reads in one way. An image that breaks one of these rules is
  refused by the kernel, read differently by two readers, or makes work without bound.
- `containerd` (the default): besides, what a container layer has no business holding: content on
  devices that the manifest does not give it, bytes that nothing declares, `.wh.` names, content
  that lies over metadata or over another file's without saying so, inodes without links. Every
  type of file, whiteouts of overlayfs, setuid bits, all xattrs, and every layout and compression are
  let through: what they may do is the runtime's business.
- `strict`: besides, what no current writer makes: reserved fields that are set, counts that do not
  fit.

The rules are the same for layers of the roles `overlay-lower` and `overlay-data`; in a layer of the
role `device` there is nothing to check. An image with devices is checked with them, when all layers
of the manifest are there; where only one layer is asked for, by what its device table says of them.

`--allow RULE` switches a rule off, `--no-check` the check. Neither reaches what `unpack` refuses
while it decodes: digests, limits, a superblock that cannot be read, an image that is shorter than
it declares or goes on behind its end.

The check enters each directory once and looks at each inode once. It keeps a bit for each slot of
the inode table (512 bytes where inodes lie far apart), 24 bytes for each directory that is still to
be entered, 8 bytes for each of several links, and 16 bytes for each run of metadata or content that
does not go on where the one before ended. With images of `mkfs.erofs` that comes to 2 bytes
for each inode, where files are small and lie behind their inodes, up to 60, where they are compressed or
lie in blocks of their own. `--max-check-memory` bounds all of it, of all threads together; `--max-check-work` the bytes
of metadata, and those that each thread decodes. `check -v` says what an image took.

Why a rule is there: *kernel*: the kernel or `fsck.erofs` refuses what breaks it; *ambiguity*: two
readers would see two trees; *work*: it bounds the work of whoever reads the image; *policy*: a layer
should not hold it; *unused*: nobody reads it today. The id is also that of the error, for `--allow` and
in `--json`.
";

/// A rule, for `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    id: &'static str,
    demand: &'static str,
    reason: &'static str,
    source: &'static str,
    any: Option<&'static str>,
    containerd: Option<&'static str>,
    strict: Option<&'static str>,
}

impl Row {
    fn of(rule: &Rule) -> Self {
        let [any, containerd, strict] =
            POLICIES.map(|policy| rule.severity(policy).map(Severity::name));
        Self {
            id: rule.id(),
            demand: rule.demand,
            reason: rule.reason.name(),
            source: rule.source,
            any,
            containerd,
            strict,
        }
    }
}

/// Runs the command and gives its exit code.
pub(crate) fn run(args: &Rules) -> u8 {
    match print(&text(args)) {
        Ok(()) => 0,
        Err(error) => HostError::exit_code(&error),
    }
}

fn text(args: &Rules) -> String {
    if args.json {
        let rows: Vec<Row> = RULES.iter().map(Row::of).collect();
        return to_json(&rows);
    }
    if args.markdown {
        return markdown();
    }
    let mut text = String::new();
    for rule in RULES {
        text.push_str(&format!("{:<24} {}\n", rule.id(), rule.demand));
    }
    text
}

/// The page of the documentation.
pub(crate) fn markdown() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n| rule | demand | why | any | containerd | strict | source |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    for row in RULES.iter().map(Row::of) {
        let cell = |severity: Option<&'static str>| severity.unwrap_or("");
        text.push_str(&format!(
            "| `{}` | {} | {} | {} | {} | {} | {} |\n",
            row.id,
            row.demand,
            row.reason,
            cell(row.any),
            cell(row.containerd),
            cell(row.strict),
            row.source
        ));
    }
    text
}
