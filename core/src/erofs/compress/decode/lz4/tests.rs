//! The decoder against `lz4_flex`, and against the kernel's rules written down byte by byte.

use lz4_flex::block::{DecompressError, compress, decompress_into};
use proptest::prelude::*;
use std::vec;
use std::vec::Vec;

use super::super::fault::Fault;
use super::whole;

/// What `LZ4_decompress_safe` of the kernel makes of a block, by the letter and without haste;
/// `None` where it refuses, or where a distance is zero.
fn kernel(input: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut output = Vec::new();
    let mut place = 0;
    let byte = |place: &mut usize| {
        let byte = input.get(*place).copied();
        *place += 1;
        byte.map(usize::from)
    };
    let long = |place: &mut usize, start: usize| {
        let mut length = start;
        let mut more = if start == 15 { 255 } else { 0 };
        while more == 255 {
            more = byte(place)?;
            length += more;
        }
        Some(length)
    };
    loop {
        let token = byte(&mut place)?;
        let is_short = token >> 4 != 15 && place + 16 < input.len() && output.len() + 32 <= size;
        let literals = long(&mut place, token >> 4)?;
        let end = output.len() + literals;
        let is_last = end + 12 > size || place + literals + 8 > input.len();
        output.extend_from_slice(input.get(place..place + literals)?);
        place += literals;
        if !is_short && is_last {
            return (place == input.len() && end == size).then_some(output);
        }
        let distance = byte(&mut place)? | byte(&mut place)? << 8;
        let is_short = is_short && token & 15 != 15 && distance >= 8;
        let length = long(&mut place, token & 15)? + 4;
        if token & 15 == 15 && place + 5 > input.len() {
            return None;
        }
        let start = output
            .len()
            .checked_sub(distance)
            .filter(|_| distance > 0)?;
        if !is_short && output.len() + length + 5 > size {
            return None;
        }
        for from in start..start + length {
            output.push(output[from]);
        }
    }
}

/// Holds the decoder against both.
fn compare(block: &[u8], size: usize) -> Result<(), TestCaseError> {
    // What lies behind the output must stay as it is.
    let mut ours = vec![0xA5; size + 64];
    let result = whole(block, &mut ours[..size]);
    prop_assert!(ours[size..].iter().all(|byte| *byte == 0xA5));
    ours.truncate(size);
    let wanted = kernel(block, size);
    prop_assert_eq!(result.is_ok(), wanted.is_some());
    if let Some(wanted) = wanted {
        prop_assert_eq!(&ours, &wanted);
    }
    let mut theirs = vec![0; size];
    match (result, decompress_into(block, &mut theirs)) {
        (Ok(()), flex) => {
            prop_assert_eq!(flex.ok(), Some(size));
            prop_assert_eq!(ours, theirs);
        }
        (Err(Fault::Length(length)), Ok(flex)) => prop_assert_eq!(length, flex),
        (Err(Fault::Length(length)), Err(DecompressError::OutputTooSmall { .. })) => {
            prop_assert_eq!(length, size + 1);
        }
        // Only the end is not as the format has it, or a distance is zero.
        (Err(Fault::Corrupt), _) => {}
        (Err(fault), flex) => prop_assert!(false, "{fault:?}, {flex:?}"),
    }
    Ok(())
}

/// Content with matches of all kinds: pieces of a few letters, repeated, and copies from before.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        (any::<u8>(), 1..300_usize).prop_map(|(byte, count)| vec![byte; count]),
        (prop::collection::vec(b'a'..b'e', 1..20), 1..20_usize)
            .prop_map(|(period, count)| period.repeat(count)),
        prop::collection::vec(any::<u8>(), 1..60),
        Just(b"a sentence that comes again and again, ".to_vec()),
    ];
    prop::collection::vec(piece, 1..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 512 }))]

    #[test]
    fn what_is_compressed_comes_back(content in content()) {
        let block = compress(&content);
        let mut output = vec![0; content.len()];
        prop_assert_eq!(whole(&block, &mut output), Ok(()));
        prop_assert_eq!(&output, &content);
        compare(&block, content.len())?;
        compare(&block, content.len() - 1)?;
        compare(&block, content.len() + 1)?;
    }

    #[test]
    fn changed_blocks(
        content in content(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        more in 0..40_usize,
    ) {
        let mut block = compress(&content);
        for (place, byte) in changes {
            let place = place.index(block.len());
            block[place] = byte;
            compare(&block, content.len())?;
            // What it decodes to now, if that is another length.
            if let Err(Fault::Length(length)) = whole(&block, &mut vec![0; content.len() + more]) {
                compare(&block, length)?;
            }
        }
        compare(&block[..cut.index(block.len())], content.len())?;
    }

    /// Sequences by themselves, near to where the output ends.
    #[test]
    fn sequences(
        sequences in prop::collection::vec((any::<u8>(), 0..40_u16, 0..6_u8), 1..12),
        tail in 0..24_u8,
        size in 1..400_usize,
    ) {
        let mut block = Vec::new();
        for (token, distance, more) in sequences {
            block.push(token);
            let mut literals = usize::from(token >> 4);
            if literals == 15 {
                block.push(more);
                literals += usize::from(more);
            }
            block.extend((0..literals).map(|place| place as u8));
            block.extend(distance.to_le_bytes());
            if token & 15 == 15 {
                block.push(more);
            }
        }
        block.push(tail.min(15) << 4);
        if tail >= 15 {
            block.push(tail - 15);
        }
        block.extend((0..tail).map(|place| place ^ 0x55));
        compare(&block, size)?;
        if let Err(Fault::Length(length)) = whole(&block, &mut vec![0; 4096]) {
            compare(&block, length)?;
        }
    }
}

/// A match that ends with the output: the kernel takes it where it is a short one far from the
/// end of the input, by its short cut, and refuses it elsewhere.
#[test]
fn the_end_of_a_block() {
    let block = |literals: u8, tail: &[u8]| {
        let mut block = vec![literals << 4 | 14];
        block.extend((0..literals).map(|place| b'a' + place));
        block.extend([8, 0]);
        block.extend(tail);
        block
    };
    let decodes = |block: &[u8], size| whole(block, &mut vec![0; size]);
    assert_eq!(decodes(&block(14, &[0]), 32), Ok(()));
    assert_eq!(decodes(&block(13, &[0]), 31), Err(Fault::Corrupt));
    assert_eq!(decodes(&block(13, &[0x50, 1, 2, 3, 4, 5]), 36), Ok(()));
    assert_eq!(
        decodes(&block(8, &[0x40, 1, 2, 3, 4]), 30),
        Err(Fault::Corrupt)
    );
    assert_eq!(decodes(&block(8, &[0x50, 1, 2, 3, 4, 5]), 31), Ok(()));
}
