//! Blocks, RFC 8878 section 3.1.1.2.

use std::rc::Rc;

use super::fse::Table;
use super::huffman::Tree;
use super::{Maker, Stream, literals, sequences};

/// What the blocks of a frame hand on.
#[derive(Clone, Debug)]
pub struct Blocks {
    pub content: Vec<u8>,
    /// How far back a match may reach.
    pub window: usize,
    pub tree: Option<Rc<Tree>>,
    /// Of literals lengths, offsets, match lengths.
    pub tables: [Option<Rc<Table>>; 3],
    pub repeats: [u32; 3],
}

impl Blocks {
    pub const fn new(window: usize) -> Self {
        Self {
            content: Vec::new(),
            window,
            tree: None,
            tables: [const { None }; 3],
            repeats: [1, 4, 8],
        }
    }
}

/// `Block_Header` and the block. Gives the larger of its sizes, wire and content.
pub fn block(maker: &mut Maker<'_, '_>, blocks: &mut Blocks, last: bool, to: &mut Stream) -> usize {
    let maximum = blocks.window.min(128 << 10);
    let before = blocks.content.len();
    let (mut kind, mut size, body);
    let mut marks = Vec::new();
    match maker.dice.below(8) {
        0 => {
            (kind, size) = (0, maker.dice.small(60));
            body = (0..size).map(|_| maker.dice.bits(8) as u8).collect();
            blocks.content.extend(&body);
        }
        1 => {
            let most = if maker.dice.one_in(60) {
                maximum
            } else {
                1000.min(maximum)
            };
            (kind, size) = (1, maker.dice.small(most + 1));
            body = vec![maker.dice.bits(8) as u8];
            blocks.content.resize(before + size, body[0]);
        }
        _ => {
            let saved = blocks.clone();
            body = compressed(maker, blocks, maximum, &mut marks);
            (kind, size) = (2, body.len());
            if size > maximum && !maker.bend(2) {
                // Too large on the wire.
                *blocks = saved;
                return block(maker, blocks, last, to);
            }
        }
    }
    let largest = size.max(blocks.content.len() - before);
    if maker.bend(60) {
        size = maker.beside(size);
    }
    if maker.bend(120) {
        kind = maker.dice.below(4);
    }
    to.marks.push(to.bytes.len());
    let header = size << 3 | kind << 1 | usize::from(last);
    to.bytes.extend(&header.to_le_bytes()[..3]);
    to.marks
        .extend(marks.iter().map(|mark| mark + to.bytes.len()));
    to.bytes.extend(body);
    largest
}

/// A `Compressed_Block`, section 3.1.1.3, of up to so many bytes of content.
fn compressed(
    maker: &mut Maker<'_, '_>,
    blocks: &mut Blocks,
    maximum: usize,
    marks: &mut Vec<usize>,
) -> Vec<u8> {
    let most = match maker.dice.below(400) {
        0 => maximum,
        1..20 => maximum.min(4000),
        // Content that goes over the window soon.
        20..120 => maximum.min(1024),
        _ => maximum.min(600),
    };
    let planned = sequences::plan(maker, blocks, most);
    let more = (most - planned.length).min(if maker.dice.one_in(20) { 2000 } else { 40 });
    let mut size = planned.literals + maker.dice.small(more + 1);
    if maker.bend(60) {
        // Fewer than the sequences take.
        size = planned.literals.saturating_sub(1 + maker.dice.small(4));
    }
    let mut body = Vec::new();
    let literals = literals::section(maker, blocks, size, &mut body, marks);
    marks.push(body.len());
    planned.section(maker, blocks, &mut body, marks);
    planned.execute(&literals, &mut blocks.content);
    body
}
