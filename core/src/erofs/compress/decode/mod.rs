//! The decoders: a pcluster in memory to an extent in memory.
//!
//! Each gives exactly the bytes that the extent has, or says why not. All but LZ4 always have
//! zeros in front of the data (`z_erofs_fixup_insize` in `fs/erofs/decompressor.c`), because
//! the data ends where the pcluster does; LZ4 has them in images that say so.

mod deflate;
mod fault;
mod lz4;
#[cfg(feature = "lzma")]
mod lzma;
mod zstd;

pub(super) use self::fault::Fault;
use super::pcluster::Encoding;

/// How a pcluster is to be decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    pub(super) encoding: Encoding,
    /// Whether it may decode to more than is wanted.
    pub(super) partial: bool,
    /// Whether the image has zeros in front of LZ4 data.
    pub(super) zero_padding: bool,
    /// How many bytes may be such zeros at most: those of the first block.
    pub(super) padding: usize,
}

/// The decoders' contexts, made at their first use and used again.
#[derive(Debug, Default)]
pub(super) struct Decoders {
    deflate: deflate::Inflate,
    zstd: zstd::Frames,
}

impl Decoders {
    /// Fills `output` with what `input` decodes to. `input` may be written to.
    pub(super) fn decode(
        &mut self,
        task: Task,
        input: &mut [u8],
        output: &mut [u8],
    ) -> Result<(), Fault> {
        let skip_zeros = task.zero_padding || task.encoding != Encoding::Lz4;
        let data = if skip_zeros {
            let start = zeros(input);
            if start >= task.padding.min(input.len()) {
                return Err(Fault::Corrupt);
            }
            input.get_mut(start..).unwrap_or_default()
        } else {
            input
        };
        match task.encoding {
            Encoding::Lz4 if task.partial || !task.zero_padding => lz4::partial(data, output),
            Encoding::Lz4 => lz4::whole(data, output),
            Encoding::Deflate => self.deflate.decode(data, output, task.partial),
            Encoding::Zstd => self.zstd.decode(data, output, task.partial),
            #[cfg(feature = "lzma")]
            Encoding::Lzma => lzma::decode(data, output, task.partial),
            #[cfg(not(feature = "lzma"))]
            Encoding::Lzma => Err(Fault::Unavailable),
            Encoding::Shifted | Encoding::Interlaced => Err(Fault::Corrupt),
        }
    }
}

/// How many zeros some bytes start with.
fn zeros(input: &[u8]) -> usize {
    // There may be as many as a block has.
    let (pieces, _) = input.as_chunks::<16>();
    let whole = pieces
        .iter()
        .take_while(|piece| u128::from_le_bytes(**piece) == 0);
    let start = whole.count().saturating_mul(16);
    let rest = input.get(start..).unwrap_or_default();
    let more = rest.iter().take_while(|byte| **byte == 0).count();
    start.saturating_add(more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn zeros_are_counted_to_the_first_other_byte() {
        for length in 0..70 {
            let mut input = vec![0; length];
            assert_eq!(zeros(&input), length);
            for place in (0..length).rev() {
                input[place] = 1 << (place % 8);
                assert_eq!(zeros(&input), place);
            }
        }
    }
}
