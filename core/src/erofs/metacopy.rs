//! Files whose content lies outside of the image: overlayfs' metacopy files, of which images of
//! composefs consist.
//!
//! Follows `ovl_check_metacopy_xattr`, `ovl_get_redirect_xattr` and `ovl_validate_verity` in
//! `fs/overlayfs/util.c` of Linux, and `struct ovl_metacopy` in `fs/overlayfs/overlayfs.h`.

use alloc::vec::Vec;

use super::{FileType, Image, Inode, ReadAt, ReadResult};
use crate::fsverity::Hasher;
use crate::oci::{Algorithm, Digest};
use crate::{At, Code, Error, Value};

/// Marks a file whose content overlayfs takes from a layer below.
pub(crate) const METACOPY: &[u8] = b"trusted.overlay.metacopy";
/// Says where it lies there.
const REDIRECT: &[u8] = b"trusted.overlay.redirect";
/// Size of the record without a digest: version, size, flags, algorithm.
const RECORD: usize = 4;

/// What an image says of content that it does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metacopy {
    /// The fs-verity digest of the content, where it is stated.
    pub digest: Option<Digest>,
    /// Where the content lies, as it is written: from the root of a layer below if it starts with
    /// a slash, else a name in the same directory. Without it, at the same path in a layer below.
    pub redirect: Option<Vec<u8>>,
}

/// Reads the value of the mark.
pub(crate) fn record(value: &[u8]) -> Option<Option<Digest>> {
    if value.is_empty() {
        // From before there were digests.
        return Some(None);
    }
    let (head, digest) = value.split_first_chunk::<RECORD>()?;
    let [version, size, flags, algorithm] = *head;
    if version != 0 || usize::from(size) != value.len() || flags != 0 {
        return None;
    }
    let algorithm = match (algorithm, digest.len()) {
        (0, 0) => return Some(None),
        (1, 32) => Algorithm::Sha256,
        (2, 64) => Algorithm::Sha512,
        _ => return None,
    };
    Digest::from_bytes(algorithm, digest).map(Some)
}

impl Metacopy {
    /// The path of the content in a folder of objects, a data-only layer of overlayfs: names
    /// between slashes, none of them empty, `.` or `..`. `None` where the content does not lie in
    /// such.
    #[must_use]
    pub fn object(&self) -> Option<&[u8]> {
        let path = self.redirect.as_deref()?.strip_prefix(b"/")?;
        let is_path = path
            .split(|byte| *byte == b'/')
            .all(|name| !matches!(name, b"" | b"." | b"..") && !name.contains(&0));
        is_path.then_some(path)
    }

    /// What its content must be, for an inode of this image.
    #[must_use]
    pub fn expected(&self, inode: &Inode) -> Object {
        Object {
            nid: inode.nid,
            size: inode.size,
            seen: 0,
            digest: self
                .digest
                .map(|digest| (digest, Hasher::new(digest.algorithm()))),
        }
    }
}

/// Holds content that comes from outside of the image against what the image says of it.
#[derive(Clone, Debug)]
pub struct Object {
    nid: u64,
    size: u64,
    seen: u64,
    digest: Option<(Digest, Hasher)>,
}

impl Object {
    /// Takes the next bytes of the content.
    ///
    /// # Errors
    ///
    /// [`Code::ObjectSize`] when there are more than the file has.
    pub fn update(&mut self, content: &[u8]) -> Result<(), Error> {
        self.seen = self.seen.saturating_add(content.len() as u64);
        if self.seen > self.size {
            return Err(self.wrong_size());
        }
        if let Some((_, hasher)) = &mut self.digest {
            hasher.update(content);
        }
        Ok(())
    }

    /// Ends the content.
    ///
    /// # Errors
    ///
    /// [`Code::ObjectSize`] when there is less than the file has; [`Code::ObjectDigest`] when it
    /// is other content than the image states.
    pub fn finish(self) -> Result<(), Error> {
        if self.seen != self.size {
            return Err(self.wrong_size());
        }
        let Some((stated, hasher)) = self.digest else {
            return Ok(());
        };
        let found = hasher.finish();
        if found == stated {
            return Ok(());
        }
        Err(Error::new(Code::ObjectDigest, At::Nid(self.nid))
            .found(Value::Digest(found))
            .expected(Value::Digest(stated)))
    }

