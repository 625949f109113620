//! MicroLZMA: an LZMA stream without a header, whose first byte, which is always zero in the
//! range coder's output, holds the inverted properties instead. There is no end marker.
//!
//! Follows `lib/xz/xz_dec_microlzma` in `include/linux/xz.h`.

#[cfg(not(feature = "std"))]
use lzma_rust2::Read as _;
#[cfg(feature = "std")]
use std::io::Read as _;

use lzma_rust2::LzmaReader;

use super::Fault;
use crate::erofs::compress::map::MAX_DECODED;

/// Largest dictionary (`Z_EROFS_LZMA_MAX_DICT_SIZE`). The library makes it grow with the
/// output.
const DICTIONARY: u32 = 8 << 20;
/// The kernel takes no streams whose literal bits, `lc` and `lp`, are together more than this.
const LITERAL_BITS: u8 = 4;

/// Decodes a stream; only the start of one when it is `partial`. `input` is changed.
pub(super) fn decode(input: &mut [u8], output: &mut [u8], partial: bool) -> Result<(), Fault> {
    let first = input.first_mut().ok_or(Fault::Corrupt)?;
    let properties = !*first;
    *first = 0;
    if (properties % 9).saturating_add(properties / 9 % 5) > LITERAL_BITS {
        return Err(Fault::Corrupt);
    }
    // The library refuses a match that goes on where it was told the stream ends.
    let size = if partial {
        MAX_DECODED
    } else {
        output.len() as u64
    };
    let mut reader = LzmaReader::new_with_props(&*input, size, properties, DICTIONARY, None)
        .map_err(|_| Fault::Corrupt)?;
    // As in the kernel, the range coder must have come to its end.
    reader.set_relaxed_end_condition(false);
    let mut produced = 0_usize;
    while let Some(room) = output.get_mut(produced..).filter(|room| !room.is_empty()) {
        match reader.read(room) {
            Ok(0) => return Err(Fault::Length(produced)),
            Ok(size) => produced = produced.saturating_add(size),
            Err(_) => return Err(Fault::Corrupt),
        }
    }
    Ok(())
}
