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
pub const QUIRKS: &[Quirk] = &[Quirk {
    id: "content-elsewhere",
    breach: Breach::WeCannotRead,
    applies: is_elsewhere,
    reason: "the image says that content lies on a device that is not there, which the policy any \
        only warns of: neither we nor the kernel can read it without the device",
}];

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
