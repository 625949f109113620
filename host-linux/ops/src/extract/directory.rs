//! A directory that files are created in, held open.
//!
//! Every name is used relative to the descriptor of its directory, and no name is ever looked
//! up through a symbolic link: directories are opened by one name at a time with `O_NOFOLLOW`.
//! So nothing that is in the target, or put there meanwhile, leads out of it.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use erofs_unpack_core::erofs::Inode;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::context::{Context, mode};
use super::node::Node;
use crate::error::{HostError, TargetFault};

/// How directories are opened to work in. Reading is all that a directory can be opened for.
const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// A directory in the target.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    node: Arc<Node>,
    /// The inode whose attributes it gets when nothing more is created in it; `None` for the
    /// parents of what was asked for.
    pub(super) inode: Option<Inode>,
    /// Whether it was there before.
    pub(super) existed: bool,
    /// Whether new files in it get an owner, a group and permissions as the process says, and
    /// no attribute: without a group or an ACL that they inherit.
    pub(super) is_plain: bool,
}

/// The ACL that new files inherit.
pub(super) const ACL_DEFAULT: &str = "system.posix_acl_default";
/// The ACL of a file itself.
pub(super) const ACL_ACCESS: &str = "system.posix_acl_access";

impl Directory {
    /// Opens the target, which is made (not its parents) when it does not exist. It is the one
    /// directory whose name may be a symbolic link's: the user gave it.
    pub(super) fn target(path: &Path, inode: Option<Inode>) -> Result<Self, HostError> {
        let flags = OPEN.difference(OFlags::NOFOLLOW);
        let open = || rustix::fs::openat(CWD, path, flags, Mode::empty());
        let fd = match open() {
            Err(Errno::NOENT) => {
                rustix::fs::mkdirat(CWD, path, mode(0o777))
                    .map_err(|error| HostError::environment(path, "make the directory", error))?;
                open()
            }
            fd => fd,
        };
        let fd = fd.map_err(|error| HostError::environment(path, "open the directory", error))?;
        let is_plain = plain(fd.as_fd())
            .map_err(|error| HostError::environment(path, "look at the directory", error))?;
        Ok(Self {
            fd,
            node: Node::root(),
            inode,
            existed: true,
            is_plain,
        })
    }

    /// The descriptor.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Where it lies.
    pub(super) const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Makes a directory inside this one, or enters the one that is there.
    ///
    /// Until it is finished nobody but its owner may do anything with it, and this process
    /// may do everything.
    pub(super) fn enter(
        &self,
        context: &Context<'_>,
        name: &[u8],
        inode: Option<Inode>,
    ) -> Result<Self, HostError> {
        let permissions = if inode.is_some() { 0o700 } else { 0o777 };
        let mut made = self.make(name, permissions);
        let mut opened = self.open(name);
        if made == Err(Errno::EXIST) && matches!(opened, Err(Errno::NOTDIR | Errno::LOOP)) {
            context.clear(self, name)?;
            made = self.make(name, permissions);
            opened = self.open(name);
        }
        let existed = match made {
            Ok(()) => false,
            Err(Errno::EXIST) => true,
            Err(error) => {
                return Err(context.failed(&self.node, name, "make the directory", error));
            }
        };
        let fail = |error| context.failed(&self.node, name, "open the directory", error);
        let fd = opened.map_err(fail)?;
        let mut is_plain = self.is_plain;
        if existed {
            is_plain = plain(fd.as_fd()).map_err(fail)?;
        } else if !self.is_plain {
            if inode.is_some() {
                disinherit(fd.as_fd()).map_err(fail)?;
            }
            is_plain = plain(fd.as_fd()).map_err(fail)?;
        }
        Ok(Self {
            fd,
            node: Node::child(&self.node, name),
            inode,
            existed,
            is_plain,
        })
    }

    fn make(&self, name: &[u8], permissions: u32) -> Result<(), Errno> {
        rustix::fs::mkdirat(&self.fd, name, mode(permissions))
    }

    fn open(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(&self.fd, name, OPEN, Mode::empty())
    }

    /// Opens a directory below this one, by one name after the other.
    pub(super) fn descend(&self, names: &[&[u8]]) -> Result<OwnedFd, Errno> {
        let flags = OPEN.difference(OFlags::RDONLY).union(OFlags::PATH);
        let mut fd: Option<OwnedFd> = None;
        for name in names {
            let above = fd.as_ref().map_or(self.fd.as_fd(), OwnedFd::as_fd);
            fd = Some(rustix::fs::openat(above, *name, flags, Mode::empty())?);
        }
        match fd {
            Some(fd) => Ok(fd),
            None => Ok(rustix::io::fcntl_dupfd_cloexec(&self.fd, 0)?),
        }
    }
}

impl Context<'_> {
    /// Makes a name free for a new file: by removing what has it, if that is wanted and it is
    /// no directory.
    pub(super) fn clear(&self, dir: &Directory, name: &[u8]) -> Result<(), HostError> {
        let fault = |fault| HostError::target(self.outside(dir.node(), name), fault);
        let stat = rustix::fs::statat(dir.fd(), name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.failed(dir.node(), name, "look for", error))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return Err(fault(TargetFault::Directory)),
            _ if self.options.replace => {}
            FileType::Symlink => return Err(fault(TargetFault::Symlink)),
            _ => return Err(fault(TargetFault::Exists)),
        }
        rustix::fs::unlinkat(dir.fd(), name, AtFlags::empty())
            .map_err(|error| self.failed(dir.node(), name, "remove", error))
    }

    /// Creates something under a name that must be free, or is made free first if that is
    /// wanted. `create` must not follow a symbolic link, and must fail when the name is taken.
    pub(super) fn create<T>(
        &self,
        dir: &Directory,
        name: &[u8],
        mut create: impl FnMut() -> Result<T, Errno>,
    ) -> Result<Result<T, Errno>, HostError> {
        match create() {
            Err(Errno::EXIST) => {
                self.clear(dir, name)?;
                Ok(create())
            }
            made => Ok(made),
        }
    }
}

/// Whether files that are made in a directory inherit nothing from it.
fn plain(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    // A group is inherited from a set-group-id directory, or from every one on some mounts.
    let stat = rustix::fs::fstat(fd)?;
    if stat.st_gid != rustix::process::getegid().as_raw() {
        return Ok(false);
    }
    match rustix::fs::fgetxattr(fd, ACL_DEFAULT, &mut [0_u8; 0]) {
        Ok(_) | Err(Errno::RANGE) => Ok(false),
        Err(_) => Ok(true),
    }
}

/// Removes what a new file has inherited.
pub(super) fn disinherit(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    for name in [ACL_DEFAULT, ACL_ACCESS] {
        match rustix::fs::fremovexattr(fd, name) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::ACCESS) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
