//! Rules of an inode's extended attributes: their names, and the values that the kernel looks into.

use super::Checker;
use super::names::Names;
use crate::erofs::{
    Compat, FileType, Inode, METACOPY, ReadAt, ReadResult, XattrPlace, Xattrs, filter_bit,
    fingerprint_digest, is_shown_xattr, metacopy_record, split_xattr,
};
use crate::{At, Code, Error, Value};

/// Longest name of an xattr, prefix included (`XATTR_NAME_MAX`).
const NAME_MAX: usize = 255;
/// Indexes of the two ACLs, whose prefix is the whole name.
const ACLS: [u8; 2] = [2, 3];
/// The capabilities of a program, whose value the kernel looks at before it gives it out.
const CAPABILITY: &[u8] = b"security.capability";
/// What overlayfs asks only for its being there, and of the lower layers at that: whatever value it
/// has, what is mounted is the same (`ovl_path_check_origin_xattr` in `fs/overlayfs/util.c`).
const ORIGINS: [&[u8]; 2] = [b"trusted.overlay.origin", b"user.overlay.origin"];

impl<R: ReadAt> Checker<'_, R> {
    /// Looks at the xattrs of an inode.
    pub(super) fn xattrs(&mut self, inode: &Inode) -> ReadResult<(), R> {
        self.work(inode.xattr_size())?;
        let at = At::Nid(inode.nid);
        let image = self.image;
        let Some(mut xattrs) = self.take(image.xattrs(inode))? else {
            return Ok(());
        };
        if xattrs.header_reserved() {
            self.report(Error::new(Code::XattrReserved, at));
        }
        let superblock = image.superblock();
        let filtered =
            superblock.compat.has(Compat::XATTR_FILTER) && superblock.xattr_filter_reserved == 0;
        // A table of prefixes that cannot be read has been told of.
        let fingerprint = image.fingerprint_name().unwrap_or(None);
        let mut names = core::mem::take(&mut self.names);
        names.clear();
        loop {
            let next = xattrs.next_entry();
            let Some(Some(found)) = self.take(next)? else {
                break;
            };
            self.work(found.size())?;
            if found.is_free() {
                continue;
            }
            if let Some((base, name)) = fingerprint {
                let is_fingerprint = xattrs.is_named(&found, base, name);
                if self.take(is_fingerprint)? == Some(true) {
                    let value = xattrs.read_value(&found);
                    if self.take(value)?.is_none() {
                        break;
                    }
                    let again = self.take_fingerprint(inode, xattrs.value());
                    if !is_shown_xattr(base) {
                        // Its name is in no list, so what is said of names is said here.
                        if filtered && xattrs.absent() & filter_bit(base, name) != 0 {
                            self.report(Error::new(Code::XattrFilter, at));
                        }
                        if again {
                            self.report(Error::new(Code::XattrDuplicate, at));
                        }
                        continue;
                    }
                }
            }
            let named = xattrs.read_name(&found);
            match self.take(named)? {
                None => break,
                Some(false) => {
                    self.report(Error::new(Code::XattrUnknown, at));
                    continue;
                }
                Some(true) => {}
            }
            let name = xattrs.name();
            let Some((index, rest)) = split_xattr(name) else {
                continue;
            };
            let is_acl = ACLS.contains(&index);
            if is_acl != rest.is_empty() || name.len() > NAME_MAX {
                self.report(
                    Error::new(Code::XattrLength, at).found(Value::Number(rest.len() as u64)),
                );
            }
            if filtered && xattrs.absent() & filter_bit(index, rest) != 0 {
                self.report(Error::new(Code::XattrFilter, at));
            }
            names.add(name, found)?;
            if is_acl {
                let value = xattrs.read_value(&found);
                if self.take(value)?.is_none() {
                    break;
                }
                let is_symlink = inode.file_type == FileType::Symlink;
                if is_symlink || !is_acl_value(xattrs.value()) {
                    self.report(Error::new(Code::XattrAcl, at));
                }
            } else if name == CAPABILITY {
                let value = xattrs.read_value(&found);
                if self.take(value)?.is_none() {
                    break;
                }
                if !is_capability(xattrs.value()) {
                    self.report(Error::new(Code::XattrCapability, at));
                }
            } else if name == METACOPY && inode.file_type == FileType::Regular {
                let value = xattrs.read_value(&found);
                if self.take(value)?.is_none() {
                    break;
                }
                let code = match metacopy_record(xattrs.value()) {
                    Some(_) => Code::FileElsewhere,
                    None => Code::XattrMetacopy,
                };
                self.report(Error::new(code, at));
            } else if self.take(xattrs.reaches(&found))?.is_none() {
                break;
            }
        }
        let repeated = self.repeated(&mut xattrs, &mut names);
        self.names = names;
        for code in self.take(repeated)?.into_iter().flatten().flatten() {
            self.report(Error::new(code, at));
        }
        Ok(())
    }

    /// Takes note of the fingerprint of an inode; whether it had one before, which is the one that
    /// counts.
    fn take_fingerprint(&mut self, inode: &Inode, value: &[u8]) -> bool {
        if self.fingerprint.is_some() {
            return true;
        }
        let digest = fingerprint_digest(value);
        if digest.is_none() {
            self.report(
                Error::new(Code::FingerprintForm, At::Nid(inode.nid))
                    .found(Value::Number(value.len() as u64))
                    .expected(Value::Text("sha256: and 32 bytes")),
            );
        }
        self.fingerprint = Some(digest);
        false
    }

    /// What is to be said of names that come more than once.
    ///
    /// The kernel and erofs-utils give the value that comes first, and list the name twice. Who
    /// gives the last instead shows another tree, unless the values are equal or nobody looks at
    /// them. `mkfs.erofs` 1.9 makes such: it puts an empty `trusted.overlay.origin` on a directory
    /// with whiteouts beside the one that is there.
    fn repeated(
        &mut self,
        xattrs: &mut Xattrs<'_, R>,
        names: &mut Names<XattrPlace>,
    ) -> ReadResult<[Option<Code>; 2], R> {
        let [mut differ, mut same] = [None; 2];
        for (name, one, other) in names.repeats() {
            if ORIGINS.contains(&name) {
                same = Some(Code::XattrRepeated);
                continue;
            }
            self.work(one.size().saturating_add(other.size()))?;
            if xattrs.same_value(one, other)? {
                same = Some(Code::XattrRepeated);
            } else {
                differ = Some(Code::XattrDuplicate);
            }
        }
        Ok([differ, same])
    }
}

