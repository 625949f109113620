//! Inodes: 32 bytes in the compact form, 64 in the extended one.
//!
//! Follows `struct erofs_inode_compact`, `struct erofs_inode_extended` and `erofs_read_inode`
//! in `fs/erofs/inode.c` of Linux 7.2.

use super::{METABOX_BIT, Superblock};
use crate::bytes::{le_u16, le_u32, le_u64};
use crate::{At, Code, Error, Value};

/// Size of a compact inode, and of a slot of the inode table, in bytes.
pub const COMPACT_INODE_SIZE: usize = 32;
/// Size of an extended inode, in bytes.
pub const EXTENDED_INODE_SIZE: usize = 64;
/// Start of a block address that means a hole (`EROFS_NULL_ADDR`), in as many bits as the
/// address has.
const HOLE_BLOCK: u64 = u64::MAX;
/// All bits that `i_format` may have (`EROFS_I_ALL`).
const FORMAT_BITS: u16 = 0b1_1111;
/// All bits that a chunk format may have (`EROFS_CHUNK_FORMAT_ALL`).
const CHUNK_FORMAT_BITS: u16 = 0x7f;

/// How the data of an inode is laid out (`EROFS_INODE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// In consecutive blocks.
    FlatPlain,
    /// Compressed, with an index of 8 bytes for each logical cluster or with extents.
    CompressedFull,
    /// In consecutive blocks, the last one cut off and put behind the inode.
    FlatInline,
    /// Compressed, with indexes of 2 and 4 bytes.
    CompressedCompact,
    /// In chunks of one size, each with an address of its own.
    ChunkBased,
}

impl Layout {
    /// The layout as `dump.erofs` numbers it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::FlatPlain => 0,
            Self::CompressedFull => 1,
            Self::FlatInline => 2,
            Self::CompressedCompact => 3,
            Self::ChunkBased => 4,
        }
    }

    /// A name in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlatPlain => "flat-plain",
            Self::CompressedFull => "compressed-full",
            Self::FlatInline => "flat-inline",
            Self::CompressedCompact => "compressed-compact",
            Self::ChunkBased => "chunk-based",
        }
    }

    /// Whether the data is compressed (`erofs_inode_is_data_compressed`).
    #[must_use]
    pub const fn is_compressed(self) -> bool {
        matches!(self, Self::CompressedFull | Self::CompressedCompact)
    }
}

/// What an inode is (`S_IFMT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A symbolic link.
    Symlink,
}

impl FileType {
    /// The type in a mode, or `None` when there is no such type.
    #[must_use]
    pub const fn of_mode(mode: u16) -> Option<Self> {
        match mode & 0o17_0000 {
            0o10_0000 => Some(Self::Regular),
            0o04_0000 => Some(Self::Directory),
            0o02_0000 => Some(Self::CharDevice),
            0o06_0000 => Some(Self::BlockDevice),
            0o01_0000 => Some(Self::Fifo),
            0o14_0000 => Some(Self::Socket),
            0o12_0000 => Some(Self::Symlink),
            _ => None,
        }
    }

    /// The type as a mode has it, without permissions.
    #[must_use]
    pub const fn mode(self) -> u16 {
        match self {
            Self::Regular => 0o10_0000,
            Self::Directory => 0o04_0000,
            Self::CharDevice => 0o02_0000,
            Self::BlockDevice => 0o06_0000,
            Self::Fifo => 0o01_0000,
            Self::Socket => 0o14_0000,
            Self::Symlink => 0o12_0000,
        }
    }

    /// The type in a directory entry (`EROFS_FT_*`), or `None` for zero (unknown) and for
    /// what there is not.
    #[must_use]
    pub const fn of_dirent(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Regular),
            2 => Some(Self::Directory),
            3 => Some(Self::CharDevice),
            4 => Some(Self::BlockDevice),
            5 => Some(Self::Fifo),
            6 => Some(Self::Socket),
            7 => Some(Self::Symlink),
            _ => None,
        }
    }

    /// The number that directory entries have for it.
    #[must_use]
    pub const fn dirent(self) -> u8 {
        match self {
            Self::Regular => 1,
            Self::Directory => 2,
            Self::CharDevice => 3,
            Self::BlockDevice => 4,
            Self::Fifo => 5,
            Self::Socket => 6,
            Self::Symlink => 7,
        }
    }
}

