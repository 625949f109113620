//! Compression configurations: what the image says of the algorithms that its files use.
//!
//! Follows `z_erofs_parse_cfgs` in `fs/erofs/decompressor.c` of Linux and the functions that it
//! calls for each algorithm.

use super::{Incompat, Superblock};
use crate::{At, Code, Error, Value};

/// Largest pcluster, in bytes (`Z_EROFS_PCLUSTER_MAX_SIZE`).
const PCLUSTER_MAX: u64 = 1 << 20;
/// Largest LZMA dictionary, in bytes (`Z_EROFS_LZMA_MAX_DICT_SIZE`).
const LZMA_DICTIONARY_MAX: u32 = 8 << 20;
/// Smallest LZMA dictionary, in bytes (`z_erofs_load_lzma_config`).
const LZMA_DICTIONARY_MIN: u32 = 4096;
/// Window of zstd as a power of two that `windowlog` counts from
/// (`ZSTD_WINDOWLOG_ABSOLUTEMIN`).
const ZSTD_WINDOW_BASE: u8 = 10;
/// Largest zstd window, as a power of two (`Z_EROFS_ZSTD_MAX_DICT_SIZE`).
const ZSTD_WINDOW_MAX: u8 = 20;
/// Longest record that is looked at: those of LZ4 and LZMA.
const RECORD_MAX: usize = 14;

/// What files compressed with LZ4 need (`struct z_erofs_lz4_cfgs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lz4Config {
    /// Largest distance of a match, in bytes; 0 for what LZ4 allows, 65535.
    pub max_distance: u16,
    /// Largest pcluster, in blocks: 1 or more.
    pub max_pcluster_blocks: u16,
}

/// What the image says of its compression algorithms; `None` for those that no file uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CompressionConfigs {
    /// LZ4. Always there in an image without configurations, which may use nothing else.
    pub lz4: Option<Lz4Config>,
    /// `MicroLZMA`: size of the dictionary in bytes, 4 KiB to 8 MiB.
    pub lzma_dictionary: Option<u32>,
    /// DEFLATE: the window as a power of two, at most 15.
    pub deflate_window_bits: Option<u8>,
    /// zstd: the largest window as a power of two, 10 to 20.
    pub zstd_window_bits: Option<u8>,
}

impl CompressionConfigs {
    /// Reads the configurations, which follow the superblock in the order of the bits that
    /// say which there are. `metadata` fills a buffer with the bytes from an offset in the image on.
    pub(super) fn read<E: From<Error>>(
        superblock: &Superblock,
        metadata: impl Fn(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut configs = Self::default();
        if !superblock.incompat.has(Incompat::COMPR_CFGS) {
            configs.lz4 = Some(Lz4Config {
                max_distance: superblock.algorithms_or_distance,
                max_pcluster_blocks: 1,
            });
            return Ok(configs);
        }
        let mut position = superblock.end();
        for algorithm in 0..16_u32 {
            if superblock.algorithms_or_distance >> algorithm & 1 == 0 {
                continue;
            }
            let mut length = [0; 2];
            metadata(position, &mut length)?;
            let length = usize::from(u16::from_le_bytes(length));
            let start = position.saturating_add(2);
            let mut record = [0; RECORD_MAX];
            let used = record.get_mut(..length.min(RECORD_MAX)).unwrap_or(&mut []);
            metadata(start, used)?;
            configs.take(superblock, algorithm, used, position)?;
            position = start
                .saturating_add(length as u64)
                .checked_next_multiple_of(4)
                .unwrap_or(u64::MAX);
        }
        Ok(configs)
    }

    /// Takes the record of one algorithm, which lies at `position` in the image.
    fn take(
        &mut self,
        superblock: &Superblock,
        algorithm: u32,
        record: &[u8],
        position: u64,
    ) -> Result<(), Error> {
        let fault = || Error::new(Code::CompressionConfig, At::Image(position));
        let short = |needs: u64| {
            fault()
                .found(Value::Number(record.len() as u64))
                .expected(Value::AtLeast(needs))
        };
        match algorithm {
            0 => {
                let [d0, d1, b0, b1, ..] = *whole::<14>(record).ok_or_else(|| short(14))?;
                let blocks = u16::from_le_bytes([b0, b1]).max(1);
                let most = PCLUSTER_MAX >> (superblock.block_bits & 63);
                if u64::from(blocks) > most {
                    return Err(fault()
                        .found(Value::Number(blocks.into()))
                        .expected(Value::AtMost(most)));
                }
                self.lz4 = Some(Lz4Config {
                    max_distance: u16::from_le_bytes([d0, d1]),
                    max_pcluster_blocks: blocks,
                });
            }
            1 => {
                let [d0, d1, d2, d3, f0, f1, ..] = *whole::<14>(record).ok_or_else(|| short(14))?;
                let dictionary = u32::from_le_bytes([d0, d1, d2, d3]);
                let format = u16::from_le_bytes([f0, f1]);
                if format != 0 {
                    return Err(fault()
                        .found(Value::Hex(format.into()))
                        .expected(Value::Number(0)));
                }
                if !(LZMA_DICTIONARY_MIN..=LZMA_DICTIONARY_MAX).contains(&dictionary) {
                    return Err(fault()
                        .found(Value::Number(dictionary.into()))
                        .expected(Value::Text("4096 to 8388608")));
                }
                self.lzma_dictionary = Some(dictionary);
            }
            2 => {
                let [bits, ..] = *whole::<6>(record).ok_or_else(|| short(6))?;
                if bits > 15 {
                    return Err(fault()
                        .found(Value::Number(bits.into()))
                        .expected(Value::AtMost(15)));
                }
                self.deflate_window_bits = Some(bits);
            }
            3 => {
                let [format, log, ..] = *whole::<6>(record).ok_or_else(|| short(6))?;
                if format != 0 {
                    return Err(fault()
                        .found(Value::Hex(format.into()))
                        .expected(Value::Number(0)));
                }
                let bits = log.saturating_add(ZSTD_WINDOW_BASE);
                if bits > ZSTD_WINDOW_MAX {
                    return Err(fault()
                        .found(Value::Number(bits.into()))
                        .expected(Value::AtMost(ZSTD_WINDOW_MAX.into())));
                }
                self.zstd_window_bits = Some(bits);
            }
            // The superblock's check has refused other bits.
            _ => {}
        }
        Ok(())
    }
}

/// The first `N` bytes of a record.
fn whole<const N: usize>(record: &[u8]) -> Option<&[u8; N]> {
    record.first_chunk()
}
