//! An output in memory, short ways to tell of entries, and the tree that is read back.

use core::convert::Infallible;
use std::collections::BTreeMap;

use erofs_unpack_core::build::{
    BuildError, Builder, Built, Entry, EntryKind, Options, Output, Summary,
};
use erofs_unpack_core::check::{self, check};
use erofs_unpack_core::erofs::{Data, FileType, Image};
use erofs_unpack_core::oci::Policy;
use erofs_unpack_core::{At, Code, Error, Limits};

/// An image in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) image: Vec<u8>,
    spool: Vec<u8>,
}

impl Output for Memory {
    type Error = Infallible;

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Infallible> {
        let start = usize::try_from(offset).unwrap();
        let end = start + bytes.len();
        if self.image.len() < end {
            // What is never written must not be taken for zeros.
            self.image.resize(end, 0xaa);
        }
        self.image[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), Infallible> {
        let start = usize::try_from(offset).unwrap();
        buf.copy_from_slice(&self.image[start..start + buf.len()]);
        Ok(())
    }

    fn spool(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.spool.extend_from_slice(bytes);
        Ok(())
    }

    fn read_spool(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), Infallible> {
        let start = usize::try_from(offset).unwrap();
        buf.copy_from_slice(&self.spool[start..start + buf.len()]);
        Ok(())
    }
}

/// An entry that owns what it says, with its content.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u16,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File(Vec<u8>),
    /// Size, and the data with their offsets.
    Sparse(u64, Vec<(u64, Vec<u8>)>),
    Directory,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
    Socket,
}

pub(crate) fn told(path: &str, kind: Kind) -> Told {
    let mode = if kind == Kind::Directory {
        0o755
    } else {
        0o644
    };
    Told {
        path: path.into(),
        kind,
        mode,
        owner: (0, 0),
        mtime: (1_700_000_000, 0),
        xattrs: Vec::new(),
    }
}

pub(crate) fn file(path: &str, content: &[u8]) -> Told {
    told(path, Kind::File(content.to_vec()))
}

pub(crate) fn directory(path: &str) -> Told {
    told(path, Kind::Directory)
}

pub(crate) fn symlink(path: &str, target: &str) -> Told {
    told(path, Kind::Symlink(target.into()))
}

pub(crate) fn link(path: &str, target: &str) -> Told {
    told(path, Kind::HardLink(target.into()))
}

/// Tells a builder of an entry and its content, in pieces.
fn tell(
    builder: &mut Builder<Memory>,
    entry: &Told,
    number: u64,
    piece: usize,
) -> Result<(), Error> {
    let extents: Vec<(u64, u64)>;
    let kind = match &entry.kind {
        Kind::File(content) => EntryKind::File {
            size: content.len() as u64,
            extents: None,
        },
        Kind::Sparse(size, data) => {
            extents = data
                .iter()
                .map(|(offset, bytes)| (*offset, bytes.len() as u64))
                .collect();
            EntryKind::File {
                size: *size,
                extents: Some(&extents),
            }
        }
        Kind::Directory => EntryKind::Directory,
        Kind::Symlink(target) => EntryKind::Symlink(target),
        Kind::HardLink(target) => EntryKind::HardLink(target),
        Kind::Char(major, minor) => EntryKind::CharDevice(*major, *minor),
        Kind::Block(major, minor) => EntryKind::BlockDevice(*major, *minor),
        Kind::Fifo => EntryKind::Fifo,
        Kind::Socket => EntryKind::Socket,
    };
    let (uid, gid) = entry.owner;
    let telling = Entry {
        path: &entry.path,
        kind,
        mode: entry.mode,
        uid,
        gid,
        mtime: entry.mtime,
        xattrs: &entry.xattrs,
        at: At::Blob(number * 512),
    };
    refused(builder.entry(&telling))?;
    let data: Vec<(u64, &[u8])> = match &entry.kind {
        Kind::File(content) => vec![(0, content)],
        Kind::Sparse(_, data) => data.iter().map(|(at, bytes)| (*at, &**bytes)).collect(),
        _ => Vec::new(),
    };
    for (offset, bytes) in data {
        for (index, part) in bytes.chunks(piece).enumerate() {
            refused(builder.content(offset + (index * piece) as u64, part))?;
        }
    }
    Ok(())
}

fn refused<T>(result: Result<T, BuildError<Infallible>>) -> Result<T, Error> {
    result.map_err(|error| match error {
        BuildError::Refused(error) => error,
        BuildError::Output(never) => match never {},
    })
}

pub(crate) const UUID: [u8; 16] = *b"an UUID for all.";

