//! The headers of frames and blocks, one by one, for who goes from one to the next without what lies
//! between them.

use super::frame::{self, Block, Descriptor, Frame, HEADER, Magic};

/// Bytes that suffice for the start of any frame: its magic and its largest header.
pub(crate) const START: usize = 4 + HEADER;

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// A skippable frame of so many bytes, its header included.
    Skippable(u64),
    /// A frame with content.
    Frame(Begun),
}

/// A frame whose header has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Bytes of magic and header.
    pub(crate) header: u64,
    /// Bytes of its content, where it says so.
    pub(crate) content: Option<u64>,
    /// Bytes behind its last block.
    pub(crate) trailer: u64,
    maximum: usize,
}

/// A block, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Bytes of it, the header included.
    pub(crate) size: u64,
    /// Bytes that it decodes to at most.
    pub(crate) most: u64,
    /// Whether it is the last one of its frame.
    pub(crate) last: bool,
}

/// What begins with these bytes, [`START`] of them or all that there are; `None` when it is no frame,
/// or one that is refused.
pub(crate) fn start(bytes: &[u8], window_limit: u64) -> Option<Start> {
    let (magic, rest) = bytes.split_at_checked(4)?;
    match Magic::of(frame::word(magic)?) {
        Magic::Skippable => {
            let size = frame::skippable_size(rest.get(..4)?)?;
            Some(Start::Skippable(u64::from(size).saturating_add(8)))
        }
        Magic::Zstd => {
            let descriptor = Descriptor(*rest.first()?);
            let header = rest.get(..descriptor.header_length())?;
            if descriptor.reserved() {
                return None;
            }
            let limit = window_limit.min(frame::WINDOW);
            let frame = Frame::read(header, limit).ok()?;
            Some(Start::Frame(Begun {
                header: (header.len() as u64).saturating_add(4),
                content: frame.content,
                trailer: if frame.checksum { 4 } else { 0 },
                maximum: frame.block_maximum(),
            }))
        }
        Magic::Legacy | Magic::Unknown => None,
    }
}

/// The block of a frame that begins with these bytes; `None` when it is none.
pub(crate) fn block(bytes: &[u8], frame: &Begun) -> Option<Passed> {
    let block = Block::read(*bytes.first_chunk()?, frame.maximum).ok()?;
    Some(Passed {
        size: (block.wire_size() as u64).saturating_add(3),
        most: block.content_size().unwrap_or(frame.maximum) as u64,
        last: block.last,
    })
}
