//! Fingerprints: what an image states of the content of its files, so that kernels can share pages
//! among images.
//!
//! The superblock names one of the long xattr prefixes; the xattr of that very name holds the
//! fingerprint. Its prefix need not be one of those that the kernel shows: then nobody sees it in a
//! list. Follows `erofs_xattr_fill_inode_fingerprint` in `fs/erofs/xattr.c` of Linux 7.2 and
//! `erofs_xattr_set_ishare_prefix` in `lib/xattr.c` of erofs-utils.

use alloc::vec::Vec;

use super::xattr::filter_bit;
use super::{Compat, Image, Inode, ReadAt, ReadResult};
use crate::oci::{Algorithm, Digest};

/// What `mkfs.erofs --xattr-inode-digest` puts in front of the 32 bytes of a digest.
const SHA256: &[u8] = b"sha256:";

/// The fingerprint of a file. Made by [`Image::fingerprint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// Its bytes, at most 65535: any, as far as the kernel is concerned.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The digest of the content that it states, where it is of the form that `mkfs.erofs` writes:
    /// `sha256:` and 32 bytes.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        digest(&self.0)
    }
}

/// The digest in a fingerprint.
pub(crate) fn digest(fingerprint: &[u8]) -> Option<Digest> {
    Digest::from_bytes(Algorithm::Sha256, fingerprint.strip_prefix(SHA256)?)
}

impl<R: ReadAt> Image<R> {
    /// The name of fingerprints, where the image has some: the index of its short prefix, which the
    /// kernel need not know, and the rest.
    pub(crate) fn fingerprint_name(&self) -> ReadResult<Option<(u8, &[u8])>, R> {
        if !self.superblock.compat.has(Compat::ISHARE_XATTRS) {
            return Ok(None);
        }
        let prefixes = self.prefixes()?;
        let prefix = prefixes.get(usize::from(self.superblock.ishare_prefix));
        Ok(prefix.map(|prefix| (prefix.base, prefix.infix.as_slice())))
    }

    /// The fingerprint of a file, where it has one.
    ///
    /// # Errors
    ///
    /// As [`Self::xattr`].
    pub fn fingerprint(&self, inode: &Inode) -> ReadResult<Option<Fingerprint>, R> {
        let Some((base, name)) = self.fingerprint_name()? else {
            return Ok(None);
        };
        let mut xattrs = self.xattrs(inode)?;
        let filtered = self.superblock.compat.has(Compat::XATTR_FILTER)
            && self.superblock.xattr_filter_reserved == 0;
        if filtered && xattrs.absent() & filter_bit(base, name) != 0 {
            return Ok(None);
        }
        while let Some(found) = xattrs.next_entry()? {
            if xattrs.is_named(&found, base, name)? {
                xattrs.read_value(&found)?;
                return Ok(Some(Fingerprint(xattrs.into_value())));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn only_the_form_of_mkfs_holds_a_digest() {
        let of = |algorithm: &str, length| {
            let bytes = [algorithm.as_bytes(), &vec![7; length]].concat();
            Fingerprint(bytes).digest()
        };
        assert_eq!(
            of("sha256:", 32),
            Digest::from_bytes(Algorithm::Sha256, &[7; 32])
        );
        assert_eq!(of("sha256:", 31), None);
        assert_eq!(of("sha256:", 33), None);
        assert_eq!(of("sha512:", 32), None);
        assert_eq!(of("", 32), None);
    }
}
