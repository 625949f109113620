//! Streams with other bytes than they were made with, where their parts begin and anywhere.

use super::Stream;
use super::dice::Dice;

/// Changes a byte or a few, or the length.
pub fn bytes(dice: &mut Dice<'_>, stream: &Stream, to: &mut Vec<u8>) {
    to.clone_from(&stream.bytes);
    for _ in 0..=dice.small(3) {
        if to.is_empty() {
            return;
        }
        let place = if dice.one_in(2) && !stream.marks.is_empty() {
            let mark = dice.pick(&stream.marks);
            // The part's first bytes, or the last ones of the part before.
            (mark + dice.below(8)).saturating_sub(2).min(to.len() - 1)
        } else {
            dice.below(to.len())
        };
        match dice.below(16) {
            0 => {
                to.remove(place);
            }
            1 => to.insert(place, dice.bits(8) as u8),
            2 => to.truncate(to.len() - 1 - dice.small(to.len().min(8))),
            3 => to.push(dice.bits(8) as u8),
            4 => to[place] = 0,
            5 => to[place] = dice.bits(8) as u8,
            6 => to[place] = to[place].wrapping_add(1),
            7 => to[place] = to[place].wrapping_sub(1),
            8 => {
                let other = dice.below(to.len());
                to.swap(place, other);
            }
            _ => to[place] ^= 1 << dice.below(8),
        }
    }
}
