//! Sequences sections, RFC 8878 section 3.1.1.3.2, and what sequences do, sections 3.1.1.4 and
//! 3.1.1.5.

use std::rc::Rc;
use std::sync::LazyLock;

use super::Maker;
use super::bits::Reverse;
use super::block::Blocks;
use super::fse::{Distribution, Table};

/// Base and number of extra bits of each code of literals lengths.
pub const LITERALS: [(usize, u8); 36] = {
    let mut codes = [(0, 0); 36];
    let (mut code, mut base) = (0, 0);
    while code < 36 {
        let bits = match code {
            0..16 => 0,
            16..20 => 1,
            20..22 => 2,
            22..24 => 3,
            24 => 4,
            // 64 on, each twice as far as the last.
            _ => code as u8 - 19,
        };
        codes[code] = (base, bits);
        base += 1 << bits;
        code += 1;
    }
    codes
};

/// The same of match lengths.
pub const MATCHES: [(usize, u8); 53] = {
    let mut codes = [(0, 0); 53];
    let (mut code, mut base) = (0, 3);
    while code < 53 {
        let bits = match code {
            0..32 => 0,
            32..36 => 1,
            36..38 => 2,
            38..40 => 3,
            40..42 => 4,
            42 => 5,
            _ => code as u8 - 36,
        };
        codes[code] = (base, bits);
        base += 1 << bits;
        code += 1;
    }
    codes
};

/// How many codes of offsets libzstd knows.
const OFFSETS: u8 = 32;

/// The predefined tables, section 3.1.1.3.2.2.
pub static PREDEFINED: LazyLock<[Distribution; 3]> = LazyLock::new(|| {
    let counts = |runs: &[(usize, i16)]| {
        let counts = runs.iter().flat_map(|(times, count)| vec![*count; *times]);
        counts.collect::<Vec<_>>()
    };
    [
        (
            counts(&[
                (1, 4),
                (1, 3),
                (11, 2),
                (3, 1),
                (9, 2),
                (1, 3),
                (1, 2),
                (5, 1),
                (4, -1),
            ]),
            6,
        ),
        (counts(&[(6, 1), (3, 2), (15, 1), (5, -1)]), 5),
        (
            counts(&[(1, 1), (1, 4), (1, 3), (6, 2), (37, 1), (7, -1)]),
            6,
        ),
    ]
    .map(|(counts, log)| Distribution { counts, log })
});

/// How a table is given.
#[derive(Clone, Debug)]
enum Mode {
    Predefined,
    One(u8),
    Described(Distribution),
    Repeat,
}

/// A sequence, by its codes and extra bits.
#[derive(Clone, Copy, Debug)]
struct Sequence {
    codes: [u8; 3],
    extra: [u32; 3],
    literals: usize,
    offset: usize,
    length: usize,
}

/// What the sequences of a block are to be.
#[derive(Clone, Debug)]
pub struct Plan {
    sequences: Vec<Sequence>,
    modes: [Mode; 3],
    tables: [Rc<Table>; 3],
    /// How many literals they take.
    pub literals: usize,
    /// What they make, literals included.
    pub length: usize,
}

/// Chooses tables, and sequences that make up to `most` bytes.
pub fn plan(maker: &mut Maker<'_, '_>, blocks: &mut Blocks, most: usize) -> Plan {
    let chosen = [0, 1, 2].map(|which| table(maker, blocks, which));
    let [a, b, c] = chosen;
    let mut plan = Plan {
        sequences: Vec::new(),
        tables: [a.1, b.1, c.1],
        modes: [a.0, b.0, c.0],
        literals: 0,
        length: 0,
    };
    let count = match maker.dice.below(2000) {
        0 => 200 + maker.dice.small(600),
        // So many that their number takes three bytes.
        1 if maker.dice.one_in(20) => 0x7F00 + maker.dice.small(1000),
        2..300 => 0,
        300..500 => maker.dice.small(60),
        _ => 1 + maker.dice.small(8),
    };
    // Small ones, where there are to be many.
    let small = count > 60;
    for _ in 0..count {
        let at = blocks.content.len() + plan.length;
        let left = most - plan.length;
        let sequence = (0..4).find_map(|attempt| {
            let tables = &plan.tables;
            sequence(maker, blocks, tables, at, left, small || attempt == 3)
        });
        let Some(sequence) = sequence else {
            break;
        };
        plan.literals += sequence.literals;
        plan.length += sequence.literals + sequence.length;
        plan.sequences.push(sequence);
    }
    plan
}