    fn wrong_size(&self) -> Error {
        Error::new(Code::ObjectSize, At::Nid(self.nid))
            .found(Value::Number(self.seen))
            .expected(Value::Number(self.size))
    }
}

impl<R: ReadAt> Image<R> {
    /// What the image says of the content of a file that lies outside of it; `None` for a file
    /// that holds its own, and for all that is no regular file.
    ///
    /// Only who mounts the image in an overlay sees that content. [`Image::read`] gives what the
    /// image itself has in its place, mostly zeros: callers who hand content on ask here first.
    ///
    /// # Errors
    ///
    /// [`Code::XattrMetacopy`] when the mark is none that overlayfs takes; as [`Image::xattr`].
    pub fn metacopy(&self, inode: &Inode) -> ReadResult<Option<Metacopy>, R> {
        if inode.xattr_count == 0 || inode.file_type != FileType::Regular {
            return Ok(None);
        }
        let Some(value) = self.xattr(inode, METACOPY)? else {
            return Ok(None);
        };
        let digest =
            record(&value).ok_or_else(|| Error::new(Code::XattrMetacopy, At::Nid(inode.nid)))?;
        let redirect = self.xattr(inode, REDIRECT)?;
        Ok(Some(Metacopy { digest, redirect }))
    }

    /// Refuses a file whose content lies outside of the image, for who has nowhere to get it from.
    ///
    /// # Errors
    ///
    /// [`Code::FileElsewhere`] for such a file; as [`Self::metacopy`].
    pub fn holds_content(&self, inode: &Inode) -> ReadResult<(), R> {
        match self.metacopy(inode)? {
            None => Ok(()),
            Some(_) => Err(Error::new(Code::FileElsewhere, At::Nid(inode.nid)).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    fn to(redirect: &[u8]) -> Metacopy {
        Metacopy {
            digest: None,
            redirect: Some(redirect.to_vec()),
        }
    }

    #[test]
    fn records_of_overlayfs() {
        assert_eq!(record(b""), Some(None));
        assert_eq!(record(&[0, 4, 0, 0]), Some(None));
        let with = |head: [u8; 4], length| [&head[..], &vec![7; length]].concat();
        let sha256 = record(&with([0, 36, 0, 1], 32)).unwrap().unwrap();
        assert_eq!(sha256.algorithm(), Algorithm::Sha256);
        assert_eq!(sha256.as_bytes(), [7; 32]);
        let sha512 = record(&with([0, 68, 0, 2], 64)).unwrap().unwrap();
        assert_eq!(sha512.algorithm(), Algorithm::Sha512);
        for (head, length) in [
            ([1, 36, 0, 1], 32),
            ([0, 35, 0, 1], 32),
            ([0, 36, 1, 1], 32),
            ([0, 36, 0, 3], 32),
            ([0, 36, 0, 2], 32),
            ([0, 36, 0, 0], 32),
            ([0, 35, 0, 1], 31),
            ([0, 4, 0, 1], 0),
        ] {
            assert_eq!(record(&with(head, length)), None, "{head:?}");
        }
        assert_eq!(record(&[0, 3, 0]), None);
    }

    #[test]
    fn objects_lie_below_their_folder() {
        assert_eq!(to(b"/ab/cd").object(), Some(&b"ab/cd"[..]));
        for redirect in [
            &b"ab"[..],
            b"",
            b"/",
            b"//ab",
            b"/ab/",
            b"/ab//cd",
            b"/../x",
            b"/ab/..",
            b"/./x",
            b"/a\0b",
        ] {
            assert_eq!(to(redirect).object(), None, "{redirect:?}");
        }
        let without = Metacopy {
            digest: None,
            redirect: None,
        };
        assert_eq!(without.object(), None);
    }
}
