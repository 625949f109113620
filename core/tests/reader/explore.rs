//! Reads all that there is in an image. Shared with the fuzz target `reader`.

use std::cell::Cell;
use std::collections::BTreeSet;

use erofs_unpack_core::Limits;
use erofs_unpack_core::erofs::{FileType, Image, Inode, OutOfBounds, ReadAt, ReadError};

/// Most files of a walk here.
const INODES: u64 = 2000;
/// Most reads of the source that one damaged image may cost.
const READS: usize = 200_000;

/// Bytes that count how much is read of them.
struct Metered<'a> {
    bytes: &'a [u8],
    reads: &'a Cell<usize>,
}

impl ReadAt for Metered<'_> {
    type Error = OutOfBounds;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), OutOfBounds> {
        self.reads.set(self.reads.get() + 1);
        // A pcluster has at most a mebibyte. More would be memory that the image chose.
        assert!(buf.len() <= 1 << 20);
        self.bytes.read_at(offset, buf)
    }
}

/// An image with a device.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) image: Vec<u8>,
    pub(crate) device: Vec<u8>,
}

/// Reads all that there is in an image, and gives the codes of all refusals.
pub(crate) fn explore(sample: &Sample) -> BTreeSet<&'static str> {
    let reads = Cell::new(0);
    let metered = |bytes| Metered {
        bytes,
        reads: &reads,
    };
    let mut limits = Limits::DEFAULT;
    limits.inodes = INODES;
    limits.directory_entries = 1000;
    limits.directory_depth = 12;
    limits.metadata_cache = 0;
    let mut codes = BTreeSet::new();
    let size = sample.image.len() as u64;
    match Image::open(metered(&sample.image), size, &limits) {
        Ok(mut image) => {
            image.attach(metered(&sample.device), sample.device.len() as u64);
            walk(&image, &mut codes);
        }
        Err(error) => note(&mut codes, error),
    }
    let reads = reads.get();
    assert!(reads < READS, "{}: {reads} reads", sample.name);
    codes
}

/// Takes down a refusal; the source never fails within its bounds.
fn note(codes: &mut BTreeSet<&'static str>, error: ReadError<OutOfBounds>) {
    match error {
        ReadError::Refused(error) => {
            codes.insert(error.id());
        }
        ReadError::Source(error) => panic!("read beyond the end: {error}"),
    }
}

fn walk(image: &Image<Metered<'_>>, codes: &mut BTreeSet<&'static str>) {
    let mut walk = match image.walk() {
        Ok(walk) => walk,
        Err(error) => return note(codes, error),
    };
    let mut looked_at = BTreeSet::new();
    // Every step gives a file or an error; errors are about files or end a directory.
    for _ in 0..3 * INODES {
        match walk.next() {
            Ok(Some(visit)) => {
                if let Err(error) = image.resolve(visit.path) {
                    note(codes, error);
                }
                if looked_at.insert(visit.inode.nid) {
                    look(image, &visit.inode, codes);
                }
            }
            Ok(None) => return,
            Err(error) => note(codes, error),
        }
    }
    panic!("the walk does not end");
}

/// Looks at all of one inode.
fn look(image: &Image<Metered<'_>>, inode: &Inode, codes: &mut BTreeSet<&'static str>) {
    let mut noted = |result: Result<(), ReadError<OutOfBounds>>| {
        if let Err(error) = result {
            note(codes, error);
        }
    };
    noted(image.xattrs(inode).and_then(|mut xattrs| {
        while let Some(xattr) = xattrs.next()? {
            assert!(!xattr.name.contains(&0));
        }
        Ok(())
    }));
    for name in [&b"user.a"[..], b"trusted.overlay.opaque", b"user.long.x"] {
        noted(image.xattr(inode, name).map(|_| ()));
    }
    let mut buf = vec![0; 2000];
    for offset in [0, inode.size / 2, inode.size.saturating_sub(1000)] {
        noted(image.read(inode, offset, &mut buf).map(|read| {
            let left = inode.size.saturating_sub(offset);
            assert_eq!(read as u64, left.min(2000));
        }));
    }
    let mut offset = 0;
    for _ in 0..40 {
        match image.extent(inode, offset) {
            Ok(extent) if offset < inode.size => {
                let end = extent.offset + extent.length;
                assert!(extent.offset <= offset && offset < end && end <= inode.size);
                offset = end;
            }
            Ok(extent) => {
                assert_eq!((extent.offset, extent.length), (offset, 0));
                break;
            }
            Err(error) => {
                noted(Err(error));
                break;
            }
        }
    }
    match inode.file_type {
        FileType::Symlink => noted(image.read_link(inode).map(|_| ())),
        FileType::Directory => {
            for name in [&b"a"[..], b"dir", b"zzz", b"~"] {
                noted(image.lookup(inode, name).map(|_| ()));
            }
        }
        _ => {}
    }
}
