//! Owner, extended attributes, permissions and time of a file that was created.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};

use erofs_unpack_core::erofs::{FileType, Image, Inode, ReadAt};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use super::context::{Context, mode};
use super::directory::{ACL_ACCESS, Directory, disinherit};
use super::node::Node;
use super::skipped::Loss;
use crate::error::HostError;

/// The type of a file in its mode.
const TYPE: u32 = 0o170_000;
/// Permissions, set-id bits and the sticky bit.
const PERMISSIONS: u32 = 0o7777;
/// The bits that make a program run as its owner, or as its group.
const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;

/// What a file is to have, after what this process may do is taken into account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) inode: &'a Inode,
    pub(super) mode: u32,
    /// Whether the owner or the group is another than new files have.
    foreign: bool,
    /// Whether set-id bits are left out.
    stripped: bool,
    /// Whether nothing of it was inherited.
    plain: bool,
    /// Whether it was there before, as only a directory may be.
    existed: bool,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(context: &Context<'_>, inode: &'a Inode, dir: &Directory) -> Self {
        let mut mode = u32::from(inode.mode) & PERMISSIONS;
        let foreign = inode.uid != context.uid || inode.gid != context.gid;
        if !context.options.everything {
            // Without its owner a set-id file would be another program.
            if inode.uid != context.uid {
                mode &= !SET_UID;
            }
            if inode.gid != context.gid {
                mode &= !SET_GID;
            }
        }
        Self {
            inode,
            mode,
            foreign,
            stripped: mode != u32::from(inode.mode) & PERMISSIONS,
            plain: dir.is_plain,
            existed: false,
        }
    }

    /// What a directory is to have. Nothing is known of one that was there before.
    pub(super) fn of_directory(context: &Context<'_>, inode: &'a Inode, dir: &Directory) -> Self {
        let wanted = Self::new(context, inode, dir);
        Self {
            plain: wanted.plain && !dir.existed,
            existed: dir.existed,
            ..wanted
        }
    }

    /// The permissions that it is created with. Before it has its owner and its ACL nobody
    /// else gets in.
    pub(super) const fn first_mode(&self, context: &Context<'_>) -> u32 {
        let changes_hands = context.options.everything && (self.foreign || !self.plain);
        if changes_hands || self.inode.xattr_count != 0 {
            0o600
        } else {
            self.mode & 0o777
        }
    }

    /// Whether it has its permissions already, having been created.
    const fn has_mode(&self, context: &Context<'_>) -> bool {
        self.plain && self.first_mode(context) & !context.umask == self.mode
    }

    /// Its time, for both times that can be set: an image has one.
    fn times(&self) -> Timestamps {
        let time = Timespec {
            tv_sec: self.inode.mtime,
            // The kernel takes no more, and neither do those that wrote it mean more.
            tv_nsec: self.inode.mtime_ns.min(999_999_999).into(),
        };
        Timestamps {
            last_access: Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            last_modification: time,
        }
    }

    /// Tells what of its owner and group is not restored.
    fn tell(&self, context: &Context<'_>, (dir, name): (&Node, &[u8])) {
        for (loss, lost) in [(Loss::Owner, self.foreign), (Loss::SetId, self.stripped)] {
            if lost {
                context.skipped.add(loss, || context.outside(dir, name));
            }
        }
    }

    const fn owner(&self) -> (Option<Uid>, Option<Gid>) {
        (
            Some(Uid::from_raw_unchecked(self.inode.uid)),
            Some(Gid::from_raw_unchecked(self.inode.gid)),
        )
    }
}

/// Sets what a regular file or a directory is to have, through its descriptor.
///
/// The order matters: a change of owner takes set-id bits and capabilities away, and an
/// attribute may need the permission to write.
pub(super) fn set<R: ReadAt<Error = io::Error>>(
    context: &Context<'_>,
    image: &Image<R>,
    fd: BorrowedFd<'_>,
    wanted: &Wanted<'_>,
    at: (&Node, &[u8]),
) -> Result<(), HostError> {
    let is_new_file = wanted.inode.file_type == FileType::Regular;
    // Also where the owner is this process's: not every file system gives new files to who
    // makes them.
    if context.options.everything {
        check_owner(wanted)
            .and_then(|()| {
                let (uid, gid) = wanted.owner();
                rustix::fs::fchown(fd, uid, gid)
            })
            .map_err(|error| context.failed(at.0, at.1, "set the owner of", error))?;
    } else {
        wanted.tell(context, at);
    }
    if is_new_file && !wanted.plain {
        disinherit(fd).map_err(|error| context.failed(at.0, at.1, "set the ACL of", error))?;
    }
    set_xattrs(context, image, wanted.inode, at, |name, value| {
        rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty())
    })?;
    let chmod = if is_new_file && wanted.has_mode(context) {
        Ok(())
    } else {
        rustix::fs::fchmod(fd, mode(wanted.mode))
    };
    let outcome = chmod.and(rustix::fs::futimens(fd, &wanted.times()));
    let doing = "set the permissions and the time of";
    if wanted.existed {
        // It may be another user's.
        return context.permit(outcome, Loss::Directory, at, doing);
    }
    outcome.map_err(|error| context.failed(at.0, at.1, doing, error))
}

