//! What several operations are told: which image is meant, and how images are checked.

use erofs_unpack_core::check::{self, Level, RULES, Rule};
use erofs_unpack_core::oci::Policy;

use crate::error::HostError;
use crate::image::Selection;
use crate::source::SourceOptions;

/// Which image is meant, and how its documents are read.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// Which image of a layout.
    pub image: Selection,
    /// How strictly a manifest is read, and images are checked, where readers disagree.
    pub policy: Policy,
    /// How the source is opened.
    pub source: SourceOptions,
}

impl Select {
    /// Refuses what is only said of an image layout. `source` is what to call the source.
    pub(crate) fn not_for_blobs(&self, source: &str) -> Result<(), HostError> {
        let given = [
            ("--ref", self.image.reference.is_some()),
            ("--platform", self.image.platform.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(HostError::Usage(format!(
                "{flag}: {source} is one blob, not an image layout"
            ))),
            None => Ok(()),
        }
    }
}

/// How the inside of images is checked.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// How far the check goes.
    pub level: Level,
    /// The rules that are switched off, by their ids.
    pub allow: Vec<String>,
}

impl Checks {
    /// What the core's check is asked to do.
    ///
    /// # Errors
    ///
    /// [`HostError::Usage`] when there is no such rule.
    pub fn options(&self, policy: Policy) -> Result<check::Options, HostError> {
        let mut options = check::Options::default();
        options.level = self.level;
        options.policy = policy;
        for id in &self.allow {
            if !options.allow(id) {
                return Err(unknown_rule(id));
            }
        }
        Ok(options)
    }
}

/// There is no such rule; those of the same family are named.
fn unknown_rule(id: &str) -> HostError {
    let family = |id: &str| id.split('-').next().map(str::to_owned);
    let near: Vec<&str> = RULES
        .iter()
        .map(Rule::id)
        .filter(|rule| family(rule) == family(id))
        .collect();
    let near = if near.is_empty() {
        "core/RULES.md lists them".to_owned()
    } else {
        format!("there are {}", near.join(", "))
    };
    HostError::Usage(format!("--allow {id}: there is no such rule: {near}"))
}