/// Builds, with content in pieces of this size.
pub(crate) fn build_in(
    entries: &[Told],
    options: &Options,
    limits: &Limits,
    piece: usize,
) -> Result<(Vec<u8>, Summary), Error> {
    let mut builder = Builder::new(Memory::default(), options, limits)?;
    for (number, entry) in (0..).zip(entries) {
        tell(&mut builder, entry, number, piece)?;
    }
    let (mut output, built) = refused(builder.finish(Some(UUID)))?;
    let summary = built.summary;
    output
        .image
        .truncate(usize::try_from(summary.size).unwrap());
    assert_eq!(output.image.len() as u64, summary.size);
    prove(&output.image, &built);
    Ok((output.image, summary))
}

/// Builds, and holds the image against the strictest check.
pub(crate) fn build(entries: &[Told], options: &Options) -> Result<Vec<u8>, Error> {
    let (image, summary) = build_in(entries, options, &Limits::DEFAULT, 100_000)?;
    let mut how = check::Options::default();
    how.policy = Policy::Strict;
    how.level = check::Level::Full;
    // Blocks of other sizes than that of a page are refused for where they are mounted.
    if options.block_bits != 12 {
        assert!(how.allow("superblock-page"));
    }
    // What these speak of is in the source already.
    assert!(how.allow("directory-writable"));
    if !options.whiteouts {
        assert!(how.allow("directory-whiteout") && how.allow("directory-aufs"));
    }
    let mut findings = Vec::new();
    let checked = check(
        image.as_slice(),
        image.len() as u64,
        &Limits::DEFAULT,
        &how,
        &mut |finding| findings.push(*finding),
    )
    .unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    assert!(checked.passed());
    assert_eq!(summary.block_size, 1 << options.block_bits);
    Ok(image)
}

/// What is read of an inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) kind: FileType,
    pub(crate) mode: u16,
    pub(crate) owner: (u32, u32),
    pub(crate) mtime: (i64, u32),
    pub(crate) nlink: u32,
    pub(crate) nid: u64,
    pub(crate) device: Option<(u32, u32)>,
    /// Content of files, targets of links.
    pub(crate) content: Vec<u8>,
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
}

/// The tree of an image by its paths.
pub(crate) fn read(image: &[u8]) -> BTreeMap<String, Read> {
    let size = image.len() as u64;
    let image = Image::open(image, size, &Limits::DEFAULT).unwrap();
    let mut walk = image.walk().unwrap();
    let mut tree = BTreeMap::new();
    while let Some(visit) = walk.next().unwrap() {
        let inode = visit.inode;
        let content = match inode.file_type {
            FileType::Regular if inode.size < 1 << 28 => {
                let mut content = vec![0; usize::try_from(inode.size).unwrap()];
                let mut at = 0;
                while at < content.len() {
                    let count = image.read(&inode, at as u64, &mut content[at..]).unwrap();
                    assert!(count > 0);
                    at += count;
                }
                content
            }
            FileType::Symlink => image.read_link(&inode).unwrap(),
            _ => Vec::new(),
        };
        let mut xattrs = BTreeMap::new();
        let mut all = image.xattrs(&inode).unwrap();
        while let Some(xattr) = all.next().unwrap() {
            let name = String::from_utf8(xattr.name.to_vec()).unwrap();
            assert!(xattrs.insert(name, xattr.value.to_vec()).is_none());
        }
        let read = Read {
            kind: inode.file_type,
            mode: inode.mode & 0o7777,
            owner: (inode.uid, inode.gid),
            mtime: (inode.mtime, inode.mtime_ns),
            nlink: inode.nlink,
            nid: inode.nid,
            device: match inode.data {
                Data::Device(major, minor) => Some((major, minor)),
                _ => None,
            },
            content,
            xattrs,
        };
        let path = String::from_utf8(visit.path.to_vec()).unwrap();
        tree.insert(path.trim_start_matches('/').to_owned(), read);
    }
    tree
}

/// Builds and reads back.
pub(crate) fn tree(entries: &[Told]) -> BTreeMap<String, Read> {
    read(&build(entries, &Options::DEFAULT).unwrap())
}

/// The code of a refusal.
pub(crate) fn code(entries: &[Told]) -> Code {
    build(entries, &Options::DEFAULT).unwrap_err().code()
}

/// What was told is what is read, by the proof that comes with the image; and a changed byte of
/// content is found.
fn prove(image: &[u8], built: &Built) {
    let verify = |image: &[u8]| {
        let size = image.len() as u64;
        let image = Image::open(image, size, &Limits::DEFAULT).unwrap();
        built.proof.verify(&image)
    };
    verify(image).unwrap();
    for number in 0..3 {
        let size = image.len() as u64;
        let image = Image::open(image, size, &Limits::DEFAULT).unwrap();
        built.proof.verify_share(&image, (number, 3)).unwrap();
    }
    let content = usize::try_from(built.summary.content).unwrap();
    if content > 0 {
        let mut changed = image.to_vec();
        let start = usize::try_from(built.summary.block_size).unwrap().max(1536);
        // The first byte of the first file that has blocks of its own.
        changed[start.next_multiple_of(usize::try_from(built.summary.block_size).unwrap())] ^= 1;
        verify(&changed).unwrap_err();
    }
}