/// The format of a chunk-based file (`struct erofs_inode_chunk_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkFormat(pub u16);

impl ChunkFormat {
    /// By how many bits a chunk is larger than a block: 0 to 31.
    #[must_use]
    pub const fn block_bits(self) -> u32 {
        (self.0 & 0x1f) as u32
    }

    /// Whether chunks have indexes of 8 bytes rather than block addresses of 4.
    #[must_use]
    pub const fn has_indexes(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// Whether the indexes have block addresses of 48 bits.
    #[must_use]
    pub const fn is_48bit(self) -> bool {
        self.0 & 0x40 != 0
    }
}

/// What the field `i_u` says, by the type and the layout of the inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    /// The block where the data starts; `None` for a file that is one hole.
    Start(Option<u64>),
    /// The number of blocks that compressed data takes.
    CompressedBlocks(u64),
    /// The format of chunks.
    Chunks(ChunkFormat),
    /// Major and minor number of a device.
    Device(u32, u32),
    /// Nothing: a pipe or a socket.
    Nothing,
}

/// An inode, field by field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its number: the slot that it lies in, with [`METABOX_BIT`] for a slot of the metabox.
    pub nid: u64,
    /// Where it starts, in bytes of the image, or of the metabox.
    pub offset: u64,
    /// Whether it has the extended form.
    pub is_extended: bool,
    /// `i_format` as it is.
    pub format: u16,
    /// How the data is laid out.
    pub layout: Layout,
    /// Number of 4-byte units of the inline xattrs (`i_xattr_icount`); see [`Self::xattr_size`].
    pub xattr_count: u16,
    /// Type and permissions.
    pub mode: u16,
    /// The type in `mode`.
    pub file_type: FileType,
    /// Number of links.
    pub nlink: u32,
    /// Size in bytes.
    pub size: u64,
    /// Where the data is.
    pub data: Data,
    /// Number for `stat` on 32-bit hosts.
    pub ino: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change, in seconds since 1970.
    pub mtime: i64,
    /// Nanoseconds of that time, as they are: a billion and more are possible.
    pub mtime_ns: u32,
    /// Whether the directory leaves out its entry `.` (`EROFS_I_DOT_OMITTED_BIT`).
    pub dot_omitted: bool,
    /// Whether a reserved field is not zero.
    pub reserved: bool,
}

impl Inode {
    /// How many bytes [`Self::parse`] needs, from the first two of an inode.
    ///
    /// # Errors
    ///
    /// [`Code::InodeFormat`] when the format has unknown bits.
    pub fn size_of(nid: u64, format: u16) -> Result<usize, Error> {
        if format & !FORMAT_BITS != 0 {
            return Err(fault(Code::InodeFormat, nid).found(Value::Hex(format.into())));
        }
        Ok(if format & 1 == 0 {
            COMPACT_INODE_SIZE
        } else {
            EXTENDED_INODE_SIZE
        })
    }

