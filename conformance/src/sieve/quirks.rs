//! Where the oracles err: what they refuse, or how they read, without cause.

use super::pool::Answers;

/// Who errs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oracle {
    /// The kernel.
    Kernel,
    /// `fsck.erofs`.
    Fsck,
}

/// An answer that does not count, and why.
#[derive(Debug)]
pub struct Quirk {
    /// A short name.
    pub id: &'static str,
    /// Whose answer.
    pub oracle: Oracle,
    /// How the answer begins.
    pub says: &'static str,
    /// Why it is not taken for a rejection.
    pub reason: &'static str,
}

/// All of them. A quirk excuses an answer only where the other two agree, and both readers see
/// the same tree.
pub const QUIRKS: &[Quirk] = &[];

/// The quirk that excuses a rejection by `fsck.erofs` of what passed.
#[must_use]
pub fn excuse(answers: &Answers) -> Option<&'static Quirk> {
    let said = answers.fsck.as_ref()?.rejected.as_deref()?;
    QUIRKS
        .iter()
        .find(|quirk| quirk.oracle == Oracle::Fsck && said.starts_with(quirk.says))
}
