//! MicroLZMA: an LZMA stream without a header, whose first byte, which is always zero in the
//! range coder's output, holds the inverted properties instead. There is no end marker.
//!
//! Follows `lib/xz/xz_dec_microlzma` in `include/linux/xz.h`.

#[cfg(not(feature = "std"))]
use lzma_rust2::Read as _;
#[cfg(feature = "std")]
use std::io::Read as _;

use lzma_rust2::LzmaReader;

use super::fault::Fault;
use crate::erofs::compress::pcluster::MAX_DECODED;

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
    if !partial && !is_used_up(reader) {
        return Err(Fault::Corrupt);
    }
    Ok(())
}

/// Whether the stream takes all of its input, as the kernel demands. The last step of the range
/// coder may leave one byte that it would read next, which is zero in a stream that has come to
/// its end.
fn is_used_up(reader: LzmaReader<&[u8]>) -> bool {
    let (behind, buffered) = reader.into_parts();
    matches!((buffered.as_slice(), behind), ([] | [0], []) | ([], [0]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    /// 600 lines that `mkfs.erofs` 1.9.4 compressed.
    const STREAM: [u8; 75] = [
        0xa2, 0x18, 0x08, 0x0a, 0x66, 0xe7, 0x71, 0x62, 0x44, 0xc4, 0x35, 0x56, 0x67, 0x81, 0x7b,
        0x9c, 0x64, 0xd2, 0x0e, 0x0c, 0xd9, 0xc6, 0x8e, 0xa3, 0x83, 0xb7, 0xb3, 0x43, 0x04, 0x32,
        0x51, 0x04, 0x52, 0x6b, 0xa3, 0x4e, 0x64, 0x89, 0x04, 0x31, 0xde, 0xd5, 0x32, 0x76, 0x24,
        0xf0, 0x6b, 0x64, 0x57, 0xb1, 0x80, 0x64, 0x0d, 0x25, 0x3a, 0x27, 0xc6, 0x9b, 0xc2, 0x1b,
        0xb5, 0xae, 0x9a, 0x8f, 0xc7, 0x58, 0x80, 0xbd, 0xf5, 0x27, 0x04, 0xeb, 0xa8, 0x05, 0x00,
    ];

    fn decoded(stream: &[u8], length: usize, partial: bool) -> Result<Vec<u8>, Fault> {
        let mut output = vec![0; length];
        decode(&mut stream.to_vec(), &mut output, partial)?;
        Ok(output)
    }

    #[test]
    fn a_stream_takes_all_of_its_input() {
        let lines: String = (0..600)
            .map(|i| format!("{} of many lines;", i % 7))
            .collect();
        let length = lines.len();
        assert_eq!(decoded(&STREAM, length, false).unwrap(), lines.as_bytes());
        // Surplus, which the kernel refuses; where the extent is a part of more, it is no such.
        for surplus in [&[1][..], &[0, 0], &[0; 100]] {
            let longer = [&STREAM, surplus].concat();
            assert_eq!(decoded(&longer, length, false), Err(Fault::Corrupt));
            assert_eq!(decoded(&longer, 5, true).unwrap(), &lines.as_bytes()[..5]);
        }
        assert_eq!(decoded(&STREAM, length - 1, false), Err(Fault::Corrupt));
    }
}