/// Chooses how a table is given.
fn table(maker: &mut Maker<'_, '_>, blocks: &Blocks, which: usize) -> (Mode, Rc<Table>) {
    let codes = [36, OFFSETS, 53][which];
    let repeat = blocks.tables[which].clone();
    match maker.dice.below(8) {
        0 => {
            let code = if maker.bend(20) {
                maker.dice.bits(8) as u8
            } else {
                maker.dice.small(24) as u8
            };
            let known = code.min(codes - 1);
            (Mode::One(code), Rc::new(Table::only(known)))
        }
        1..4 if repeat.is_some() || maker.bend(30) => {
            let table = repeat.unwrap_or_else(|| Rc::new(PREDEFINED[which].table()));
            (Mode::Repeat, table)
        }
        4..7 => {
            let most = if maker.bend(40) { codes + 4 } else { codes };
            let mut symbols = vec![maker.dice.small(most.into()) as u8];
            for _ in 0..maker.dice.small(14) {
                let symbol = maker.dice.small(most.into()) as u8;
                if !symbols.contains(&symbol) {
                    symbols.push(symbol);
                }
            }
            let largest = [9, 8, 9][which] + u32::from(maker.bend(40));
            let log = 5 + maker.dice.small(largest as usize - 4) as u32;
            let mut distribution = Distribution::random(&symbols, log, maker.dice);
            let table = Rc::new(distribution.table());
            if maker.bend(40) {
                let place = maker.dice.below(distribution.counts.len());
                distribution.counts[place] += [1, -1, 2, 100][maker.dice.below(4)];
                distribution.counts[place] = distribution.counts[place].max(-1);
            }
            (Mode::Described(distribution), table)
        }
        _ => (Mode::Predefined, Rc::new(PREDEFINED[which].table())),
    }
}

/// A code of these, rather the first ones.
fn code(maker: &mut Maker<'_, '_>, table: &Table, smallest: bool) -> u8 {
    let symbols = &table.symbols;
    let end = if smallest { 1 } else { symbols.len() };
    symbols[maker.dice.small(end)]
}

/// What a code and any extra bits stand for.
fn value(
    maker: &mut Maker<'_, '_>,
    codes: &[(usize, u8)],
    code: u8,
    most: usize,
) -> Option<(u32, usize)> {
    let (base, bits) = *codes.get(usize::from(code))?;
    let room = most.checked_sub(base)?;
    let extra = match maker.dice.below(4) {
        0 => 0,
        1 => room.min((1 << bits) - 1),
        _ => maker.dice.below(room.min((1 << bits) - 1) + 1),
    };
    Some((extra as u32, base + extra))
}

/// A sequence that fits, if the dice find one.
fn sequence(
    maker: &mut Maker<'_, '_>,
    blocks: &mut Blocks,
    tables: &[Rc<Table>; 3],
    at: usize,
    left: usize,
    smallest: bool,
) -> Option<Sequence> {
    let literals_code = code(maker, &tables[0], smallest);
    let match_code = code(maker, &tables[2], smallest);
    let most = left.checked_sub(MATCHES.get(usize::from(match_code))?.0)?;
    let (literals_extra, literals) = value(maker, &LITERALS, literals_code, most)?;
    let (match_extra, length) = value(maker, &MATCHES, match_code, left - literals)?;
    // Over the end of the block, where that is bent.
    let (literals_extra, match_extra) = if maker.bend(400) {
        let bits = [
            LITERALS[usize::from(literals_code)].1,
            MATCHES[usize::from(match_code)].1,
        ];
        (
            maker.dice.bits(bits[0].into()),
            maker.dice.bits(bits[1].into()),
        )
    } else {
        (literals_extra, match_extra)
    };
    let reach = (at + literals).min(blocks.window);
    let (offset_code, offset_extra) = offset_code(maker, &tables[1], reach)?;
    // A bent table may have codes that there are not.
    let value = 1_u32.checked_shl(offset_code.into())?;
    let value = value.wrapping_add(offset_extra);
    let (offset, repeats) = repeat(blocks.repeats, value, literals == 0);
    if (offset == 0 || offset as usize > reach) && !maker.bend(8) {
        return None;
    }
    blocks.repeats = repeats;
    Some(Sequence {
        codes: [literals_code, offset_code, match_code],
        extra: [literals_extra, offset_extra, match_extra],
        literals,
        offset: offset as usize,
        length,
    })
}

/// The code of an offset and its extra bits: any, a repeat offset, or as far as it goes.
fn offset_code(maker: &mut Maker<'_, '_>, table: &Table, reach: usize) -> Option<(u8, u32)> {
    if maker.dice.one_in(4) || maker.bend(60) {
        // To the very edge, or over it.
        let over = if maker.bend(2) {
            1 + maker.dice.small(3)
        } else {
            0
        };
        let value = (reach + over).min(1 << 30) as u32 + 3;
        let code = value.ilog2() as u8;
        if table.symbols.contains(&code) {
            return Some((code, value - (1 << code)));
        }
    }
    let code = code(maker, table, false);
    if code < 32 && maker.bend(100) {
        return Some((code, maker.dice.bits(code.into())));
    }
    // What its smallest value reaches back to.
    let room = (reach + 3).checked_sub(1 << code)?;
    let most = room.min((1 << code) - 1);
    Some((code, maker.dice.below(most + 1) as u32))
}

