//! Where an answer says nothing against an image that passed.

use super::breach::Breach;
use super::pool::Answers;

/// An answer that does not count, and why.
#[derive(Debug)]
pub struct Quirk {
    /// A short name.
    pub id: &'static str,
    /// What the answer would be.
    pub breach: Breach,
    /// Whether this is the cause.
    pub applies: fn(&Answers) -> bool,
    /// Why it does not count.
    pub reason: &'static str,
}

/// All of them.
pub const QUIRKS: &[Quirk] = &[
    Quirk {
        id: "content-elsewhere",
        breach: Breach::WeCannotRead,
        applies: is_elsewhere,
        reason: "the image says that content lies on a device that is not there, which the policy any \
            only warns of: neither we nor the kernel can read it without the device",
    },
    Quirk {
        id: "no-blocks",
        breach: Breach::FsckRejects,
        applies: has_no_blocks,
        reason: "a big pcluster has no blocks, which Linux 7.2 reads as a hole, Linux 6.17 as zeros \
            where it finds such, and erofs-utils 1.9 not at all",
    },
    Quirk {
        id: "hole-refused",
        breach: Breach::KernelRefuses,
        applies: has_new_hole,
        reason: NEW_HOLE,
    },
    Quirk {
        id: "hole-differs",
        breach: Breach::TreesDiffer,
        applies: has_new_hole,
        reason: NEW_HOLE,
    },
];

/// Why kernels of today see something else in a hole by the marks of Linux 7.2.
const NEW_HOLE: &str = "a pcluster is a hole to Linux 7.2 and to us, and not to the kernel that was \
    asked, which the policy any only warns of";

/// The quirk that explains a breach.
#[must_use]
pub fn excuse(breach: Breach, answers: &Answers) -> Option<&'static Quirk> {
    QUIRKS
        .iter()
        .find(|quirk| quirk.breach == breach && (quirk.applies)(answers))
}

fn is_elsewhere(answers: &Answers) -> bool {
    let (Some(ours), Some(kernel)) = (&answers.ours, &answers.kernel) else {
        return false;
    };
    let warned = ours.warned.iter().any(|id| id == "device-foreign");
    let unread = ours.unread.as_deref().unwrap_or_default();
    let both = kernel
        .refused
        .as_deref()
        .is_some_and(|call| call.starts_with("read "));
    warned && unread.starts_with("device-missing:") && both
}

fn has_no_blocks(answers: &Answers) -> bool {
    let fsck = answers.fsck.as_ref();
    let rejected = fsck.and_then(|fsck| fsck.rejected.as_deref());
    rejected.is_some_and(|line| line.contains("cannot found CBLKCNT"))
}

fn has_new_hole(answers: &Answers) -> bool {
    let warned = answers.ours.as_ref().map(|ours| ours.warned.as_slice());
    warned.is_some_and(|ids| ids.iter().any(|id| id == "pcluster-hole"))
}
