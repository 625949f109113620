//! Which case reaches which error of the core, and which errors none does, with the reason.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use erofs_unpack_core::Code;
use erofs_unpack_core::check::RULES;
use serde_json::Value as Json;

use crate::manifest::{Expected, Manifest};

const MEMORY: &str = "needs a machine without memory";

/// What only a sandbox says; its own tests reach it.
const SANDBOX: &str = "of a sandbox, not of a layer";

/// What is said of a file beside the image; the tests of the program reach it.
const OBJECT: &str = "of a file outside of the image, which a reader was given";

/// What is said of the use of an index, not of a layer; the tests of the program reach it.
const INDEX: &str = "of what an index may be used for, which is no refusal of the layer";

/// Codes that no case reaches, and why.
pub const NOT_REACHED: [(Code, &str); 32] = [
    (Code::GuestTime, SANDBOX),
    (Code::GuestMemory, SANDBOX),
    (Code::GuestTrap, SANDBOX),
    (Code::GuestAnswer, SANDBOX),
    (Code::GuestCancelled, SANDBOX),
    (
        Code::DeviceMissing,
        "the caller's: needs a reader that was given no device",
    ),
    (Code::ObjectSize, OBJECT),
    (Code::ObjectDigest, OBJECT),
    (
        Code::InodeType,
        "the caller's: needs one who asks of a file what it is not",
    ),
    (
        Code::InodeTruncated,
        "needs a caller with a record in parts; in an image it is inode-offset",
    ),
    (
        Code::MapIndex,
        "the last line of defence: no reader asks for what is beyond the content",
    ),
    (
        Code::VerityMagic,
        "behind an image, what has no magic is a tree without a superblock",
    ),
    (
        Code::VerityData,
        "of one data block, which a reader asks for by itself",
    ),
    (
        Code::CompressionUnavailable,
        "only in builds without a decoder for LZMA",
    ),
    (Code::MetadataMemory, MEMORY),
    (Code::PclusterMemory, MEMORY),
    (Code::JsonMemory, MEMORY),
    (Code::ZstdMemory, MEMORY),
    (Code::ChunkIndexMemory, MEMORY),
    (Code::ChunkMemory, MEMORY),
    (
        Code::BuildTarget,
        "of folders and other sources: the reader of tar archives says tar-name before",
    ),
    (
        Code::BuildContent,
        "the caller's: needs one whose content is not what it told",
    ),
    (
        Code::BuildReadBack,
        "needs an image that is not what was written: a disk or memory that fails",
    ),
    (
        Code::BuildBlocks,
        "needs an image of 2 TiB; a test of the builder reaches it",
    ),
    (Code::TarMemory, MEMORY),
    (Code::ChunkIndexUnpinned, INDEX),
    (Code::ChunkIndexUnverified, INDEX),
    (
        Code::ChunkBounds,
        "the caller's: needs one who asks for what is behind the end of an image",
    ),
    (
        Code::GzipCounter,
        "needs a machine of 32 bits and a stream of 4 GiB",
    ),
    (
        Code::ZstdTrailing,
        "only where frames are decoded one by one",
    ),
    (Code::ZstdUnavailable, "only in builds without an allocator"),
    (
        Code::Finished,
        "needs a caller that does not keep to the interface",
    ),
];

/// The ids of the cases that are refused with each error, or pass over an index for it.
#[must_use]
pub fn reached(manifest: &Manifest) -> BTreeMap<&str, Vec<&str>> {
    let mut reached: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for case in &manifest.cases {
        if let Some(error) = case.refusal() {
            reached.entry(&error.id).or_default().push(&case.id);
        }
        if let Expected::Valid { outputs } = &case.expected
            && let Some(id) = outputs.get("passedOver").and_then(Json::as_str)
        {
            reached.entry(id).or_default().push(&case.id);
        }
    }
    reached
}

/// The table, in Markdown.
#[must_use]
pub fn markdown(manifest: &Manifest) -> String {
    let reached = reached(manifest);
    let mut page = String::from(
        "# Which case reaches which error\n\n\
         Written by `erofs-unpack-conformance generate`. An error is reached by the cases that are refused with it. A rule is an error of the check.\n\n",
    );
    let rules = Code::ALL
        .iter()
        .filter(|code| RULES.iter().any(|rule| rule.code == **code))
        .count();
    let missed = Code::ALL
        .iter()
        .filter(|code| !reached.contains_key(code.id()))
        .count();
    let _ = writeln!(
        page,
        "{} errors, {rules} of them rules; {missed} are reached by no case, for the reason that \
         is stated. {} cases.\n",
        Code::ALL.len(),
        manifest.cases.len()
    );
    page.push_str("| error | rule | cases | |\n|---|---|---:|---|\n");
    for code in Code::ALL {
        let rule = RULES.iter().any(|rule| rule.code == *code);
        let rule = if rule { "yes" } else { "" };
        let (count, text) = match reached.get(code.id()) {
            Some(cases) => (cases.len(), named(cases)),
            None => (0, reason(*code).to_owned()),
        };
        let _ = writeln!(page, "| `{}` | {rule} | {count} | {text} |", code.id());
    }
    page
}

/// The first few of them.
fn named(cases: &[&str]) -> String {
    let mut text: Vec<String> = cases.iter().take(3).map(|id| format!("`{id}`")).collect();
    if cases.len() > 3 {
        text.push("…".into());
    }
    text.join(", ")
}

fn reason(code: Code) -> &'static str {
    NOT_REACHED
        .iter()
        .find(|(excused, _)| *excused == code)
        .map_or("**not reached**", |(_, reason)| reason)
}