    /// Reads an inode. `record` starts with it, and `offset` says where that is.
    ///
    /// # Errors
    ///
    /// What makes the rest unreadable: unknown format bits, layout, file type or chunk format,
    /// or a record that is too short for its format.
    pub fn parse(
        superblock: &Superblock,
        nid: u64,
        offset: u64,
        record: &[u8],
    ) -> Result<Self, Error> {
        let short = || fault(Code::InodeTruncated, nid).found(Value::Number(record.len() as u64));
        let [f0, f1, ..] = record else {
            return Err(short());
        };
        let format = u16::from_le_bytes([*f0, *f1]);
        let size = Self::size_of(nid, format)?;
        let is_extended = size == EXTENDED_INODE_SIZE;
        let raw = if is_extended {
            record.first_chunk().and_then(extended)
        } else {
            record
                .first_chunk()
                .and_then(|record| compact(superblock, record))
        };
        let raw = raw.ok_or_else(short)?;
        let layout = match format >> 1 & 7 {
            0 => Layout::FlatPlain,
            1 => Layout::CompressedFull,
            2 => Layout::FlatInline,
            3 => Layout::CompressedCompact,
            4 => Layout::ChunkBased,
            number => {
                return Err(fault(Code::InodeLayout, nid)
                    .found(Value::Number(number.into()))
                    .expected(Value::AtMost(4)));
            }
        };
        let Some(file_type) = FileType::of_mode(raw.mode) else {
            return Err(fault(Code::InodeMode, nid).found(Value::Hex(raw.mode.into())));
        };
        // Bit 4 says something else of directories than of all other inodes.
        let bit4 = format & 0x10 != 0;
        let is_directory = file_type == FileType::Directory;
        let counts_links = is_extended || is_directory || !bit4;
        let (nlink, high) = match (is_extended, counts_links) {
            (true, _) => (raw.nlink, raw.shared),
            (false, true) => (raw.shared.into(), 0),
            (false, false) => (1, raw.shared),
        };
        let wide = is_extended || !counts_links;
        let data = data(nid, layout, file_type, raw.union, high, wide)?;
        Ok(Self {
            nid,
            offset,
            is_extended,
            format,
            layout,
            xattr_count: raw.xattr_count,
            mode: raw.mode,
            file_type,
            nlink,
            size: raw.size,
            data,
            ino: raw.ino,
            uid: raw.uid,
            gid: raw.gid,
            mtime: raw.mtime,
            mtime_ns: raw.mtime_ns,
            dot_omitted: is_directory && bit4,
            reserved: raw.reserved,
        })
    }

    /// Size of the record itself, in bytes.
    #[must_use]
    pub const fn record_size(&self) -> u64 {
        if self.is_extended { 64 } else { 32 }
    }

    /// Size of the inline xattrs behind the inode, in bytes (`erofs_xattr_ibody_size`).
    #[must_use]
    pub const fn xattr_size(&self) -> u64 {
        if self.xattr_count == 0 {
            0
        } else {
            8_u64.saturating_add((self.xattr_count as u64).saturating_mul(4))
        }
    }

    /// The byte after the inode and its inline xattrs, in bytes of the image or of the metabox.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset
            .saturating_add(self.record_size())
            .saturating_add(self.xattr_size())
    }

    /// Whether the inode lies in the metabox.
    #[must_use]
    pub const fn in_metabox(&self, superblock: &Superblock) -> bool {
        superblock.in_metabox(self.nid)
    }
}

/// The slot in a nid, without the metabox bit.
#[must_use]
pub const fn nid_slot(nid: u64) -> u64 {
    nid & !METABOX_BIT
}

/// What `i_u` means.
fn data(
    nid: u64,
    layout: Layout,
    file_type: FileType,
    union: u32,
    high: u16,
    wide: bool,
) -> Result<Data, Error> {
    let address = u64::from(union) | u64::from(high) << 32;
    let chunks = u16::try_from(union & 0xffff).unwrap_or_default();
    // Of every type: the kernel looks at the layout alone.
    if layout == Layout::ChunkBased && chunks & !CHUNK_FORMAT_BITS != 0 {
        return Err(fault(Code::InodeChunkFormat, nid).found(Value::Hex(chunks.into())));
    }
    Ok(match file_type {
        FileType::CharDevice | FileType::BlockDevice => Data::Device(
            // As `new_decode_dev` in `include/linux/kdev_t.h`.
            (union & 0xf_ff00) >> 8,
            (union & 0xff) | (union >> 12 & 0xf_ff00),
        ),
        FileType::Fifo | FileType::Socket => Data::Nothing,
        _ => match layout {
            Layout::FlatPlain | Layout::FlatInline => {
                let mask: u64 = if wide { (1 << 48) - 1 } else { 0xffff_ffff };
                let hole = layout == Layout::FlatPlain && address & mask == HOLE_BLOCK & mask;
                Data::Start((!hole).then_some(address))
            }
            Layout::CompressedFull | Layout::CompressedCompact => Data::CompressedBlocks(address),
            Layout::ChunkBased => Data::Chunks(ChunkFormat(chunks)),
        },
    })
}

