//! What was not restored, for want of permission or of room, counted and told at the end.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::report::shown;

/// Something of a file that was not restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Loss {
    /// Its owner or group.
    Owner,
    /// The set-id bits that went with its owner or group.
    SetId,
    /// The file itself, a device.
    Device,
    /// Another name of a file that was left out.
    Link,
    /// An extended attribute that this user may not set.
    Attribute,
    /// An extended attribute that the target cannot hold.
    Unheld,
    /// An extended attribute that no kernel gives out: see [`super::attributes::each_xattr`].
    Hidden,
    /// Permissions or time of a directory that was there before.
    Directory,
    /// The file itself, a socket: in a tar stream.
    Socket,
}

impl Loss {
    const ALL: [Self; 9] = [
        Self::Owner,
        Self::SetId,
        Self::Device,
        Self::Link,
        Self::Attribute,
        Self::Unheld,
        Self::Hidden,
        Self::Directory,
        Self::Socket,
    ];

    /// What was lost, for one and for several.
    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Owner => ("owner or group of 1 file", "owners or groups of # files"),
            Self::SetId => ("set-id bits of 1 file", "set-id bits of # files"),
            Self::Device => ("1 device", "# devices"),
            Self::Link => ("1 further name of a device", "# further names of devices"),
            Self::Attribute | Self::Unheld => ("1 extended attribute", "# extended attributes"),
            Self::Hidden => (
                "1 user.* attribute of a link, pipe, socket or device",
                "# user.* attributes of links, pipes, sockets or devices",
            ),
            Self::Directory => (
                "attributes of 1 directory that was there before",
                "attributes of # directories that were there before",
            ),
            Self::Socket => ("1 socket", "# sockets"),
        }
    }

    /// Why.
    const fn reason(self) -> &'static str {
        match self {
            Self::Owner => "only root may give files away",
            Self::SetId => "they would run as another than the image says",
            Self::Socket => "tar cannot hold them",
            Self::Unheld => "the file system there cannot hold it",
            Self::Hidden => "a mount does not give it out either",
            _ => "not permitted",
        }
    }
}

/// Counts losses, from any thread.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    kinds: [Mutex<(u64, PathBuf)>; Loss::ALL.len()],
}

impl Skipped {
    /// Counts one, and keeps the path of the first.
    pub(super) fn add(&self, loss: Loss, path: impl FnOnce() -> PathBuf) {
        if let Some(kind) = Loss::ALL
            .iter()
            .position(|kind| *kind == loss)
            .and_then(|index| self.kinds.get(index))
        {
            let mut kind = kind.lock().unwrap_or_else(PoisonError::into_inner);
            if kind.0 == 0 {
                kind.1 = path();
            }
            kind.0 += 1;
        }
    }

    /// A sentence for each kind of loss that there was.
    pub(super) fn warnings(self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (loss, kind) in Loss::ALL.into_iter().zip(self.kinds) {
            let (count, first) = kind.into_inner().unwrap_or_else(PoisonError::into_inner);
            let (one, several) = loss.text();
            let what = match count {
                0 => continue,
                1 => one.to_owned(),
                _ => several.replace('#', &count.to_string()),
            };
            let first = shown(&first);
            let place = if count == 1 { "" } else { "first: " };
            let reason = loss.reason();
            warnings.push(format!("not restored: {what}: {reason} ({place}{first})"));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_kind() {
        let skipped = Skipped::default();
        assert!(Skipped::default().warnings().is_empty());
        skipped.add(Loss::Owner, || "a\n".into());
        skipped.add(Loss::Owner, || "b".into());
        skipped.add(Loss::Device, || "null".into());
        assert_eq!(
            skipped.warnings(),
            [
                r"not restored: owners or groups of 2 files: only root may give files away (first: a\n)",
                "not restored: 1 device: not permitted (null)",
            ]
        );
    }
}
