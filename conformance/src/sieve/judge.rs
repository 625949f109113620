//! What the answers about a mutant come to.

use super::breach::Breach;
use super::pool::Answers;
use super::quirks;

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
    } else if !judgement.kernel && !kernel.unsupported {
        Some(Breach::KernelRefuses)
    } else if judgement.kernel && kernel.tree != ours.tree {
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

#[cfg(test)]
mod tests {
    use super::super::fsck::Fsck;
    use super::super::kernel::{self, Kernel};
    use super::super::ours::Ours;
    use super::*;

    /// What passes, and what reads of a missing device say.
    fn unread(warned: &[&str], ours: &str, kernels: &str) -> Judgement {
        let answers = Answers {
            ours: Some(Ours {
                warned: warned.iter().map(|id| (*id).to_owned()).collect(),
                unread: Some(ours.to_owned()),
                ..Ours::default()
            }),
            kernel: Some(Kernel {
                refused: Some(kernels.to_owned()),
                ..Kernel::default()
            }),
            ..Answers::default()
        };
        judge(&answers, "")
    }

    #[test]
    fn only_a_device_that_was_warned_of_explains_what_nobody_reads() {
        let missing = "device-missing: file";
        let judgement = unread(&["device-foreign"], missing, "read 5");
        assert_eq!(
            (judgement.quirk, judgement.breach),
            (Some("content-elsewhere"), None)
        );
        for (warned, ours, kernels) in [
            (&[][..], missing, "read 5"),
            (&["device-foreign"], "file-bounds: file", "read 5"),
            (&["device-foreign"], missing, "mount 117"),
        ] {
            let judgement = unread(warned, ours, kernels);
            assert_eq!(
                (judgement.quirk, judgement.breach),
                (None, Some(Breach::WeCannotRead))
            );
        }
    }

    #[test]
    fn a_feature_that_the_kernel_lacks_excuses_no_other_answer() {
        let mut answers = Answers {
            ours: Some(Ours {
                tree: Some("tree".to_owned()),
                ..Ours::default()
            }),
            kernel: Some(Kernel {
                refused: Some("mount 95".to_owned()),
                unsupported: true,
                ..Kernel::default()
            }),
            ..Answers::default()
        };
        assert_eq!(judge(&answers, "").breach, None);
        answers.fsck = Some(Fsck {
            rejected: Some("erofs: corrupt".to_owned()),
            ..Fsck::default()
        });
        assert_eq!(judge(&answers, "").breach, Some(Breach::FsckRejects));
    }

    #[test]
    fn the_kernel_is_spared_what_it_would_crash_of() {
        let ours = |refused: &str| Ours {
            refused: vec![refused.to_owned()],
            ..Ours::default()
        };
        assert!(kernel::spare(&ours("inode-mode").refused).is_none());
        let refused = ours("inode-internal");
        let kernel = kernel::spare(&refused.refused);
        assert!(kernel.is_some());
        let judgement = judge(
            &Answers {
                ours: Some(refused),
                kernel,
                ..Answers::default()
            },
            "",
        );
        assert!(judgement.spared && !judgement.passed);
        assert_eq!(judgement.breach, None);
    }
}
