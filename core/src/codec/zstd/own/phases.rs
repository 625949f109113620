//! The work on a block in phases: entropy decoding into memory of the caller, and execution in
//! order.
//!
//! Entropy decoding of a block needs nothing of the blocks before but their tables, where it
//! repeats them ([`Uses`]); `carried` brings those along. Repeat offsets are resolved in the
//! execution, which is done for one block after another. What comes out, and what is refused, is
//! the same as of [`super::Blocks`].

use super::copy::{self, SHORT};
use super::literals::Literals;
use super::sequences::{self, Decoded, Decoder, Repeats};
use super::tables::{Modes, Tables};
use super::{Corrupt, Room, SLACK};

/// Some of the tables that blocks share: the tree of literals, and those of the three codes of
/// sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::codec::zstd) struct Shared(u8);

impl Shared {
    /// None.
    pub(in crate::codec::zstd) const NONE: Self = Self(0);

    /// These and others.
    pub(in crate::codec::zstd) const fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These and those that a block makes.
    pub(in crate::codec::zstd) const fn and(self, block: Uses) -> Self {
        self.with(block.makes)
    }

    /// Whether the tree is one of them.
    pub(super) const fn has_tree(self) -> bool {
        self.0 & Self::TREE.0 != 0
    }

    /// Whether a table of sequences is.
    pub(super) const fn has_codes(self) -> bool {
        self.0 & !Self::TREE.0 != 0
    }

    /// The tree.
    pub(super) const TREE: Self = Self(1);
    /// The tables of literals lengths, offsets and match lengths.
    pub(super) const CODES: [Self; 3] = [Self(2), Self(4), Self(8)];
}

/// What a block does with the tables that blocks share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::codec::zstd) struct Uses {
    /// Those that it takes from a block before it.
    needs: Shared,
    /// Those that it makes anew.
    makes: Shared,
}

impl Uses {
    /// It takes these, too.
    pub(super) const fn need(&mut self, tables: Shared) {
        self.needs = self.needs.with(tables);
    }

    /// It makes these, too.
    pub(super) const fn make(&mut self, tables: Shared) {
        self.makes = self.makes.with(tables);
    }

    /// What it takes from before blocks that have made these tables.
    pub(in crate::codec::zstd) const fn needs_beside(self, made: Shared) -> Shared {
        Shared(self.needs.0 & !made.0)
    }
}

/// A sequence between the phases, as the specification names its parts (section 3.1.1.3.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::codec::zstd) struct Sequence {
    /// `Literals_Length`, in bytes.
    literals_length: u32,
    /// `Match_Length`, in bytes.
    match_length: u32,
    /// `Offset_Value`: 1 to 3 are repeat offsets, what is more is an offset and 3.
    offset_value: u32,
}

/// The most sequences of a block that decodes to at most `maximum` bytes: none is shorter than
/// three.
pub(in crate::codec::zstd) const fn most_sequences(maximum: usize) -> usize {
    maximum / 3
}

/// How much of the memory between the phases a block takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::codec::zstd) struct Parts {
    /// Literals, in bytes.
    pub(in crate::codec::zstd) literals: usize,
    /// Sequences.
    pub(in crate::codec::zstd) sequences: usize,
}

/// Entropy decoding of compressed blocks, one after another.
#[derive(Clone, Debug)]
pub(in crate::codec::zstd) struct Entropy {
    literals: Literals,
    tables: Tables,
}

impl Entropy {
    pub(in crate::codec::zstd) const fn new() -> Self {
        Self {
            literals: Literals::new(),
            tables: Tables::new(),
        }
    }

    /// Makes ready for another frame, or another group of blocks.
    pub(in crate::codec::zstd) const fn reset(&mut self) {
        self.literals.reset();
        self.tables.reset();
    }

    /// Makes the tree that is described.
    pub(super) fn plant(&mut self, description: &[u8]) -> Result<(), Corrupt> {
        self.literals.plant(description).map(|_| ())
    }

    /// Makes the tables of sequences.
    pub(super) fn set(&mut self, modes: Modes, mut descriptions: &[u8]) -> Result<(), Corrupt> {
        self.tables.set(modes, &mut descriptions)
    }

