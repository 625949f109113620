//! zstd frames that are made from their parts, as no encoder would: each form that the format has,
//! in any combination, with the content that it must decode to. And such that are bent: one part or
//! a few are not what they should be, and everything around them fits all the same.
//!
//! Written from RFC 8878 alone, apart from the decoders that are held against it.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "tests are std programs"
)]
#![allow(dead_code, unreachable_pub, reason = "each user takes a part")]

pub mod bend;
pub mod bits;
pub mod block;
pub mod dice;
pub mod explain;
pub mod frame;
pub mod fse;
pub mod huffman;
pub mod literals;
pub mod sequences;

use dice::Dice;

/// A stream of frames.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    pub bytes: Vec<u8>,
    /// What it decodes to. Not for one that is bent.
    pub content: Vec<u8>,
    /// Where its parts begin: what is worth being bent.
    pub marks: Vec<usize>,
}

/// Most bytes that a stream decodes to.
pub const MOST: usize = 1 << 20;

/// Makes what is asked of the parts of a frame.
#[derive(Debug)]
pub struct Maker<'d, 'b> {
    pub dice: &'d mut Dice<'b>,
    /// How many parts are still to be bent.
    bends: usize,
}

impl<'d, 'b> Maker<'d, 'b> {
    /// One that bends up to so many parts.
    pub const fn new(dice: &'d mut Dice<'b>, bends: usize) -> Self {
        Self { dice, bends }
    }

    /// Whether the part at hand, one of so many, is to be bent.
    pub fn bend(&mut self, of: usize) -> bool {
        let bend = self.bends > 0 && self.dice.one_in(of);
        self.bends -= usize::from(bend);
        bend
    }

    /// A number beside `number`, or any other.
    pub fn beside(&mut self, number: usize) -> usize {
        match self.dice.below(8) {
            0 => self.dice.below(1 << 17),
            1 => self.dice.below(300),
            2 => number.saturating_add(self.dice.below(16)),
            3 => number.saturating_sub(self.dice.below(16)),
            4 | 5 => number.saturating_add(1),
            _ => number.saturating_sub(1),
        }
    }
}

/// A stream that is what the format says.
pub fn whole(dice: &mut Dice<'_>) -> Stream {
    make(dice, 0)
}

/// One of which some parts may not be.
pub fn bent(dice: &mut Dice<'_>) -> Stream {
    let bends = 1 + dice.small(3);
    make(dice, bends)
}

fn make(dice: &mut Dice<'_>, bends: usize) -> Stream {
    let mut stream = Stream::default();
    let mut maker = Maker::new(dice, bends);
    loop {
        if maker.dice.one_in(40) {
            frame::skippable(&mut maker, &mut stream);
        }
        frame::frame(&mut maker, &mut stream);
        if !maker.dice.one_in(12) {
            return stream;
        }
    }
}
