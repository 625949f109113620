//! The check of an image: for each rule an image that breaks it and no other, made from a clean
//! one by edits of named fields, with a right checksum.

mod compressed;
mod content;
mod directories;
mod inodes;
mod limits;
mod read;
mod superblock;
mod trees;
mod verdicts;
mod whole;
mod xattrs;

use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::bases::Bases;
use super::super::erofs::{Edit, Made};
use super::super::suite::{Draft, Suite};
use crate::manifest::{CheckInput, Level, Policy};

/// The section of the vectors' README that says how severe a breach is.
const SEVERITY: &str = "How severe a breach is";

/// Where a demand is taken from: a name of the sources, and a place there.
type Source = (&'static str, &'static str);

pub(super) fn add(suite: &mut Suite, bases: &Bases) {
    let trees = trees::Trees::add(suite);
    made_by_mkfs(suite, bases);
    superblock::add(suite, bases, &trees);
    inodes::add(suite, &trees);
    directories::add(suite, &trees);
    xattrs::add(suite, &trees);
    content::add(suite, &trees);
    compressed::add(suite, &trees);
    whole::add(suite, &trees);
    limits::add(suite, &trees);
    read::add(suite, &trees);
}

/// Images as `mkfs.erofs` writes them, with each layout and algorithm.
fn made_by_mkfs(suite: &mut Suite, bases: &Bases) {
    for (name, description) in [
        ("chunks", "Chunks of two blocks."),
        ("deflate", "Content that is compressed with DEFLATE."),
        (
            "extents",
            "LZ4 with encoded extents, and addresses of 48 bits.",
        ),
        (
            "fragments",
            "LZ4 with tails in the packed inode, and shared extents.",
        ),
        ("lz4", "LZ4 with compact indexes."),
        ("lzma", "Content that is compressed with LZMA."),
        ("metabox", "A metabox that is compressed with zstd."),
        ("tail", "LZ4 with tails behind the indexes."),
        ("zstd", "Content that is compressed with zstd."),
    ] {
        let id = format!("check-clean/mkfs-{name}");
        let image = bases.get(&format!("{name}.erofs"));
        let draft = clean(suite, &id, description, image, [5, 1]);
        suite.add(draft.origin("programs"));
    }
}

/// A clean image that others are made from.
struct Clean {
    /// The id of its case.
    id: String,
    made: Made,
    level: Level,
    devices: u16,
}

impl Clean {
    /// An inode of it.
    fn nid(&self, path: &str) -> At {
        At::Nid(self.made.nid(path))
    }

    /// An entry of one of its directories.
    fn entry(&self, dir: &str, name: &str) -> At {
        At::File(self.made.nid(dir), self.made.offset(dir, name))
    }

    fn edit(&self) -> Edit<'_> {
        self.made.edit()
    }

    /// A case that breaks a rule.
    fn breaks(
        &self,
        id: &str,
        description: &str,
        demand: Source,
        code: Code,
        at: At,
    ) -> Breach<'_> {
        let model = Model {
            id: &self.id,
            level: self.level,
            devices: self.devices,
        };
        model.breaks(id, description, demand, code, at)
    }
}

/// What a case is made from, and how it is checked.
#[derive(Clone, Copy)]
struct Model<'a> {
    id: &'a str,
    level: Level,
    devices: u16,
}

impl<'a> Model<'a> {
    /// A case that breaks a rule.
    fn breaks(self, id: &str, description: &str, demand: Source, code: Code, at: At) -> Breach<'a> {
        Breach {
            clean: self,
            id: id.to_owned(),
            description: description.to_owned(),
            demand,
            code,
            at,
            allowed: None,
        }
    }
}

/// A case that breaks a rule, without its image.
struct Breach<'a> {
    clean: Model<'a>,
    id: String,
    description: String,
    demand: Source,
    code: Code,
    at: At,
    /// A rule that the image cannot but break too.
    allowed: Option<Code>,
}

impl Breach<'_> {
    /// The same with a rule switched off.
    fn allowing(mut self, code: Code) -> Self {
        self.allowed = Some(code);
        self
    }

    /// Refused under every policy: one case, with the default one.
    fn always(self, suite: &mut Suite, image: &[u8]) {
        let draft = self.draft(suite, &self.id, image, Policy::default());
        suite.add(self.refused(draft));
    }

    /// A warning under `any`, an error otherwise.
    fn container(self, suite: &mut Suite, image: &[u8]) {
        let said = json!({"errors": [], "warnings": [self.code.id()]});
        self.graded(suite, image, Policy::Any, |draft| draft.valid(said));
        for policy in [Policy::Containerd, Policy::Strict] {
            self.graded(suite, image, policy, |draft| self.refused(draft));
        }
    }

    /// Nothing under `any`, a warning under `containerd`, an error under `strict`.
    fn strict(self, suite: &mut Suite, image: &[u8]) {
        let silent = json!({"errors": [], "warnings": []});
        self.graded(suite, image, Policy::Any, |draft| draft.valid(silent));
        let said = json!({"errors": [], "warnings": [self.code.id()]});
        self.graded(suite, image, Policy::Containerd, |draft| draft.valid(said));
        self.graded(suite, image, Policy::Strict, |draft| self.refused(draft));
    }

    fn refused(&self, draft: Draft) -> Draft {
        draft
            .differs_from(self.clean.id)
            .refused(self.code, self.at)
            .saying(json!({"errors": [self.code.id()], "warnings": []}))
    }

    fn graded(
        &self,
        suite: &mut Suite,
        image: &[u8],
        policy: Policy,
        finish: impl FnOnce(Draft) -> Draft,
    ) {
        let name = match policy {
            Policy::Any => "any",
            Policy::Containerd => "containerd",
            Policy::Strict => "strict",
        };
        let id = format!("{}/{name}", self.id);
        let draft = self.draft(suite, &id, image, policy);
        suite.add(finish(draft.demand("unpack", SEVERITY)));
    }

    fn draft(&self, suite: &mut Suite, id: &str, image: &[u8], policy: Policy) -> Draft {
        let Model { level, devices, .. } = self.clean;
        let draft = suite
            .check(id, &self.description, &self.id, image)
            .policy(policy)
            .asking(|input: &mut CheckInput| {
                input.level = level;
                input.devices = devices;
                input
                    .allow
                    .extend(self.allowed.map(|code| code.id().to_owned()));
            })
            .demand(self.demand.0, self.demand.1);
        verdicts::flags(&self.id).fold(draft, Draft::flag)
    }
}

/// A clean image: nothing is said of it under the strictest policy, at the full level.
fn clean(suite: &mut Suite, id: &str, description: &str, image: &[u8], count: [u64; 2]) -> Draft {
    let [inodes, directories] = count;
    suite
        .check(id, description, id, image)
        .policy(Policy::Strict)
        .asking(|input| input.level = Level::Full)
        .demand("linux", "fs/erofs/erofs_fs.h")
        .valid(json!({
            "errors": [],
            "warnings": [],
            "inodes": inodes,
            "directories": directories,
        }))
}