    /// Decodes a block into its literals and its sequences, and says how many there are.
    ///
    /// `literals` has the size of the largest block and [`SLACK`]; `sequences` has
    /// [`most_sequences`] of that size: a block with more does not fit.
    ///
    /// # Errors
    ///
    /// When the block is not what the specification says, or takes more than there is.
    pub(in crate::codec::zstd) fn decode(
        &mut self,
        body: &[u8],
        literals: &mut [u8],
        sequences: &mut [Sequence],
    ) -> Result<Parts, Corrupt> {
        let most = literals.len().saturating_sub(SLACK);
        let found = self.literals.read(body, literals, most)?;
        found.gather(literals);
        let size = found.size;
        let mut data = found.rest;
        let count = self.tables.read(&mut data)?;
        if count == 0 {
            if !data.is_empty() {
                return Err(Corrupt);
            }
            return Ok(Parts {
                literals: size,
                sequences: 0,
            });
        }
        let sequences = sequences.get_mut(..count as usize).ok_or(Corrupt)?;
        let mut decoder = Decoder::new(&self.tables, count, data)?;
        for sequence in sequences {
            *sequence = Sequence::new(decoder.next()?);
        }
        decoder.finish()?;
        Ok(Parts {
            literals: size,
            sequences: count as usize,
        })
    }
}

impl Sequence {
    /// From an offset's code, and its value as tables give it: from code 2 on without the 3.
    fn new(sequence: Decoded) -> Self {
        let Decoded {
            code,
            value,
            literals,
            matched,
        } = sequence;
        Self {
            literals_length: literals,
            match_length: matched,
            offset_value: if code > 1 {
                value.wrapping_add(3)
            } else {
                value
            },
        }
    }

    /// Code and value back, where any code over 1 stands for all of them.
    fn offset(self) -> (u8, u32) {
        match self.offset_value {
            value @ 1 => (0, value),
            value @ (2 | 3) => (1, value),
            value => (2, value.wrapping_sub(3)),
        }
    }
}

/// Execution of a frame's compressed blocks, in order.
#[derive(Clone, Debug)]
pub(in crate::codec::zstd) struct Execution {
    repeats: Repeats,
}

impl Execution {
    pub(in crate::codec::zstd) const fn new() -> Self {
        Self {
            repeats: Repeats::START,
        }
    }

    /// Makes ready for another frame.
    pub(in crate::codec::zstd) const fn reset(&mut self) {
        self.repeats = Repeats::START;
    }

    /// Executes a block whose entropy was decoded: `literals` and `sequences` are what
    /// [`Entropy::decode`] was given, and `parts` what it said. Says where the block ends.
    ///
    /// For `output` and `room` the same holds as for [`super::Blocks::decode`].
    ///
    /// # Errors
    ///
    /// When a match reaches too far, or the block does not end within its room.
    pub(in crate::codec::zstd) fn run(
        &mut self,
        parts: Parts,
        literals: &[u8],
        sequences: &[Sequence],
        output: &mut [u8],
        room: Room,
    ) -> Result<usize, Corrupt> {
        let literals = literals.get(..parts.literals.saturating_add(SLACK));
        let literals = literals.ok_or(Corrupt)?;
        let sequences = sequences.get(..parts.sequences).ok_or(Corrupt)?;
        let extent = sequences::extent(output, room);
        if extent.len() < SHORT {
            self.execute::<false>(literals, sequences, output, room)
        } else {
            self.execute::<true>(literals, sequences, output, room)
        }
    }

