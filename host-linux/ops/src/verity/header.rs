//! Where a tree is, and how it was made: from its superblock, or from what is stated.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use erofs_unpack_core::erofs::{self, SUPERBLOCK_OFFSET};
use erofs_unpack_core::verity::{Layout, Params, SUPERBLOCK_MAGIC, SUPERBLOCK_SIZE, Superblock};
use erofs_unpack_core::{At, Code, Error};

use crate::error::HostError;

/// Data and tree: which files.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file or block device that is covered.
    pub data: PathBuf,
    /// The one that holds the tree, where that is another.
    pub hashes: Option<PathBuf>,
    /// The byte at which superblock or tree lie there. Where it is not given, it is 0 in a file of
    /// its own; in the data's file it follows the image.
    pub offset: Option<u64>,
}

impl Place {
    /// The file with the tree.
    #[must_use]
    pub fn hashes(&self) -> &Path {
        self.hashes.as_deref().unwrap_or(&self.data)
    }
}

/// A tree that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) params: Params,
    pub(super) layout: Layout,
    pub(super) uuid: Option<[u8; 16]>,
    /// Where superblock or tree begin.
    pub(super) offset: u64,
}

impl Found {
    /// Where superblock or tree begin.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// Where its levels lie.
    pub(crate) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The tree whose superblock lies at `offset`, or with `params` the one without a superblock.
    pub(crate) fn read(
        file: &File,
        place: &Path,
        offset: u64,
        params: Option<Params>,
    ) -> Result<Self, HostError> {
        let refused = |error: Error| {
            HostError::refused(
                place,
                match error.at() {
                    At::Image(field) => error.moved(At::Image(offset.saturating_add(field))),
                    _ => error,
                },
            )
        };
        if let Some(params) = params {
            return Ok(Self {
                layout: Layout::new(&params, offset).map_err(refused)?,
                params,
                uuid: None,
                offset,
            });
        }
        let mut head = [0; SUPERBLOCK_SIZE];
        match file.read_exact_at(&mut head, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(refused(Error::new(Code::VerityTruncated, At::Image(0))));
            }
            read => read.map_err(|error| HostError::environment(place, "read", error))?,
        }
        let superblock = Superblock::parse(&head).map_err(refused)?;
        Ok(Self {
            layout: Layout::behind_superblock(&superblock.params, offset).map_err(refused)?,
            params: superblock.params,
            uuid: Some(superblock.uuid),
            offset,
        })
    }
}

/// Opens a file or a block device, and gives its size in bytes.
pub(super) fn open(path: &Path, write: bool) -> Result<(File, u64), HostError> {
    let doing = if write {
        "open for writing"
    } else {
        "open for reading"
    };
    let failed = |error| HostError::environment(path, doing, error);
    let mut file = File::options()
        .read(!write)
        .write(write)
        .create(write)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
    Ok((file, size))
}

/// Whether two open files are the same.
pub(super) fn is_same(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Where a superblock lies behind an EROFS image in the same file: at the first block behind it, of
/// whichever size there is one.
pub(super) fn behind_image(file: &File, path: &Path) -> Result<u64, HostError> {
    let read = |offset, bytes: &mut [u8]| file.read_exact_at(bytes, offset);
    let mut record = [0; erofs::SUPERBLOCK_SIZE];
    let end = read(SUPERBLOCK_OFFSET, &mut record)
        .ok()
        .and_then(|()| erofs::Superblock::parse(&record).ok())
        .and_then(|superblock| superblock.size());
    let found = end.and_then(|end| {
        [512_u64, 4096].into_iter().find_map(|block| {
            let offset = end.checked_next_multiple_of(block)?;
            let mut magic = SUPERBLOCK_MAGIC;
            read(offset, &mut magic).ok()?;
            (magic == SUPERBLOCK_MAGIC).then_some(offset)
        })
    });
    found.ok_or_else(|| {
        HostError::Usage(format!(
            "{}: no dm-verity superblock follows an EROFS image in it: give --hash-offset, or the \
             file with the hashes",
            crate::report::shown(path)
        ))
    })
}
