//! That an image holds the content that was told.

use alloc::vec::Vec;
use core::hash::Hasher as _;

use twox_hash::XxHash64;

use super::layout::Plan;
use super::tree::Body;
use super::{Builder, Output, Summary};
use crate::erofs::{Image, Inode, Place, ReadAt, ReadError, ReadResult, buffer};
use crate::oci::Hasher;
use crate::{At, Code, Error, Value};

/// How much is read at a time, in bytes.
const PIECE: u64 = 256 << 10;

/// How many files in a row belong to one share.
const RUN: usize = 64;

/// An image that has been made.
#[derive(Debug)]
pub struct Built {
    /// What it is.
    pub summary: Summary,
    /// What must be read in it.
    pub proof: Proof,
}

/// What was told of the content of an image's files: a digest of each. It finds what went wrong by
/// accident, in memory, on the way to the disk or in a program; whoever changes an image on purpose
/// is stopped by its SHA-256.
#[derive(Debug)]
pub struct Proof {
    files: Vec<File>,
    /// Data of sparse files, one file's behind the other's.
    extents: Vec<(u64, u64)>,
}

/// What was told of a file.
#[derive(Clone, Copy, Debug)]
struct File {
    nid: u32,
    /// XXH64 of its data, without what is in holes.
    digest: u64,
    size: u64,
    /// Which of the extents are its own; `None` for one without holes.
    extents: Option<(usize, usize)>,
}

impl<O: Output> Builder<O> {
    /// What was told of the files that are in the image, in the order of their inodes.
    pub(super) fn proof(&self, plan: &Plan) -> Result<Proof, Error> {
        let memory = |_| Error::new(Code::MetadataMemory, At::Whole);
        let mut files = Vec::new();
        let mut extents = Vec::new();
        for number in &plan.order {
            let Some(inode) = self.tree.inode(*number) else {
                continue;
            };
            let sparse = match inode.body {
                Body::File { .. } => None,
                Body::Sparse { number, .. } => self.tree.sparse_file(number),
                _ => continue,
            };
            let mut own = None;
            if let Some(sparse) = sparse {
                let start = extents.len();
                extents.try_reserve(sparse.extents.len()).map_err(memory)?;
                extents.extend_from_slice(&sparse.extents);
                own = Some((start, extents.len()));
            }
            files.try_reserve(1).map_err(memory)?;
            files.push(File {
                nid: inode.slot,
                digest: inode.digest,
                size: inode.size,
                extents: own,
            });
        }
        // As they lie in the image, so that it is read from one end to the other.
        files.sort_unstable_by_key(|file| file.nid);
        Ok(Proof { files, extents })
    }
}

impl Proof {
    /// How many files are compared.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files.len() as u64
    }

    /// The UUID of an image whose metadata have come to `hasher`.
    pub(super) fn uuid(&self, mut hasher: Hasher) -> [u8; 16] {
        for file in &self.files {
            hasher.update(&file.digest.to_le_bytes());
        }
        let digest = hasher.finish();
        let mut uuid = [0; 16];
        crate::bytes::copy(digest.as_bytes(), &mut uuid);
        // Version 8, and the variant of the RFC.
        uuid[6] = 0x80 | (uuid[6] & 0x0f);
        uuid[8] = 0x80 | (uuid[8] & 0x3f);
        uuid
    }

    /// Reads every file of the image and compares it with what was told.
    ///
    /// # Errors
    ///
    /// [`Code::BuildReadBack`] at the first file that is another; what reading may say of the image.
    pub fn verify<R: ReadAt>(&self, image: &Image<R>) -> ReadResult<(), R> {
        self.verify_share(image, (0, 1))
    }

    /// As [`Self::verify`], for one share of the files, as number and count: so that several threads can each
    /// take one, each with an [`Image`] of its own.
    ///
    /// # Errors
    ///
    /// As [`Self::verify`], of the files of this share.
    pub fn verify_share<R: ReadAt>(
        &self,
        image: &Image<R>,
        (number, count): (usize, usize),
    ) -> ReadResult<(), R> {
        let mut memory = buffer(usize::try_from(PIECE).unwrap_or(usize::MAX))?;
        let runs = self.files.chunks(RUN).skip(number).step_by(count.max(1));
        for file in runs.flatten() {
            let inode = image.inode(file.nid.into())?;
            let differs = |found, expected| {
                Error::new(Code::BuildReadBack, At::Nid(inode.nid))
                    .found(found)
                    .expected(expected)
            };
            if inode.size != file.size {
                let (found, expected) = (Value::Number(inode.size), Value::Number(file.size));
                return Err(differs(found, expected).into());
            }
            let mut digest = XxHash64::with_seed(0);
            match file.extents {
                None => {
                    read(image, &inode, (0, file.size), &mut memory, |bytes| {
                        digest.write(bytes);
                        true
                    })?;
                }
                Some((start, end)) => {
                    let extents = self.extents.get(start..end).unwrap_or(&[]);
                    let mut behind = 0;
                    for (offset, length) in extents {
                        let end = offset.saturating_add(*length);
                        if !is_zero(image, &inode, (behind, *offset), &mut memory)? {
                            return Err(differs(Value::None, Value::None).into());
                        }
                        read(image, &inode, (*offset, end), &mut memory, |bytes| {
                            digest.write(bytes);
                            true
                        })?;
                        behind = end;
                    }
                    if !is_zero(image, &inode, (behind, file.size), &mut memory)? {
                        return Err(differs(Value::None, Value::None).into());
                    }
                }
            }
            let digest = digest.finish();
            if digest != file.digest {
                return Err(differs(Value::Hex(digest), Value::Hex(file.digest)).into());
            }
        }
        Ok(())
    }
}

/// Reads bytes of a file, until `each` says no.
fn read<R: ReadAt>(
    image: &Image<R>,
    inode: &Inode,
    (from, to): (u64, u64),
    memory: &mut [u8],
    mut each: impl FnMut(&[u8]) -> bool,
) -> ReadResult<(), R> {
    let mut at = from;
    while at < to {
        let length = to.saturating_sub(at).min(memory.len() as u64);
        let Some(piece) = usize::try_from(length)
            .ok()
            .and_then(|length| memory.get_mut(..length))
        else {
            break;
        };
        let count = image.read(inode, at, piece)?;
        if count == 0 {
            return Err(ReadError::Refused(Error::new(
                Code::BuildReadBack,
                At::File(inode.nid, at),
            )));
        }
        if !each(piece.get(..count).unwrap_or(&[])) {
            break;
        }
        at = at.saturating_add(count as u64);
    }
    Ok(())
}

/// Whether bytes of a file are zeros; holes are not read.
fn is_zero<R: ReadAt>(
    image: &Image<R>,
    inode: &Inode,
    (from, to): (u64, u64),
    memory: &mut [u8],
) -> ReadResult<bool, R> {
    let mut at = from;
    let mut zeros = true;
    while at < to && zeros {
        let extent = image.extent(inode, at)?;
        let end = extent.offset.saturating_add(extent.length).min(to);
        if end <= at {
            break;
        }
        if extent.place != Place::Hole {
            read(image, inode, (at, end), memory, |bytes| {
                zeros = bytes.iter().all(|byte| *byte == 0);
                zeros
            })?;
        }
        at = end;
    }
    Ok(zeros)
}
