//! Literals sections, RFC 8878 section 3.1.1.3.1.

use std::rc::Rc;

use super::Maker;
use super::block::Blocks;
use super::huffman::Tree;

/// Writes a section of `size` literals of any sort, and gives them.
pub fn section(
    maker: &mut Maker<'_, '_>,
    blocks: &mut Blocks,
    size: usize,
    to: &mut Vec<u8>,
    marks: &mut Vec<usize>,
) -> Vec<u8> {
    marks.push(to.len());
    match maker.dice.below(6) {
        0 => {
            let literals: Vec<u8> = (0..size).map(|_| maker.dice.bits(8) as u8).collect();
            plain(maker, 0, size, to);
            to.extend(&literals);
            literals
        }
        1 => {
            let byte = maker.dice.bits(8) as u8;
            plain(maker, 1, size, to);
            to.push(byte);
            vec![byte; size]
        }
        _ if size > 0 || maker.bend(20) => coded(maker, blocks, size, to, marks),
        _ => {
            plain(maker, 0, 0, to);
            Vec::new()
        }
    }
}

/// The header of raw ones (0) and of one byte (1).
fn plain(maker: &mut Maker<'_, '_>, kind: usize, size: usize, to: &mut Vec<u8>) {
    let size = if maker.bend(60) {
        maker.beside(size)
    } else {
        size
    };
    let least = match size {
        0..32 => 1,
        32..4096 => 2,
        _ => 3,
    };
    let length = if maker.dice.one_in(8) {
        maker.dice.between(least, 3)
    } else {
        least
    };
    let header = match length {
        // The upper bit of the format is the lowest of the size.
        1 => size << 3 | kind,
        2 => size << 4 | 1 << 2 | kind,
        _ => size << 4 | 3 << 2 | kind,
    };
    to.extend(&header.to_le_bytes()[..length]);
}

/// Those that are coded, with a tree or with the tree before.
fn coded(
    maker: &mut Maker<'_, '_>,
    blocks: &mut Blocks,
    size: usize,
    to: &mut Vec<u8>,
    marks: &mut Vec<usize>,
) -> Vec<u8> {
    let mut kind = 2;
    let mut body = Vec::new();
    let mut tree = None;
    if maker.dice.one_in(3) {
        tree = blocks.tree.clone();
    }
    if tree.is_some() || maker.bend(60) {
        kind = 3;
    }
    let tree = tree.unwrap_or_else(|| {
        loop {
            let deepest = if maker.bend(40) { 12 } else { 11 };
            let tree = Rc::new(Tree::random(deepest, maker.dice));
            let direct = maker.dice.one_in(2);
            let weights_end = if maker.bend(40) { 16 } else { 12 };
            if let Some(description) = tree.describe(direct, weights_end, maker.dice) {
                if kind == 2 {
                    body = description;
                }
                break tree;
            }
        }
    });
    if maker.bend(40) && !body.is_empty() {
        let place = maker.dice.small(body.len());
        body[place] ^= 1 << maker.dice.below(8);
    }
    let tree_size = body.len();
    let literals: Vec<u8> = (0..size).map(|_| maker.dice.pick(&tree.symbols)).collect();

    // Three quarters must not be more than all.
    let quarter = size.div_ceil(4);
    let four = size >= 6 && quarter * 3 <= size && maker.dice.one_in(2);
    if four {
        let mut streams: Vec<Vec<u8>> = literals
            .chunks(quarter)
            .chain([&[][..]; 3])
            .take(4)
            .map(|part| stream(maker, &tree, part))
            .collect();
        if maker.bend(60) {
            let (from, to) = (maker.dice.below(4), maker.dice.below(4));
            streams.swap(from, to);
        }
        for stream in &streams[..3] {
            let length = if maker.bend(60) {
                maker.beside(stream.len())
            } else {
                stream.len()
            };
            body.extend(&length.to_le_bytes()[..2]);
        }
        body.extend(streams.concat());
    } else {
        body.extend(stream(maker, &tree, &literals));
    }
    if maker.bend(60) {
        body.pop();
    }

    let length = body.len();
    let stated = if maker.bend(60) {
        maker.beside(size)
    } else {
        size
    };
    let compressed = if maker.bend(60) {
        maker.beside(length)
    } else {
        length
    };
    let least = match stated.max(compressed) {
        0..1024 => 1,
        1024..16_384 => 2,
        _ => 3,
    };
    let mut format = if four {
        if maker.dice.one_in(8) {
            maker.dice.between(least, 3)
        } else {
            least
        }
    } else {
        0
    };
    if maker.bend(60) {
        format = maker.dice.below(4);
    }
    if format == 0 && least > 1 && !maker.bend(2) {
        // One stream has no room for such sizes.
        plain(maker, 0, size, to);
        to.extend(&literals);
        return literals;
    }
    let bits = [10, 10, 14, 18][format];
    let header =
        (stated as u64) << 4 | (compressed as u64) << (4 + bits) | (format as u64) << 2 | kind;
    to.extend(&header.to_le_bytes()[..[3, 3, 4, 5][format]]);
    marks.push(to.len());
    marks.push(to.len() + tree_size);
    to.extend(body);
    // A block that is refused for its tree has none, but then the frame has ended.
    blocks.tree = Some(tree);
    literals
}

/// A stream of these symbols, or one that ends early or late.
fn stream(maker: &mut Maker<'_, '_>, tree: &Tree, symbols: &[u8]) -> Vec<u8> {
    let mut stream = tree.stream(symbols);
    if maker.bend(60) {
        for _ in 0..=maker.dice.small(3) {
            stream.pop();
        }
    }
    if maker.bend(60) {
        for _ in 0..=maker.dice.small(3) {
            stream.push(maker.dice.bits(11), 1 + maker.dice.small(11) as u8);
        }
    }
    let mut bytes = stream.finish();
    if maker.bend(100) {
        bytes.push(maker.dice.small(3) as u8);
    }
    bytes
}