    /// `LONG` says whether the extent is long enough for short sequences.
    fn execute<const LONG: bool>(
        &mut self,
        literals: &[u8],
        sequences: &[Sequence],
        output: &mut [u8],
        room: Room,
    ) -> Result<usize, Corrupt> {
        let extent = sequences::extent(output, room);
        let begin = extent.start;
        let output = output.get_mut(extent).ok_or(Corrupt)?;
        let limit = room.end.saturating_sub(begin);
        let mut at = room.start.saturating_sub(begin);
        let last = if LONG {
            output.len().checked_sub(SHORT).ok_or(Corrupt)?
        } else {
            0
        };
        let mut literals = literals;
        let mut repeats = self.repeats;
        for sequence in sequences {
            let (code, value) = sequence.offset();
            let none = sequence.literals_length == 0;
            let sequence = copy::Sequence {
                literals: sequence.literals_length as usize,
                matched: sequence.match_length as usize,
                distance: repeats.resolve(code, value, none)? as usize,
            };
            if sequence.distance > room.window {
                return Err(Corrupt);
            }
            if LONG && let Some(done) = copy::quick(output, at, literals, sequence, last) {
                (at, literals) = done;
            } else {
                at = copy::any(output, at, literals, sequence, limit)?;
                literals = literals.get(sequence.literals..).ok_or(Corrupt)?;
            }
        }
        self.repeats = repeats;
        let end = sequences::last_literals(literals, output, at, limit)?;
        Ok(end.wrapping_add(begin))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Blocks;
    use super::super::carried::Carried;
    use super::*;
    use crate::codec::zstd::frame::{BLOCK, Block, BlockType, Descriptor, Frame};
    use std::vec;
    use std::vec::Vec;

    /// Numbers that look random.
    struct Numbers(u32);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
            (self.0 >> 8) as usize % end
        }
    }

    /// Words of a language with some that are more frequent, lines that come again, and runs.
    fn content(size: usize, seed: u32) -> Vec<u8> {
        let mut numbers = Numbers(seed);
        let mut content: Vec<u8> = Vec::new();
        while content.len() < size {
            match numbers.below(40) {
                0 => content.extend(vec![b'-'; numbers.below(200)]),
                1..8 if content.len() > 100 => {
                    let from = numbers.below(content.len() - 50);
                    let piece = content[from..from + numbers.below(50)].to_vec();
                    content.extend(piece);
                }
                8 => content.extend((0..numbers.below(40)).map(|_| numbers.0.to_le_bytes()[2])),
                _ => {
                    let word = numbers.below(30) * numbers.below(30);
                    for letter in 0..word % 9 + 1 {
                        content.push(b'a' + (word * (letter + 3) % 26).to_le_bytes()[0]);
                    }
                    content.push(b' ');
                }
            }
        }
        content.truncate(size);
        content
    }

    fn compressed(content: &[u8], level: i32, window: u32) -> Vec<u8> {
        let mut encoder = zstd::bulk::Compressor::new(level).unwrap();
        encoder.include_checksum(false).unwrap();
        encoder.window_log(window).unwrap();
        encoder.compress(content).unwrap()
    }

    /// A block that was found.
    #[derive(Clone, Copy)]
    struct Scanned<'a> {
        block: Block,
        body: &'a [u8],
    }

    /// Takes a block off the front of `data`, if there is one.
    fn scan<'a>(data: &mut &'a [u8], maximum: usize) -> Option<Scanned<'a>> {
        let (header, rest) = data.split_first_chunk::<3>()?;
        let block = Block::read(*header, maximum).ok()?;
        let (body, rest) = rest.split_at_checked(block.wire_size())?;
        *data = rest;
        Some(Scanned { block, body })
    }

    /// Decodes the compressed blocks with what is given, all others plainly, into memory of this
    /// size and of so much more.
    fn decoded(
        frame: &[u8],
        size: usize,
        more: usize,
        mut decode: impl FnMut(Scanned<'_>, &mut [u8], Room) -> Result<usize, Corrupt>,
    ) -> Option<Vec<u8>> {
        let rest = frame.get(4..)?;
        let length = Descriptor(*rest.first()?).header_length();
        let (header, mut rest) = rest.split_at_checked(length)?;
        let frame = Frame::read(header, u64::MAX).ok()?;
        let mut output = vec![0; size + more];
        let mut at = 0;
        loop {
            let scanned = scan(&mut rest, frame.block_maximum())?;
            let room = Room {
                start: at,
                end: (at + frame.block_maximum()).min(size),
                history: at,
                window: usize::try_from(frame.window).unwrap(),
            };
            let Block { kind, size, last } = scanned.block;
            at = match kind {
                BlockType::Compressed => decode(scanned, &mut output, room).ok()?,
                BlockType::Raw => {
                    let place = output[..room.end].get_mut(at..at + size)?;
                    place.copy_from_slice(scanned.body);
                    at + size
                }
                BlockType::Rle => {
                    let place = output[..room.end].get_mut(at..at + size)?;
                    place.fill(scanned.body[0]);
                    at + size
                }
            };
            if last {
                output.truncate(at);
                return Some(output);
            }
        }
    }

    struct Both {
        blocks: Blocks,
        entropy: Entropy,
        execution: Execution,
        scratch: Vec<u8>,
        sequences: Vec<Sequence>,
    }

    impl Both {
        fn new() -> Self {
            Self {
                blocks: Blocks::new(),
                entropy: Entropy::new(),
                execution: Execution::new(),
                scratch: vec![0; BLOCK + SLACK],
                sequences: vec![Sequence::default(); most_sequences(BLOCK)],
            }
        }

        fn fused(&mut self, frame: &[u8], size: usize, more: usize) -> Option<Vec<u8>> {
            self.blocks.reset();
            decoded(frame, size, more, |scanned, output, room| {
                self.blocks
                    .decode(scanned.body, &mut self.scratch, output, room)
            })
        }

        fn phases(&mut self, frame: &[u8], size: usize, more: usize) -> Option<Vec<u8>> {
            self.entropy.reset();
            self.execution.reset();
            decoded(frame, size, more, |scanned, output, room| {
                let parts =
                    self.entropy
                        .decode(scanned.body, &mut self.scratch, &mut self.sequences)?;
                self.execution
                    .run(parts, &self.scratch, &self.sequences, output, room)
            })
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "libzstd makes the frames")]
    fn both_give_what_was_compressed() {
        let mut both = Both::new();
        for (number, size) in [0, 1, 5, 60, 700, 5000, 140_000, 700_000]
            .iter()
            .enumerate()
        {
            let content = content(*size, 7 + number as u32);
            for level in [-5, 1, 3, 9, 19] {
                for window in [10, 17, 20] {
                    let frame = compressed(&content, level, window);
                    for more in [0, 20, SLACK, 1000] {
                        assert!(both.fused(&frame, *size, more).as_ref() == Some(&content));
                        assert!(both.phases(&frame, *size, more).as_ref() == Some(&content));
                    }
                    if *size > 0 {
                        assert_eq!(both.fused(&frame, size - 1, 100), None);
                        assert_eq!(both.phases(&frame, size - 1, 100), None);
                    }
                }
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "libzstd makes the frames")]
    fn both_refuse_the_same() {
        let mut both = Both::new();
        let mut numbers = Numbers(99);
        let (mut taken, mut refused) = (0, 0);
        for round in 0..60 {
            let size = 30 + numbers.below(3000);
            let content = content(size, round);
            let frame = compressed(&content, [1, 3, 19][round as usize % 3], 12);
            for _ in 0..60 {
                let mut bent = frame.clone();
                for _ in 0..=numbers.below(3) {
                    let place = 6 + numbers.below(bent.len() - 6);
                    bent[place] ^= 1 << numbers.below(8);
                }
                let more = numbers.below(100);
                let fused = both.fused(&bent, size, more);
                assert!(fused == both.phases(&bent, size, more), "{bent:?}");
                if fused.is_some() {
                    taken += 1;
                } else {
                    refused += 1;
                }
            }
        }
        assert!(taken > 100 && refused > 1000, "{taken} {refused}");
    }

    /// Each block by a decoder of its own, with what the blocks before it carried along.
    #[test]
    #[cfg_attr(miri, ignore = "libzstd makes the frames")]
    fn blocks_that_take_tables_from_others() {
        let content = content(900_000, 3);
        let mut both = Both::new();
        for level in [1, 3, 12, 19] {
            let frame = compressed(&content, level, 20);
            let (mut carried, mut needed) = (Carried::new(), 0);
            both.execution.reset();
            let phases = decoded(&frame, content.len(), 0, |scanned, output, room| {
                let mut entropy = Entropy::new();
                let before = carried.clone();
                let uses = carried.note(scanned.body)?;
                entropy.load(&before, uses.needs)?;
                needed += usize::from(uses.needs != Shared::NONE);
                let parts = entropy.decode(scanned.body, &mut both.scratch, &mut both.sequences)?;
                both.execution
                    .run(parts, &both.scratch, &both.sequences, output, room)
            });
            assert!(phases.as_ref() == Some(&content));
            assert!(needed > 0 || level < 12, "{level}");
        }
    }

    #[test]
    fn which_tables_are_shared() {
        assert!(!Shared::NONE.has_tree() && !Shared::NONE.has_codes());
        assert!(Shared::TREE.has_tree() && !Shared::TREE.has_codes());
        for codes in Shared::CODES {
            assert!(!codes.has_tree() && codes.has_codes());
            let both = codes.with(Shared::TREE);
            assert!(both.has_tree() && both.has_codes());
        }
    }

    #[test]
    fn what_a_block_needs() {
        let of = |body: &[u8]| Carried::new().note(body);
        // Raw literals, none; one sequence; modes, and a code where one alone is stated.
        let uses = |modes| of(&[0, 1, modes, 5, 6, 7]).unwrap();
        let [literals, offsets, matches] = Shared::CODES;
        let codes = literals.with(offsets).with(matches);
        for modes in [0, 0x54] {
            assert_eq!(uses(modes).needs, Shared::NONE);
            assert_eq!(uses(modes).makes, codes);
        }
        assert_eq!(uses(0xFC).needs, codes);
        assert_eq!(uses(0xFC).makes, Shared::NONE);
        assert_eq!(uses(0xC0).needs, literals);
        assert_eq!(uses(0x30).needs, offsets);
        assert_eq!(uses(0x0C).needs, matches);
        assert_eq!(uses(0x0C).makes, literals.with(offsets));
        assert_eq!(of(&[0, 1, 1]), Err(Corrupt));
        assert_eq!(of(&[0, 1]), Err(Corrupt));
        assert_eq!(of(&[0]), Err(Corrupt));
        assert_eq!(of(&[]), Err(Corrupt));
        assert_eq!(of(&[0, 1, 0x54, 5, 6]), Err(Corrupt));
        // A byte that is repeated, which is there or not; three that are.
        assert_eq!(of(&[0x11, 9, 0]), Ok(Uses::default()));
        assert_eq!(of(&[0x11]), Err(Corrupt));
        assert_eq!(of(&[3 << 3, 1, 2, 3, 0]), Ok(Uses::default()));
        assert_eq!(of(&[3 << 3, 1, 2]), Err(Corrupt));
        // With a tree of two bytes, and no sequence; with one and all tables; with the tree
        // before.
        let tree = [0x12, 0x80, 0, 128, 0x10];
        let with = |behind: &[u8]| of(&[&tree, behind].concat());
        assert_eq!(with(&[0]).unwrap().makes, Shared::TREE);
        let all = with(&[1, 0x54, 5, 6, 7]).unwrap();
        assert_eq!(
            (all.needs, all.makes),
            (Shared::NONE, codes.with(Shared::TREE))
        );
        let treeless = of(&[0x13, 0x80, 0, 9, 9, 1, 0x54, 5, 6, 7]).unwrap();
        assert_eq!(treeless.needs, Shared::TREE);
        assert_eq!(treeless.needs_beside(Shared::TREE), Shared::NONE);
        assert_eq!(treeless.needs_beside(codes), Shared::TREE);
    }

    #[test]
    #[cfg_attr(miri, ignore = "libzstd makes the frames")]
    fn more_sequences_than_fit_are_refused() {
        let content = content(20_000, 1);
        let frame = compressed(&content, 3, 17);
        let mut data = &frame[4 + Descriptor(frame[4]).header_length()..];
        let body = scan(&mut data, BLOCK).unwrap().body;
        let mut both = Both::new();
        let parts = both
            .entropy
            .decode(body, &mut both.scratch, &mut both.sequences)
            .unwrap();
        assert!(parts.sequences > 100 && parts.literals > 100);
        let fewer = &mut both.sequences[..parts.sequences - 1];
        let refused = both.entropy.decode(body, &mut both.scratch, fewer);
        assert_eq!(refused, Err(Corrupt));
        let less = &mut both.scratch[..parts.literals + SLACK - 1];
        let refused = both.entropy.decode(body, less, &mut both.sequences);
        assert_eq!(refused, Err(Corrupt));
    }
}