/// The offset that a value stands for, and the repeat offsets behind it, section 3.1.1.5.
pub fn repeat(repeats: [u32; 3], value: u32, none: bool) -> (u32, [u32; 3]) {
    let [first, second, third] = repeats;
    let value = if value <= 3 {
        value + u32::from(none)
    } else {
        value.wrapping_add(1)
    };
    // From here on: 1 to 3 the repeat offsets, 4 the first less one, others new.
    match value {
        1 => (first, repeats),
        2 => (second, [second, first, third]),
        3 => (third, [third, first, second]),
        4 => {
            let offset = first.wrapping_sub(1);
            (offset, [offset, first, second])
        }
        _ => {
            let offset = value.wrapping_sub(4);
            (offset, [offset, first, second])
        }
    }
}

impl Plan {
    /// Writes the section.
    pub fn section(
        &self,
        maker: &mut Maker<'_, '_>,
        blocks: &mut Blocks,
        to: &mut Vec<u8>,
        marks: &mut Vec<usize>,
    ) {
        let count = self.sequences.len();
        let stated = if maker.bend(40) {
            maker.beside(count)
        } else {
            count
        };
        number(maker, stated, to);
        if count == 0 && !maker.bend(20) {
            return;
        }
        let mut modes = 0;
        let mut descriptions = Vec::new();
        for (which, shift) in [6, 4, 2].into_iter().enumerate() {
            modes |= match &self.modes[which] {
                Mode::Predefined => 0,
                Mode::One(code) => {
                    descriptions.push(*code);
                    1
                }
                Mode::Described(distribution) => {
                    descriptions.extend(distribution.describe());
                    2
                }
                Mode::Repeat => 3,
            } << shift;
            blocks.tables[which] = Some(self.tables[which].clone());
        }
        if maker.bend(60) {
            modes |= 1 + maker.dice.below(3) as u8;
        }
        to.push(modes);
        marks.push(to.len());
        to.extend(descriptions);
        marks.push(to.len());
        to.extend(self.stream(maker));
    }

    /// The bit stream.
    fn stream(&self, maker: &mut Maker<'_, '_>) -> Vec<u8> {
        let mut stream = Reverse::default();
        let Some(end) = self.sequences.last() else {
            return stream.finish();
        };
        let mut states = Vec::new();
        for which in 0..3 {
            let codes: Vec<u8> = self.sequences.iter().map(|s| s.codes[which]).collect();
            let table = &self.tables[which];
            let last = table.last(end.codes[which], 0, maker.dice).unwrap_or(0);
            let (first, fields) = table.encode(&codes, last);
            stream.push(first.into(), table.log as u8);
            states.push(fields);
        }
        for (number, sequence) in self.sequences.iter().enumerate() {
            let [literals, offset, length] = sequence.codes;
            stream.push(sequence.extra[1], offset);
            stream.push(sequence.extra[2], MATCHES[usize::from(length)].1);
            stream.push(sequence.extra[0], LITERALS[usize::from(literals)].1);
            for which in [0, 2, 1] {
                if let Some((value, bits)) = states[which].get(number) {
                    stream.push(*value, *bits);
                }
            }
        }
        if maker.bend(30) {
            stream.push(maker.dice.bits(16), 1 + maker.dice.small(16) as u8);
        }
        if maker.bend(30) {
            stream.pop();
        }
        let mut bytes = stream.finish();
        if maker.bend(60) {
            bytes.push(maker.dice.small(3) as u8);
        }
        bytes
    }

    /// What they make of the literals; what is bent is left out.
    pub fn execute(&self, mut literals: &[u8], content: &mut Vec<u8>) {
        for sequence in &self.sequences {
            let (taken, rest) = literals.split_at(sequence.literals.min(literals.len()));
            content.extend(taken);
            literals = rest;
            for _ in 0..sequence.length {
                let from = content.len().wrapping_sub(sequence.offset);
                content.push(content.get(from).copied().unwrap_or(0));
            }
        }
        content.extend(literals);
    }
}

/// `Number_of_Sequences`.
fn number(maker: &mut Maker<'_, '_>, count: usize, to: &mut Vec<u8>) {
    match count {
        0..128 if count == 0 || !maker.dice.one_in(16) => to.push(count as u8),
        // The form of two bytes can have small numbers too.
        0..0x7F00 => to.extend([128 + (count >> 8) as u8, count as u8]),
        _ => {
            to.push(255);
            to.extend(&(count - 0x7F00).to_le_bytes()[..2]);
        }
    }
}