/// The fields that both forms have.
struct Raw {
    xattr_count: u16,
    mode: u16,
    /// `i_nb`: links, or the upper bits of an address.
    shared: u16,
    size: u64,
    union: u32,
    ino: u32,
    uid: u32,
    gid: u32,
    mtime: i64,
    mtime_ns: u32,
    nlink: u32,
    reserved: bool,
}

/// A compact inode. Its time is relative to the superblock's, with the nanoseconds of that.
fn compact(superblock: &Superblock, record: &[u8; COMPACT_INODE_SIZE]) -> Option<Raw> {
    let rest = &mut record.as_slice();
    let _format = le_u16(rest)?;
    let xattr_count = le_u16(rest)?;
    let mode = le_u16(rest)?;
    let shared = le_u16(rest)?;
    let size = le_u32(rest)?;
    let mtime = le_u32(rest)?;
    let union = le_u32(rest)?;
    let ino = le_u32(rest)?;
    let uid = le_u16(rest)?;
    let gid = le_u16(rest)?;
    let reserved = le_u32(rest)?;
    Some(Raw {
        xattr_count,
        mode,
        shared,
        size: size.into(),
        union,
        ino,
        uid: uid.into(),
        gid: gid.into(),
        mtime: superblock.epoch.wrapping_add(mtime.into()),
        mtime_ns: superblock.fixed_nanoseconds,
        nlink: 0,
        reserved: reserved != 0,
    })
}

/// An extended inode.
fn extended(record: &[u8; EXTENDED_INODE_SIZE]) -> Option<Raw> {
    let rest = &mut record.as_slice();
    let _format = le_u16(rest)?;
    let xattr_count = le_u16(rest)?;
    let mode = le_u16(rest)?;
    let shared = le_u16(rest)?;
    let size = le_u64(rest)?;
    let union = le_u32(rest)?;
    let ino = le_u32(rest)?;
    let uid = le_u32(rest)?;
    let gid = le_u32(rest)?;
    let mtime = le_u64(rest)?;
    let mtime_ns = le_u32(rest)?;
    let nlink = le_u32(rest)?;
    let reserved = [le_u64(rest)?, le_u64(rest)?];
    Some(Raw {
        xattr_count,
        mode,
        shared,
        size,
        union,
        ino,
        uid,
        gid,
        mtime: mtime.cast_signed(),
        mtime_ns,
        nlink,
        reserved: reserved != [0; 2],
    })
}

/// An error about an inode.
fn fault(code: Code, nid: u64) -> Error {
    Error::new(code, At::Nid(nid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_is_named_by_itself() {
        for (layout, name) in [
            (Layout::FlatPlain, "flat-plain"),
            (Layout::CompressedFull, "compressed-full"),
            (Layout::FlatInline, "flat-inline"),
            (Layout::CompressedCompact, "compressed-compact"),
            (Layout::ChunkBased, "chunk-based"),
        ] {
            assert_eq!(layout.name(), name);
        }
    }

    #[test]
    fn device_numbers_are_read_as_linux_packs_them() {
        for (union, major, minor) in [
            (0, 0, 0),
            (0x0000_0103, 1, 3),
            (0x0001_03ff, 259, 255),
            (0x1230_0145, 1, 0x1_2345),
            (u32::MAX, 0xfff, 0xf_ffff),
        ] {
            let read = data(1, Layout::FlatPlain, FileType::CharDevice, union, 0, false);
            assert_eq!(read, Ok(Data::Device(major, minor)), "{union:#x}");
        }
    }
}
