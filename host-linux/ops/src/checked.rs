//! What is kept of the check of an image: its findings, by their rules.

use std::path::{Path, PathBuf};

use erofs_unpack_core::Error;
use erofs_unpack_core::check::{Rule, Severity, Summary};
use erofs_unpack_core::erofs::{Needs, Superblock};

use crate::place::inside;

/// What a check said of an image.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What the image is called.
    pub place: PathBuf,
    /// What it has seen.
    pub summary: Summary,
    /// Its superblock; `None` where that cannot be read.
    pub superblock: Option<Superblock>,
    /// What was found, errors first, in the order in which the rules were first broken.
    pub breaches: Vec<Breach>,
}

/// All findings of one rule.
#[derive(Clone, Debug)]
pub struct Breach {
    /// What they do to the verdict.
    pub severity: Severity,
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Place,
    /// Some of those that follow.
    pub next: Vec<Place>,
}

/// One finding.
#[derive(Clone, Debug)]
pub struct Place {
    /// The path in the image, without a leading slash, where it is known.
    pub path: Option<Vec<u8>>,
    /// What was wrong.
    pub error: Error,
}

impl Checked {
    /// What the image needs of the kernel, by the superblock and what was seen besides; `None` where
    /// the superblock cannot be read.
    #[must_use]
    pub fn needs(&self) -> Option<Needs> {
        // What the superblock says is not left to a guest.
        let superblock = self.superblock.as_ref()?;
        Some(superblock.needs().and(self.summary.needs))
    }

    /// The first error, if there is one.
    #[must_use]
    pub fn first_error(&self) -> Option<&Place> {
        let breach = self.breaches.first()?;
        (breach.severity == Severity::Error).then_some(&breach.first)
    }
}

impl Breach {
    /// The rule that is broken; `None` for what makes an image unreadable without a rule of its
    /// own.
    #[must_use]
    pub fn rule(&self) -> Option<&'static Rule> {
        Rule::of(self.first.error.code())
    }

    /// The findings that are kept.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        core::iter::once(&self.first).chain(&self.next)
    }
}

impl Place {
    /// What to call it in messages, in an image that is called `image`.
    #[must_use]
    pub fn place_in(&self, image: &Path) -> PathBuf {
        match &self.path {
            Some(path) => inside(image, path),
            None => image.to_owned(),
        }
    }
}
