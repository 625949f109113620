//! Descriptions of the tables that blocks share, carried along without making the tables: so that
//! entropy decoding can begin at any block.

use super::Corrupt;
use super::fse::Distribution;
use super::huffman;
use super::literals::Header;
use super::phases::{Entropy, Shared, Uses};
use super::tables::{self, ALPHABETS, Modes};
use crate::bytes;

/// The longest description of a code's table, in bytes. Each of up to 53 symbols takes 10 bits at
/// most, and what repeats it two more.
const DESCRIPTION: usize = 96;

/// How the table of a code was made.
#[derive(Clone, Copy, Debug)]
enum Code {
    /// Not yet.
    None,
    Predefined,
    /// Of one symbol.
    One(u8),
    /// From so many bytes.
    Described(u8, [u8; DESCRIPTION]),
}

/// What the blocks of a frame have left behind.
#[derive(Clone, Debug)]
pub(in crate::codec::zstd) struct Carried {
    /// The description of the tree, and its size; none is empty.
    tree: [u8; huffman::DESCRIPTION],
    tree_size: usize,
    /// Literals lengths, offsets, match lengths.
    codes: [Code; 3],
}

/// Cuts so many bytes off the front.
fn cut<'a>(data: &mut &'a [u8], size: usize) -> Result<&'a [u8], Corrupt> {
    let (front, rest) = data.split_at_checked(size).ok_or(Corrupt)?;
    *data = rest;
    Ok(front)
}

impl Carried {
    pub(in crate::codec::zstd) const fn new() -> Self {
        Self {
            tree: [0; huffman::DESCRIPTION],
            tree_size: 0,
            codes: [Code::None; 3],
        }
    }

    /// Takes note of a compressed block, and says what it does with the tables.
    ///
    /// # Errors
    ///
    /// When its headers or descriptions are not what the specification says. Entropy decoding
    /// refuses that block, so nothing behind it matters.
    pub(in crate::codec::zstd) fn note(&mut self, body: &[u8]) -> Result<Uses, Corrupt> {
        let header = Header::read(body)?;
        let mut data = body.get(header.length..).ok_or(Corrupt)?;
        let mut uses = Uses::default();
        match header.kind {
            0 => {
                cut(&mut data, header.size)?;
            }
            1 => {
                cut(&mut data, 1)?;
            }
            2 => {
                let literals = cut(&mut data, header.compressed)?;
                let size = huffman::description_size(literals).ok_or(Corrupt)?;
                bytes::copy(literals.get(..size).ok_or(Corrupt)?, &mut self.tree);
                self.tree_size = size;
                uses.make(Shared::TREE);
            }
            _ => {
                cut(&mut data, header.compressed)?;
                uses.need(Shared::TREE);
            }
        }
        if tables::count(&mut data)? > 0 {
            let modes = Modes::read(&mut data)?;
            let modes = [modes.literals, modes.offsets, modes.matches];
            let codes = self.codes.iter_mut().zip(Shared::CODES);
            for (((code, table), mode), alphabet) in codes.zip(modes).zip(ALPHABETS) {
                *code = match mode {
                    0 => Code::Predefined,
                    1 => Code::One(*cut(&mut data, 1)?.first().ok_or(Corrupt)?),
                    2 => {
                        let (symbols, log) = alphabet.bounds();
                        let (_, size) = Distribution::read(data, symbols, log)?;
                        let mut description = [0; DESCRIPTION];
                        if size > DESCRIPTION {
                            return Err(Corrupt);
                        }
                        bytes::copy(cut(&mut data, size)?, &mut description);
                        let size = u8::try_from(size).map_err(|_| Corrupt)?;
                        Code::Described(size, description)
                    }
                    _ => {
                        uses.need(table);
                        continue;
                    }
                };
                uses.make(table);
            }
        }
        Ok(uses)
    }
}

impl Entropy {
    /// Makes those tables that are `needed`, as the blocks before left them. A table that was
    /// not made yet is none here either.
    ///
    /// # Errors
    ///
    /// When a description is wrong.
    pub(in crate::codec::zstd) fn load(
        &mut self,
        carried: &Carried,
        needed: Shared,
    ) -> Result<(), Corrupt> {
        let Carried {
            tree,
            tree_size,
            codes,
        } = carried;
        if needed.has_tree() && *tree_size > 0 {
            self.plant(tree.get(..*tree_size).ok_or(Corrupt)?)?;
        }
        if !needed.has_codes() || codes.iter().any(|code| matches!(code, Code::None)) {
            return Ok(());
        }
        // As a block would state them: the modes, and the descriptions behind each other.
        let mut data = [0; 3 * DESCRIPTION];
        let mut room = data.as_mut_slice();
        let mut modes = [0; 3];
        for (code, mode) in codes.iter().zip(&mut modes) {
            let described;
            (*mode, described) = match code {
                Code::None | Code::Predefined => (0, &[][..]),
                Code::One(symbol) => (1, core::slice::from_ref(symbol)),
                Code::Described(size, bytes) => {
                    (2, bytes.get(..usize::from(*size)).ok_or(Corrupt)?)
                }
            };
            let copied = bytes::copy(described, room);
            room = room.get_mut(copied..).ok_or(Corrupt)?;
        }
        let [literals, offsets, matches] = modes;
        self.set(
            Modes {
                literals,
                offsets,
                matches,
            },
            &data,
        )
    }
}
