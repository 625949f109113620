//! Frames, RFC 8878 section 3.1.1 and 3.1.2: headers, blocks one after another, checksums.

use std::hash::Hasher as _;

use super::block::{self, Blocks};
use super::{Maker, Stream};

/// A skippable frame.
pub fn skippable(maker: &mut Maker<'_, '_>, stream: &mut Stream) {
    let magic = 0x184D_2A50 | maker.dice.bits(4);
    let size = maker.dice.small(40);
    let stated = if maker.bend(20) {
        maker.beside(size)
    } else {
        size
    };
    stream.bytes.extend(magic.to_le_bytes());
    stream.marks.push(stream.bytes.len());
    stream.bytes.extend((stated as u32).to_le_bytes());
    stream.bytes.extend((0..size).map(|n| n as u8));
}

/// How wide a `Window_Descriptor` is.
fn window(descriptor: u8) -> usize {
    let base = 1_usize << (descriptor >> 3) << 10;
    base + base / 8 * usize::from(descriptor & 7)
}

/// A frame.
pub fn frame(maker: &mut Maker<'_, '_>, stream: &mut Stream) {
    // In a single segment the window is the content.
    let mut single = maker.dice.one_in(3);
    let mut descriptor = if maker.dice.one_in(4) {
        maker.dice.below(10 << 3) as u8
    } else {
        maker.dice.small(12) as u8
    };
    // As wide as it gets, where that is bent: then matches go over the window.
    let wide = if single || maker.bend(12) {
        usize::MAX
    } else {
        window(descriptor)
    };
    let mut blocks = Blocks::new(if maker.bend(60) {
        maker.beside(wide)
    } else {
        wide
    });
    let mut bodies = Stream::default();
    // The sizes of the blocks on the wire: in a single segment they must not be over the content.
    let mut largest = 0;
    let count = if maker.dice.one_in(6) {
        2 + maker.dice.small(8)
    } else {
        1 + maker.dice.small(2)
    };
    for number in 0..count {
        let last = if maker.bend(60) {
            maker.dice.one_in(2)
        } else {
            number + 1 == count
        };
        largest = largest.max(block::block(maker, &mut blocks, last, &mut bodies));
    }
    let content = blocks.content;

    if single && largest > content.len() {
        largest = largest.max(content.len());
        single = false;
    }
    while !single && window(descriptor) < largest {
        descriptor += 1;
    }
    let checksum = maker.dice.one_in(8);
    let dictionary = if maker.dice.one_in(16) {
        maker.dice.below(4)
    } else {
        0
    };
    let stated = if maker.bend(30) {
        maker.beside(content.len())
    } else {
        content.len()
    };
    let least = match stated {
        0..=255 => 0,
        256..=65_791 => 1,
        _ => 2,
    };
    let form = if single || maker.dice.one_in(3) {
        let form = if maker.dice.one_in(4) {
            maker.dice.between(least, 3)
        } else {
            least
        };
        // The shortest form exists in a single segment only, the second begins at 256.
        match form {
            0 if !single => 2,
            1 if stated < 256 => 2,
            form => form,
        }
    } else {
        0
    };

    let bytes = &mut stream.bytes;
    bytes.extend(0xFD2F_B528_u32.to_le_bytes());
    stream.marks.push(bytes.len());
    let mut first = form << 6 | usize::from(single) << 5 | usize::from(checksum) << 2 | dictionary;
    if maker.bend(100) {
        first |= 8;
    }
    // A bit that means nothing.
    if maker.dice.one_in(16) {
        first |= 16;
    }
    bytes.push(first as u8);
    if !single {
        bytes.push(if maker.bend(40) {
            maker.dice.small(90) as u8
        } else {
            descriptor
        });
    }
    for _ in 0..[0, 1, 2, 4][dictionary] {
        bytes.push(u8::from(maker.bend(20)));
    }
    let stated = stated as u64;
    match form {
        0 if single => bytes.push(stated as u8),
        0 => {}
        1 => bytes.extend((stated.wrapping_sub(256) as u16).to_le_bytes()),
        2 => bytes.extend((stated as u32).to_le_bytes()),
        _ => bytes.extend(stated.to_le_bytes()),
    }
    stream
        .marks
        .extend(bodies.marks.iter().map(|mark| mark + bytes.len()));
    bytes.extend(bodies.bytes);
    if checksum {
        stream.marks.push(bytes.len());
        let mut hasher = twox_hash::XxHash64::with_seed(0);
        hasher.write(&content);
        let sum = hasher.finish() as u32 ^ u32::from(maker.bend(20));
        bytes.extend(sum.to_le_bytes());
    }
    stream.content.extend(content);
}
