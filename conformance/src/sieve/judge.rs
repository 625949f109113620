//! What the answers about a mutant come to.

use serde::{Deserialize, Serialize};

use super::pool::Answers;
use super::quirks;

/// A requirement that is not met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Breach {
    /// An answer did not come: somebody hung or died.
    NoAnswer,
    /// We pass what the kernel refuses, at the mount or when it is read.
    KernelRefuses,
    /// We pass what `fsck.erofs` rejects.
    FsckRejects,
    /// We pass what our own reader cannot read.
    WeCannotRead,
    /// We pass what we and the kernel read to different trees.
    TreesDiffer,
}

/// What the answers about a mutant come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Whether we pass it.
    pub passed: bool,
    /// Whether the kernel mounts and reads it.
    pub kernel: bool,
    /// Whether `fsck.erofs` finds nothing.
    pub fsck: bool,
    /// Whether the kernel was not asked, since it would crash.
    pub spared: bool,
    /// Whether the kernel lacks a feature that it needs.
    pub unsupported: bool,
    /// Whether the kernel reads the tree of the original.
    pub same_tree: bool,
    /// Whether `fsck.erofs` crashed.
    pub crashed: bool,
    /// Whether `fsck.erofs` took too long.
    pub timed_out: bool,
    /// The id of the quirk that explains a breach, which is then none.
    pub quirk: Option<&'static str>,
    /// The requirement that is not met.
    pub breach: Option<Breach>,
}

/// Judges the answers about a mutant of an image whose tree has this digest.
#[must_use]
pub fn judge(answers: &Answers, tree: &str) -> Judgement {
    let (Some(ours), Some(kernel)) = (&answers.ours, &answers.kernel) else {
        return Judgement {
            breach: Some(Breach::NoAnswer),
            ..Judgement::default()
        };
    };
    let fsck = answers.fsck.clone().unwrap_or_default();
    let mut judgement = Judgement {
        passed: ours.refused.is_empty(),
        kernel: kernel.refused.is_none(),
        fsck: answers.fsck.is_some() && fsck.rejected.is_none() && !fsck.timed_out,
        spared: kernel.spared,
        unsupported: kernel.unsupported,
        same_tree: kernel.tree.as_deref() == Some(tree),
        crashed: fsck.crashed.is_some(),
        timed_out: fsck.timed_out,
        ..Judgement::default()
    };
    if !judgement.passed {
        return judgement;
    }
    let breach = if ours.tree.is_none() {
        Some(Breach::WeCannotRead)
    } else if !judgement.kernel {
        (!kernel.unsupported).then_some(Breach::KernelRefuses)
    } else if kernel.tree != ours.tree {
        Some(Breach::TreesDiffer)
    } else if fsck.rejected.is_some() && !judgement.crashed {
        Some(Breach::FsckRejects)
    } else {
        None
    };
    let quirk = breach.and_then(|breach| quirks::excuse(breach, answers));
    judgement.quirk = quirk.map(|quirk| quirk.id);
    judgement.breach = breach.filter(|_| quirk.is_none());
    judgement
}
