//! Clean images, and the cases that are made from one by a breach of one rule.

use erofs_unpack_core::{At, Code};
use serde_json::json;

use super::super::super::erofs::{Edit, LabelledImage};
use super::super::super::suite::{Draft, Suite};
use super::verdicts;
use crate::manifest::{CheckInput, Level, Policy};

/// The section of the vectors' README that says how severe a breach is.
const SEVERITY: &str = "How severe a breach is";

/// Where a demand is taken from: a name of the sources, and a place there.
pub(super) type Source = (&'static str, &'static str);

/// A clean image that others are made from.
pub(super) struct Clean {
    /// The id of its case.
    pub(super) id: String,
    pub(super) made: LabelledImage,
    pub(super) level: Level,
    pub(super) devices: u16,
}

impl Clean {
    /// An inode of it.
    pub(super) fn nid(&self, path: &str) -> At {
        At::Nid(self.made.nid(path))
    }

    /// An entry of one of its directories.
    pub(super) fn entry(&self, dir: &str, name: &str) -> At {
        At::File(self.made.nid(dir), self.made.offset(dir, name))
    }

    pub(super) fn edit(&self) -> Edit<'_> {
        self.made.edit()
    }

    /// A case that breaks a rule.
    pub(super) fn breaks(
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
pub(super) struct Model<'a> {
    pub(super) id: &'a str,
    pub(super) level: Level,
    pub(super) devices: u16,
}

impl<'a> Model<'a> {
    /// A case that breaks a rule.
    pub(super) fn breaks(
        self,
        id: &str,
        description: &str,
        demand: Source,
        code: Code,
        at: At,
    ) -> Breach<'a> {
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
pub(super) struct Breach<'a> {
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
    pub(super) fn allowing(mut self, code: Code) -> Self {
        self.allowed = Some(code);
        self
    }

    /// Refused under every policy: one case, with the default one.
    pub(super) fn always(self, suite: &mut Suite, image: &[u8]) {
        let draft = self.draft(suite, &self.id, image, Policy::default());
        suite.add(self.refused(draft));
    }

    /// A warning under `any`, an error otherwise.
    pub(super) fn container(self, suite: &mut Suite, image: &[u8]) {
        let said = json!({"errors": [], "warnings": [self.code.id()]});
        self.graded(suite, image, Policy::Any, |draft| draft.valid(said));
        for policy in [Policy::Containerd, Policy::Strict] {
            self.graded(suite, image, policy, |draft| self.refused(draft));
        }
    }

    /// A warning under `any` and `containerd`, an error under `strict`.
    pub(super) fn said(self, suite: &mut Suite, image: &[u8]) {
        let said = || json!({"errors": [], "warnings": [self.code.id()]});
        for policy in [Policy::Any, Policy::Containerd] {
            self.graded(suite, image, policy, |draft| draft.valid(said()));
        }
        self.graded(suite, image, Policy::Strict, |draft| self.refused(draft));
    }

    /// Nothing under `any`, a warning under `containerd`, an error under `strict`.
    pub(super) fn strict(self, suite: &mut Suite, image: &[u8]) {
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
            .with_outputs(json!({"errors": [self.code.id()], "warnings": []}))
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
            .with_input(|input: &mut CheckInput| {
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
pub(super) fn clean(
    suite: &mut Suite,
    id: &str,
    description: &str,
    image: &[u8],
    count: [u64; 2],
) -> Draft {
    let [inodes, directories] = count;
    suite
        .check(id, description, id, image)
        .policy(Policy::Strict)
        .with_input(|input| input.level = Level::Full)
        .demand("linux", "fs/erofs/erofs_fs.h")
        .valid(json!({
            "errors": [],
            "warnings": [],
            "inodes": inodes,
            "directories": directories,
        }))
}
