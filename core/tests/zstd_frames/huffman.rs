//! Huffman trees, RFC 8878 section 4.2: their descriptions, and streams of symbols.

use super::bits::Reverse;
use super::dice::Dice;
use super::fse::Distribution;

/// A tree: for each symbol the length of its code, none where it has none.
#[derive(Clone, Debug)]
pub struct Tree {
    weights: Vec<u8>,
    /// Value and length.
    codes: [(u16, u8); 256],
    /// The symbols that have a code.
    pub symbols: Vec<u8>,
}

impl Tree {
    /// Any of codes of up to so many bits.
    pub fn random(deepest: u8, dice: &mut Dice<'_>) -> Self {
        let most = if dice.one_in(40) { 256 } else { 20 };
        let leaves = 2 + dice.small(most - 1);
        let mut depths = vec![1_u8, 1];
        // Some are skewed: always the same leaf is split.
        let skewed = dice.one_in(3);
        while depths.len() < leaves {
            let place = if skewed {
                depths.len() - 1
            } else {
                dice.below(depths.len())
            };
            if depths[place] < deepest {
                depths[place] += 1;
                depths.push(depths[place]);
            } else if let Some(depth) = depths.iter_mut().find(|depth| **depth < deepest) {
                *depth += 1;
                let depth = *depth;
                depths.push(depth);
            } else {
                break;
            }
        }
        let last = depths.len() - 1 + dice.small(257 - depths.len());
        let longest = depths.iter().copied().max().unwrap_or(1);
        let mut weights = vec![0; last + 1];
        // Which symbols have a code: the last one, and others.
        let mut others: Vec<usize> = (0..last).collect();
        let mut place = last;
        for depth in depths {
            weights[place] = longest + 1 - depth;
            if !others.is_empty() {
                place = others.swap_remove(dice.below(others.len()));
            }
        }
        Self::of(weights)
    }

    /// The one of these weights, which must be a tree's.
    pub fn of(weights: Vec<u8>) -> Self {
        let sum: u32 = weights.iter().map(|weight| (1 << weight) >> 1).sum();
        let longest = sum.ilog2() as u8;
        let mut codes = [(0, 0); 256];
        let mut place = 0_u32;
        for weight in 1..=longest {
            for (symbol, _) in weights.iter().enumerate().filter(|(_, w)| **w == weight) {
                codes[symbol] = ((place >> (weight - 1)) as u16, longest + 1 - weight);
                place += 1 << (weight - 1);
            }
        }
        let symbols = (0..=255)
            .zip(&weights)
            .filter_map(|(symbol, weight)| (*weight > 0).then_some(symbol))
            .collect();
        Self {
            weights,
            codes,
            symbols,
        }
    }

    /// The description; nothing where the form that was chosen has none for this tree. Weights are
    /// below `weights_end`.
    pub fn describe(
        &self,
        direct: bool,
        weights_end: usize,
        dice: &mut Dice<'_>,
    ) -> Option<Vec<u8>> {
        // The last weight is not stated.
        let stated = &self.weights[..self.weights.len() - 1];
        if direct {
            return (stated.len() <= 128).then(|| describe_direct(stated));
        }
        let bytes = describe_compressed(stated, weights_end, dice)?;
        (bytes.len() < 128).then(|| {
            let mut description = vec![bytes.len() as u8];
            description.extend(bytes);
            description
        })
    }

    /// The symbol of a code, if it is one.
    pub fn symbol(&self, code: u16, length: u8) -> Option<u8> {
        let is = |symbol: &&u8| self.codes[usize::from(**symbol)] == (code, length);
        self.symbols.iter().find(is).copied()
    }

    /// A stream of these symbols.
    pub fn stream(&self, symbols: &[u8]) -> Reverse {
        let mut stream = Reverse::default();
        for symbol in symbols {
            let (code, length) = self.codes[usize::from(*symbol)];
            stream.push(code.into(), length);
        }
        stream
    }
}

/// Section 4.2.1.1.
fn describe_direct(weights: &[u8]) -> Vec<u8> {
    let mut description = vec![127 + weights.len() as u8];
    description.extend(
        weights
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0)),
    );
    description
}

/// Section 4.2.1.2. The distribution may have weights below `weights_end` that do not occur.
fn describe_compressed(weights: &[u8], weights_end: usize, dice: &mut Dice<'_>) -> Option<Vec<u8>> {
    let (before, last) = weights
        .split_last_chunk::<2>()
        .map(|(_, last)| last)
        .map(|[a, b]| (*a, *b))?;
    let mut occur: Vec<u8> = (0..=12_u8)
        .filter(|weight| weights.contains(weight))
        .collect();
    // One alone needs no bits, and the end would not be seen; some have more than occur.
    while occur.len() < 2 || dice.one_in(8) {
        let more = dice.below(weights_end) as u8;
        if !occur.contains(&more) {
            occur.push(more);
        }
    }
    let distribution = Distribution::random(&occur, 5 + dice.bits(1), dice);
    let table = distribution.table();
    // Two states in turn. The stream ends where the bits do not suffice for another state.
    let even: Vec<u8> = weights.iter().copied().step_by(2).collect();
    let odd: Vec<u8> = weights.iter().copied().skip(1).step_by(2).collect();
    let last_before = table.last(before, 1, dice)?;
    let last = table.last(last, 0, dice)?;
    let (even_last, odd_last) = if weights.len().is_multiple_of(2) {
        (last_before, last)
    } else {
        (last, last_before)
    };
    let (first, even) = table.encode(&even, even_last);
    let (second, odd) = table.encode(&odd, odd_last);
    let mut stream = Reverse::default();
    stream.push(first.into(), table.log as u8);
    stream.push(second.into(), table.log as u8);
    let mut turns = [even.into_iter(), odd.into_iter()];
    for turn in 0..weights.len() - 2 {
        let (value, bits) = turns[turn % 2].next()?;
        stream.push(value, bits);
    }
    let mut description = distribution.describe();
    description.extend(stream.finish());
    Some(description)
}
