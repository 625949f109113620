//! How an image is made.

use crate::{At, Code, Error, Value};

/// How an image is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Block size, as a power of two: 9 to 16. Linux before 6.4 reads blocks of 4096 bytes alone.
    pub block_bits: u8,
    /// Whether the end of a file that does not fill a block lies behind its inode, where it fits, instead
    /// of in a block of its own (`mkfs.erofs` without `-Enoinline_data`).
    pub inline_data: bool,
    /// Whether OCI's whiteouts become those of overlayfs (`mkfs.erofs --aufs`).
    pub whiteouts: bool,
    /// One time for all files, in seconds since 1970, in place of their own.
    pub all_time: Option<i64>,
    /// When the image was made, in seconds since 1970; `None` leaves that out.
    pub build_time: Option<i64>,
    /// Name of the volume; zeros fill it up.
    pub volume_name: [u8; 16],
}

impl Options {
    /// As layers are made by containerd: blocks of 4096 bytes, content in whole blocks, whiteouts
    /// of overlayfs.
    pub const DEFAULT: Self = Self {
        block_bits: 12,
        inline_data: false,
        whiteouts: true,
        all_time: None,
        build_time: None,
        volume_name: [0; 16],
    };

    /// Whether there are images with these options.
    ///
    /// # Errors
    ///
    /// [`Code::SuperblockBlockSize`].
    pub fn check(&self) -> Result<(), Error> {
        if (9..=16).contains(&self.block_bits) {
            return Ok(());
        }
        Err(Error::new(Code::SuperblockBlockSize, At::Whole)
            .found(Value::Number(self.block_bits.into()))
            .expected(Value::AtMost(16)))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::DEFAULT
    }
}
