//! What is reported of how an image is laid out.

use erofs_unpack_core::erofs::{
    Compat, CompressionConfigs, Data, DeviceSlot, Extent, FileType, Image, Inode, Place, ReadError,
    Space,
};
use serde::Serialize;

use super::{FileReport, Reader};
use crate::error::HostError;
use crate::escape::Escaped;
use crate::image_file::FileAt;
use crate::report::SuperblockReport;

/// What an image says of itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SuperblockDump {
    /// The superblock.
    pub superblock: SuperblockReport,
    /// Whether the stated checksum is right; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum_valid: Option<bool>,
    /// Base of the times of compact inodes, in seconds since 1970.
    pub epoch: i64,
    /// The nanoseconds of that second.
    pub fixed_nanoseconds: u32,
    /// The compression configurations.
    pub compression: CompressionReport,
    /// The device table.
    pub devices: Vec<DeviceReport>,
}

/// The compression configurations.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompressionReport {
    /// How far an LZ4 match reaches at most, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lz4_max_distance: Option<u16>,
    /// The largest pcluster of LZ4, in blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lz4_max_pcluster_blocks: Option<u16>,
    /// Size of the LZMA dictionary in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lzma_dictionary: Option<u32>,
    /// Size of the DEFLATE window, as a power of two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deflate_window_bits: Option<u8>,
    /// The largest zstd window, as a power of two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zstd_window_bits: Option<u8>,
}

impl CompressionReport {
    fn of(configs: &CompressionConfigs) -> Self {
        Self {
            lz4_max_distance: configs.lz4.map(|lz4| lz4.max_distance),
            lz4_max_pcluster_blocks: configs.lz4.map(|lz4| lz4.max_pcluster_blocks),
            lzma_dictionary: configs.lzma_dictionary,
            deflate_window_bits: configs.deflate_window_bits,
            zstd_window_bits: configs.zstd_window_bits,
        }
    }
}

/// A slot of the device table.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceReport {
    /// Its tag, escaped.
    pub tag: String,
    /// Its size in blocks.
    pub blocks: u64,
    /// The block where it starts in the address space of the image, or 0.
    pub start: u64,
}

impl DeviceReport {
    fn of(slot: &DeviceSlot) -> Self {
        let end = slot.tag.iter().position(|byte| *byte == 0);
        let tag = slot.tag.get(..end.unwrap_or(slot.tag.len()));
        Self {
            tag: Escaped::name(tag.unwrap_or_default()).to_string(),
            blocks: slot.blocks,
            start: slot.start,
        }
    }
}

/// An inode.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InodeDump {
    /// What is said of every file.
    #[serde(flatten)]
    pub file: FileReport,
    /// How its content is laid out.
    pub layout: &'static str,
    /// Size of its record in bytes.
    pub inode_size: u64,
    /// Size of its xattrs in bytes.
    pub xattr_size: u64,
    /// How many bytes its content takes in the image.
    pub on_disk_size: u64,
    /// Whether it lies in the metabox.
    pub metabox: bool,
    /// Where it lies, in bytes.
    pub offset: u64,
    /// The inode itself.
    #[serde(skip)]
    pub inode: Inode,
}