/// Whether a value is one that `posix_acl_from_xattr` in `fs/posix_acl.c` takes and
/// `posix_acl_to_xattr` gives back: version 2, then one or more entries of tag, permissions and
/// id. Without entries the kernel says that there is no such xattr.
fn is_acl_value(value: &[u8]) -> bool {
    let Some((version, mut entries)) = value.split_first_chunk() else {
        return false;
    };
    if u32::from_le_bytes(*version) != 2 || entries.is_empty() {
        return false;
    }
    while let Some((entry, rest)) = entries.split_first_chunk::<8>() {
        let [t0, t1, _, _, i0, i1, i2, i3] = *entry;
        let id = u32::from_le_bytes([i0, i1, i2, i3]);
        let known = match u16::from_le_bytes([t0, t1]) {
            // The owner, the owning group, the mask, others: without an id of their own. Another
            // number there is lost in the kernel's answer.
            0x01 | 0x04 | 0x10 | 0x20 => id == u32::MAX,
            // A user or a group that is named.
            0x02 | 0x08 => id != u32::MAX,
            _ => false,
        };
        if !known {
            return false;
        }
        entries = rest;
    }
    entries.is_empty()
}

/// Whether a value is one that the kernel gives to who asks for it (`cap_inode_getsecurity` in
/// `security/commoncap.c`): revision 2 with 20 bytes, or 3 with 24, and no flag but the one that
/// says that the capabilities are effective.
fn is_capability(value: &[u8]) -> bool {
    let Some((magic, rest)) = value.split_first_chunk() else {
        return false;
    };
    matches!(
        (u32::from_le_bytes(*magic) & !1, rest.len()),
        (0x0200_0000, 16) | (0x0300_0000, 20)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn acls() {
        let acl = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 7, 0, 232, 3, 0, 0,
        ];
        assert!(is_acl_value(&acl));
        // No entries, and an id of the owner.
        assert!(!is_acl_value(&acl[..4]));
        let mut owned = acl;
        owned[8] = 0;
        assert!(!is_acl_value(&owned));
        assert!(!is_acl_value(&acl[..3]));
        assert!(!is_acl_value(&acl[..19]));
        for (place, value) in [(0, 1), (4, 3), (12, 64)] {
            let mut broken = acl;
            broken[place] = value;
            assert!(!is_acl_value(&broken), "{place}");
        }
        let mut nobody = acl;
        nobody[16..].fill(255);
        assert!(!is_acl_value(&nobody));
    }

    #[test]
    fn capabilities() {
        let of = |magic: u32, length| [magic.to_le_bytes().to_vec(), vec![0; length]].concat();
        for (magic, length) in [(0x0200_0000, 16), (0x0200_0001, 16), (0x0300_0001, 20)] {
            assert!(is_capability(&of(magic, length)), "{magic:#x}");
        }
        for (magic, length) in [
            (0x0200_0000, 15),
            (0x0200_0000, 20),
            (0x0200_0002, 16),
            (0x0300_0000, 16),
            (0x0100_0000, 8),
        ] {
            assert!(!is_capability(&of(magic, length)), "{magic:#x} {length}");
        }
        assert!(!is_capability(&[0, 0, 0]));
    }
}
