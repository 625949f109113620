//! The header of a gzip member, from behind its magic to the start of its deflate stream.
//!
//! RFC 1952 section 2.3. Every field may arrive in any pieces; nothing of it is kept, so that
//! a name of any length costs no memory.

use super::crc::crc32;
use crate::bytes::Gather;
use crate::{At, Code, Error, Value};

/// ID1 and ID2, RFC 1952 section 2.3.1.
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// RFC 1952 section 2.3.1, FLG: a CRC-16 of the header follows it.
const FHCRC: u8 = 1 << 1;
/// An extra field is present.
const FEXTRA: u8 = 1 << 2;
/// A file name is present.
const FNAME: u8 = 1 << 3;
/// A comment is present.
const FCOMMENT: u8 = 1 << 4;
/// "Reserved FLG bits must be zero" (bit 5 was gzip's own mark for encryption).
const RESERVED: u8 = 0b1110_0000;

/// The only compression method of RFC 1952: deflate.
const DEFLATE: u8 = 8;

/// The field that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// CM.
    Method,
    /// FLG.
    Flags,
    /// MTIME, XFL and OS: so many bytes of them are still to come.
    Times(u8),
    /// XLEN.
    ExtraLength,
    /// The extra field: so many bytes of it are still to come.
    Extra(u16),
    /// The file name, up to its zero byte.
    Name,
    /// The comment, up to its zero byte.
    Comment,
    /// CRC16.
    Crc,
    /// None: the header is complete.
    End,
}

/// The state of reading one header. It starts behind the two bytes of the magic.
#[derive(Clone, Debug)]
pub(super) struct Header {
    field: Field,
    flags: u8,
    /// CRC-32 over the header so far, the magic included, CRC16 itself not.
    crc: u32,
    /// The two bytes of XLEN or of CRC16.
    pair: Gather<2>,
}

impl Header {
    pub(super) fn new() -> Self {
        Self {
            field: Field::Method,
            flags: 0,
            crc: crc32(0, &MAGIC),
            pair: Gather::new(),
        }
    }

    pub(super) const fn is_complete(&self) -> bool {
        matches!(self.field, Field::End)
    }

    /// Takes what belongs to the header from the start of `input`, which lies at `offset` in
    /// the blob, and returns how many bytes that were: fewer than given only when the header
    /// is complete.
    pub(super) fn push(&mut self, input: &[u8], offset: u64) -> Result<usize, Error> {
        let mut rest = input;
        while !self.is_complete() && !rest.is_empty() {
            let at = offset.saturating_add(input.len().saturating_sub(rest.len()) as u64);
            let taken = self.field(rest, at)?;
            rest = rest.get(taken..).unwrap_or(&[]);
        }
        Ok(input.len().saturating_sub(rest.len()))
    }

    /// Takes at least one byte, and no more than one field, from an input that is not empty.
    fn field(&mut self, input: &[u8], at: u64) -> Result<usize, Error> {
        let first = input.first().copied().unwrap_or(0);
        let taken = match self.field {
            Field::Method => {
                if first != DEFLATE {
                    return Err(Error::new(Code::GzipMethod, At::Blob(at))
                        .found(Value::Number(first.into()))
                        .expected(Value::Number(DEFLATE.into())));
                }
                self.field = Field::Flags;
                1
            }
            Field::Flags => {
                if first & RESERVED != 0 {
                    return Err(Error::new(Code::GzipFlags, At::Blob(at))
                        .found(Value::Hex(first.into()))
                        .expected(Value::Hex((first & !RESERVED).into())));
                }
                self.flags = first;
                self.field = Field::Times(6);
                1
            }
            Field::Times(left) => {
                let taken = input.len().min(left.into());
                // At most `left`, so that neither conversion nor subtraction can fail.
                let left = left.saturating_sub(u8::try_from(taken).unwrap_or(left));
                self.field = if left == 0 {
                    self.after_times()
                } else {
                    Field::Times(left)
                };
                taken
            }
            Field::ExtraLength => {
                let taken = self.pair.fill(2, input);
                if let Some(length) = self.pair_value() {
                    self.field = match length {
                        0 => self.after_extra(),
                        _ => Field::Extra(length),
                    };
                }
                taken
            }
            Field::Extra(left) => {
                let taken = input.len().min(left.into());
                let left = left.saturating_sub(u16::try_from(taken).unwrap_or(left));
                self.field = if left == 0 {
                    self.after_extra()
                } else {
                    Field::Extra(left)
                };
                taken
            }
            Field::Name | Field::Comment => match input.iter().position(|byte| *byte == 0) {
                None => input.len(),
                Some(zero) => {
                    self.field = if self.field == Field::Name {
                        self.after_name()
                    } else {
                        self.after_comment()
                    };
                    zero.saturating_add(1)
                }
            },
            Field::Crc => {
                let gathered = self.pair.filled().len() as u64;
                let taken = self.pair.fill(2, input);
                if let Some(stated) = self.pair_value() {
                    let computed = self.crc & 0xffff;
                    if u32::from(stated) != computed {
                        return Err(Error::new(
                            Code::GzipHeaderCrc,
                            At::Blob(at.saturating_sub(gathered)),
                        )
                        .found(Value::Hex(computed.into()))
                        .expected(Value::Hex(stated.into())));
                    }
                    self.field = Field::End;
                }
                return Ok(taken);
            }
            Field::End => 0,
        };
        self.crc = crc32(self.crc, input.get(..taken).unwrap_or(&[]));
        Ok(taken)
    }

    /// The little-endian number of [`Self::pair`], once both bytes are there. Makes room for
    /// the next.
    fn pair_value(&mut self) -> Option<u16> {
        let value = u16::from_le_bytes(self.pair.filled().try_into().ok()?);
        self.pair.clear();
        Some(value)
    }

    // The fields that may be absent, in their order.

    const fn after_times(&self) -> Field {
        if self.flags & FEXTRA != 0 {
            Field::ExtraLength
        } else {
            self.after_extra()
        }
    }

    const fn after_extra(&self) -> Field {
        if self.flags & FNAME != 0 {
            Field::Name
        } else {
            self.after_name()
        }
    }

    const fn after_name(&self) -> Field {
        if self.flags & FCOMMENT != 0 {
            Field::Comment
        } else {
            self.after_comment()
        }
    }

    const fn after_comment(&self) -> Field {
        if self.flags & FHCRC != 0 {
            Field::Crc
        } else {
            Field::End
        }
    }
}