/// Sets what any other file is to have: a symbolic link, a pipe, a socket or a device, which was
/// just made under this name.
pub(super) fn set_special<R: ReadAt<Error = io::Error>>(
    context: &Context<'_>,
    image: &Image<R>,
    dir: &Directory,
    name: &[u8],
    wanted: &Wanted<'_>,
) -> Result<(), HostError> {
    let at = (&**dir.node(), name);
    let failed = |doing, error| context.failed(at.0, at.1, doing, error);
    let fd = pin(dir, name, wanted.inode).map_err(|error| failed("look at", error))?;
    // For what takes no descriptor of this sort. It leads to the very file.
    let path = || format!("/proc/self/fd/{}", fd.as_raw_fd());
    let is_link = wanted.inode.file_type == FileType::Symlink;
    if context.options.everything {
        check_owner(wanted)
            .and_then(|()| {
                let (uid, gid) = wanted.owner();
                rustix::fs::chownat(&fd, c"", uid, gid, AtFlags::EMPTY_PATH)
            })
            .map_err(|error| failed("set the owner of", error))?;
    } else {
        wanted.tell(context, at);
    }
    if !is_link && !wanted.plain {
        match rustix::fs::removexattr(path(), ACL_ACCESS) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::ACCESS) => {}
            Err(error) => return Err(failed("set the ACL of", error)),
        }
    }
    set_xattrs(context, image, wanted.inode, at, |key, value| {
        rustix::fs::setxattr(path(), key, value, XattrFlags::empty())
    })?;
    if !is_link && !wanted.has_mode(context) {
        rustix::fs::chmod(path(), mode(wanted.mode))
            .map_err(|error| failed("set the permissions of", error))?;
    }
    match rustix::fs::utimensat(&fd, c"", &wanted.times(), AtFlags::EMPTY_PATH) {
        // Linux before 5.8 knows no such flag here.
        Err(Errno::INVAL) => {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::utimensat(dir.fd(), name, &wanted.times(), flags)
        }
        set => set,
    }
    .map_err(|error| failed("set the time of", error))
}

/// Holds on to a file that was just made, without opening it. Whoever may write to the directory
/// can have put something else under its name, so it must be of the right type and have no other
/// name.
fn pin(dir: &Directory, name: &[u8], inode: &Inode) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir.fd(), name, flags, Mode::empty())?;
    let stat = rustix::fs::fstat(&fd)?;
    let is_ours = stat.st_mode & TYPE == u32::from(inode.mode) & TYPE && stat.st_nlink == 1;
    if is_ours { Ok(fd) } else { Err(Errno::STALE) }
}

/// The id that says "leave it" cannot be a file's.
fn check_owner(wanted: &Wanted<'_>) -> Result<(), Errno> {
    if wanted.inode.uid == u32::MAX || wanted.inode.gid == u32::MAX {
        return Err(Errno::INVAL);
    }
    Ok(())
}

/// Sets all extended attributes of an inode.
fn set_xattrs<R: ReadAt<Error = io::Error>>(
    context: &Context<'_>,
    image: &Image<R>,
    inode: &Inode,
    at: (&Node, &[u8]),
    set: impl Fn(&[u8], &[u8]) -> Result<(), Errno>,
) -> Result<(), HostError> {
    each_xattr(context, image, inode, at, |name, value| {
        let outcome = match set(name, value) {
            Err(error) if cannot_hold(error) => {
                context
                    .skipped
                    .add(Loss::Unheld, || context.outside(at.0, at.1));
                Ok(())
            }
            outcome => outcome,
        };
        let doing = "set an extended attribute (--no-xattrs leaves them out)";
        context.permit(outcome, Loss::Attribute, at, doing)
    })
}

/// Whether the system says that a file system has no place for an attribute: for none, for none
/// of its namespace, its size or its content, or for no more. What it may not be given is another
/// matter. A disk that is full says so again with the next file.
fn cannot_hold(error: Errno) -> bool {
    matches!(
        error,
        Errno::OPNOTSUPP | Errno::INVAL | Errno::TOOBIG | Errno::RANGE | Errno::NOSPC
    )
}

/// Whether an attribute can be there for nobody: the kernel gives `user.*` attributes out for
/// regular files and directories alone (`xattr_permission` in `fs/xattr.c`), and takes them for
/// no others. `mkfs.erofs` stores them all the same where an archive has them.
fn is_hidden(inode: &Inode, name: &[u8]) -> bool {
    name.starts_with(b"user.")
        && !matches!(inode.file_type, FileType::Regular | FileType::Directory)
}

/// Goes through the extended attributes of an inode, unless they are not wanted. Of a name that
/// comes twice the first counts, as for the kernel; what a mount would not give out is left out.
pub(super) fn each_xattr<R: ReadAt<Error = io::Error>>(
    context: &Context<'_>,
    image: &Image<R>,
    inode: &Inode,
    (dir, name): (&Node, &[u8]),
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), HostError>,
) -> Result<(), HostError> {
    if inode.xattr_count == 0 || !context.options.xattrs {
        return Ok(());
    }
    let unread = |error| context.unread(dir, name, error);
    let mut xattrs = image.xattrs(inode).map_err(unread)?;
    let mut seen = HashSet::new();
    while let Some(xattr) = xattrs.next().map_err(unread)? {
        if context.is_spent(inode, xattr.name) {
            continue;
        }
        if is_hidden(inode, xattr.name) {
            context
                .skipped
                .add(Loss::Hidden, || context.outside(dir, name));
        } else if seen.insert(xattr.name.to_vec()) {
            take(xattr.name, xattr.value)?;
        }
    }
    Ok(())
}
