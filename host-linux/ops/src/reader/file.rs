//! What is reported of a file in an image.

use std::ffi::OsStr;

use erofs_unpack_core::Code;
use erofs_unpack_core::erofs::{Data, FileType, Inode, ReadError};
use serde::Serialize;

use super::{Found, Last, Reader};
use crate::error::HostError;
use crate::escape::Escaped;

/// A file of an image.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileReport {
    /// Its type, in a word.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Permissions, in octal digits.
    pub mode: String,
    /// Its names, as many as it says.
    pub nlink: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Size of its content in bytes.
    pub size: u64,
    /// When it was modified, in seconds since 1970.
    pub mtime: i64,
    /// The nanoseconds of that second.
    pub mtime_ns: u32,
    /// Its number.
    pub nid: u64,
    /// Major and minor number of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<[u32; 2]>,
    /// Target of a symbolic link, escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl FileReport {
    /// An inode, and the target of a symbolic link.
    #[must_use]
    pub fn of(inode: &Inode, target: Option<&[u8]>) -> Self {
        Self {
            kind: match inode.file_type {
                FileType::Regular => "file",
                FileType::Directory => "directory",
                FileType::CharDevice => "char-device",
                FileType::BlockDevice => "block-device",
                FileType::Fifo => "fifo",
                FileType::Socket => "socket",
                FileType::Symlink => "symlink",
            },
            mode: format!("{:04o}", inode.mode & 0o7777),
            nlink: inode.nlink,
            uid: inode.uid,
            gid: inode.gid,
            size: inode.size,
            mtime: inode.mtime,
            mtime_ns: inode.mtime_ns,
            nid: inode.nid,
            device: device(inode).map(|(major, minor)| [major, minor]),
            target: target.map(|target| Escaped::name(target).to_string()),
        }
    }
}

/// Major and minor number of a device.
#[must_use]
pub const fn device(inode: &Inode) -> Option<(u32, u32)> {
    match inode.data {
        Data::Device(major, minor) => Some((major, minor)),
        _ => None,
    }
}

/// All that an image says of a file: what `stat --json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatReport {
    /// As it was asked for, in the names of the image, escaped.
    pub path: String,
    /// What is said of every file.
    #[serde(flatten)]
    pub file: FileReport,
    /// How its content is laid out.
    pub layout: &'static str,
    /// Size of its inode in bytes.
    pub inode_size: u64,
    /// Its extended attributes.
    pub xattrs: Vec<XattrReport>,
    /// What the image states of its content, so that kernels can share pages: a digest, or else
    /// escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Where its content lies, if that is outside of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metacopy: Option<MetacopyReport>,
    /// The inode itself.
    #[serde(skip)]
    pub inode: Inode,
}

/// A file whose content lies outside of the image, a metacopy file of overlayfs.
#[derive(Clone, Debug, Serialize)]
pub struct MetacopyReport {
    /// Where its content lies, escaped: from the root of a layer below if it starts with a slash,
    /// else a name in the same directory. Without it, at the same path there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// The fs-verity digest of its content, where it is stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// An extended attribute.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct XattrReport {
    /// With its prefix, escaped.
    pub name: String,
    /// Escaped.
    pub value: String,
}

impl Reader {
    /// All that the image says of the file at a path.
    ///
    /// # Errors
    ///
    /// As [`Self::find`], and what refuses the file's inode, target or xattrs.
    pub fn stat(&self, path: &OsStr, last: Last) -> Result<StatReport, HostError> {
        let Found { inode, path } = self.find(path, last)?;
        let target = self.target(&path, &inode)?;
        Ok(StatReport {
            path: Escaped::name(&path).to_string(),
            file: FileReport::of(&inode, target.as_deref()),
            layout: inode.layout.name(),
            inode_size: inode.record_size(),
            xattrs: self.xattrs(&path, &inode)?,
            fingerprint: self.fingerprint(&path, &inode)?,
            metacopy: self.metacopy(&path, &inode)?,
            inode,
        })
    }

    fn fingerprint(&self, path: &[u8], inode: &Inode) -> Result<Option<String>, HostError> {
        let fingerprint = self.image().fingerprint(inode);
        let fingerprint = fingerprint.map_err(|error| self.failed(path, error))?;
        Ok(fingerprint.map(|fingerprint| match fingerprint.digest() {
            Some(digest) => digest.to_string(),
            None => Escaped::name(fingerprint.as_bytes()).to_string(),
        }))
    }

    /// Where the content of a file lies that the image does not hold. A mark that overlayfs would
    /// not take says nothing.
    ///
    /// # Errors
    ///
    /// What refuses the file's xattrs.
    pub fn metacopy(
        &self,
        path: &[u8],
        inode: &Inode,
    ) -> Result<Option<MetacopyReport>, HostError> {
        match self.image().metacopy(inode) {
            Ok(found) => Ok(found.map(|metacopy| MetacopyReport {
                redirect: metacopy
                    .redirect
                    .map(|redirect| Escaped::name(&redirect).to_string()),
                digest: metacopy.digest.map(|digest| digest.to_string()),
            })),
            Err(ReadError::Refused(error)) if error.code() == Code::XattrMetacopy => Ok(None),
            Err(error) => Err(self.failed(path, error)),
        }
    }

    fn xattrs(&self, path: &[u8], inode: &Inode) -> Result<Vec<XattrReport>, HostError> {
        let failed = |error| self.failed(path, error);
        let mut all = Vec::new();
        let mut xattrs = self.image().xattrs(inode).map_err(failed)?;
        while let Some(xattr) = xattrs.next().map_err(failed)? {
            all.push(XattrReport {
                name: Escaped::name(xattr.name).to_string(),
                value: Escaped::name(xattr.value).to_string(),
            });
        }
        Ok(all)
    }
}