/// An extent.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtentReport {
    /// Where it starts in the file, in bytes.
    pub offset: u64,
    /// How many bytes of the file it is.
    pub length: u64,
    /// `hole`, `inline`, `raw`, `fragment`, or how it is encoded.
    pub kind: &'static str,
    /// Where it lies, in bytes: of the image, of the device, of the metabox, or for a fragment
    /// of the packed inode's content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub physical: Option<u64>,
    /// How many bytes it takes there.
    pub physical_length: u64,
    /// The number of the device, from 1.
    #[serde(skip_serializing_if = "is_zero")]
    pub device: u16,
    /// Whether it lies in the metabox.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub metabox: bool,
    /// Whether it is only the first part of what is encoded there.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub partial: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl ExtentReport {
    /// An extent as it is reported.
    #[must_use]
    pub fn of(extent: &Extent) -> Self {
        let mut report = Self {
            offset: extent.offset,
            length: extent.length,
            kind: "hole",
            physical: None,
            physical_length: extent.length,
            device: 0,
            metabox: false,
            partial: false,
        };
        match extent.place {
            Place::Metadata { space, offset } => {
                report.kind = "inline";
                report.physical = Some(offset);
                report.metabox = space == Space::Metabox;
            }
            Place::Raw { device, offset } => {
                report.kind = "raw";
                report.physical = Some(offset);
                report.device = device;
            }
            Place::Encoded(pcluster) => {
                report.kind = pcluster.encoding.name();
                report.physical = Some(pcluster.offset);
                report.physical_length = pcluster.length;
                report.metabox = pcluster.metadata == Some(Space::Metabox);
                report.partial = pcluster.partial;
            }
            Place::Fragment { offset } => {
                report.kind = "fragment";
                report.physical = Some(offset);
                report.physical_length = 0;
            }
            _ => report.physical_length = 0,
        }
        report
    }
}

impl Reader {
    /// What the image says of itself. A wrong checksum is no error here.
    ///
    /// # Errors
    ///
    /// What the system fails at.
    pub fn dump(&self) -> Result<(SuperblockDump, Option<HostError>), HostError> {
        let image = self.image();
        let superblock = image.superblock();
        let has_checksum = superblock.compat.has(Compat::SB_CHKSUM);
        let (checksum_valid, wrong) = match image.verify_checksum() {
            Ok(()) => (has_checksum.then_some(true), None),
            Err(ReadError::Refused(error)) => (
                Some(false),
                Some(HostError::refused(self.file().place(), error)),
            ),
            Err(error) => return Err(self.file().failed(error)),
        };
        let dump = SuperblockDump {
            superblock: SuperblockReport::of(superblock),
            checksum_valid,
            epoch: superblock.epoch,
            fixed_nanoseconds: superblock.fixed_nanoseconds,
            compression: CompressionReport::of(image.compression_configs()),
            devices: image.devices().map(DeviceReport::of).collect(),
        };
        Ok((dump, wrong))
    }

    /// How an inode lies in the image. `target` is that of a symbolic link, where it is to be
    /// reported.
    #[must_use]
    pub fn dump_inode(&self, inode: &Inode, target: Option<&[u8]>) -> InodeDump {
        let image = self.image();
        InodeDump {
            file: FileReport::of(inode, target),
            layout: inode.layout.name(),
            inode_size: inode.record_size(),
            xattr_size: inode.xattr_size(),
            on_disk_size: on_disk_size(image, inode),
            metabox: image.space(inode.nid) == Space::Metabox,
            offset: inode.offset,
            inode: *inode,
        }
    }

    /// Gives the extents of an inode, one after the other.
    ///
    /// # Errors
    ///
    /// What the core refuses, at `path` where the inode has one, and what `take` gives.
    pub fn extents(
        &self,
        inode: &Inode,
        path: Option<&[u8]>,
        mut take: impl FnMut(&ExtentReport) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let has_content = matches!(
            inode.file_type,
            FileType::Regular | FileType::Directory | FileType::Symlink
        );
        let mut offset = 0;
        while has_content && offset < inode.size {
            let extent = self.image().extent(inode, offset);
            let extent = extent.map_err(|error| match path {
                Some(path) => self.failed(path, error),
                None => self.file().failed(error),
            })?;
            take(&ExtentReport::of(&extent))?;
            offset = extent.offset.saturating_add(extent.length);
        }
        Ok(())
    }
}

/// How many bytes the content takes in the image.
fn on_disk_size(image: &Image<FileAt>, inode: &Inode) -> u64 {
    match inode.data {
        Data::CompressedBlocks(blocks) => blocks.saturating_mul(image.superblock().block_size()),
        Data::Device(..) | Data::Nothing => 0,
        _ => inode.size,
    }
}
