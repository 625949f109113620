//! The content of a member.

use super::super::BLOCK;
use super::super::entry::Entry;
use super::super::header::Header;
use super::super::sparse::Pieces;
use super::{Event, Reader, State, length, padding};
use crate::{At, Code, Error};

/// Content that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    /// Bytes that are still to come from the archive.
    pub(super) left: u64,
    /// Where the next of them lies in the file.
    offset: u64,
    /// Where the piece that it belongs to ends in the file.
    end: u64,
    /// Which piece comes next.
    next: usize,
    /// Whether its first block is still to be told from a header.
    pub(super) guard: bool,
}

impl Reader {
    /// Begins the content of a member.
    pub(super) fn begin(&mut self, entry: &Entry, pieces: Option<Pieces>, guard: bool) {
        self.has_members = true;
        let end = if pieces.is_some() { 0 } else { entry.size };
        self.pieces = pieces.unwrap_or_default();
        let content = Content {
            left: entry.stored,
            offset: 0,
            end,
            next: 0,
            guard,
        };
        self.state = content.state(self.position);
    }

    /// Takes at most `most` bytes of content, which lie in one piece, and says how many.
    pub(super) fn take(&mut self, content: &mut Content, most: u64) -> u64 {
        if content.offset == content.end
            && let Some((offset, length)) = self.pieces.get(content.next)
        {
            content.offset = *offset;
            content.end = offset.saturating_add(*length);
            content.next = content.next.saturating_add(1);
        }
        let piece = content.end.saturating_sub(content.offset);
        let length = most.min(piece).min(content.left);
        content.offset = content.offset.saturating_add(length);
        content.left = content.left.saturating_sub(length);
        self.position = self.position.saturating_add(length);
        length
    }

    /// Reads content; `None` when there is something else to do.
    pub(super) fn content<'i>(
        &mut self,
        mut content: Content,
        rest: &mut &'i [u8],
    ) -> Result<Option<Event<'i>>, Error> {
        if rest.is_empty() {
            return Ok(Some(Event::More));
        }
        let mut most = length(rest);
        if content.guard {
            // The last byte of the first block goes out when it is known what the block is.
            let missing = BLOCK.saturating_sub(self.block.filled().len());
            let missing = u64::try_from(missing).unwrap_or(0);
            most = most.min(missing.saturating_sub(1).max(1)).min(content.left);
            let piece = rest
                .get(..usize::try_from(most).unwrap_or(0))
                .unwrap_or_default();
            self.block.fill(BLOCK, piece);
            if missing == 1 {
                let block: Option<[u8; BLOCK]> = self.block.filled().try_into().ok();
                self.block.clear();
                let start = self.position.saturating_sub(BLOCK as u64).saturating_add(1);
                if let Some(block) = block {
                    self.guarded(Header(&block), start)?;
                }
                content.guard = false;
            }
        }
        let taken = self.take(&mut content, most);
        let length = usize::try_from(taken).unwrap_or(0);
        let (bytes, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        *rest = after;
        let offset = content.offset.saturating_sub(taken);
        self.state = content.state(self.position);
        Ok(Some(Event::Content { offset, bytes }))
    }

    /// Looks at the first block of a hard link's content: those who think that it has none take the
    /// block for a header.
    pub(super) fn guarded(&mut self, block: Header<'_>, at: u64) -> Result<(), Error> {
        if block.is_zero() || block.is_intact() {
            return Err(Error::new(Code::TarLinkContent, At::Archive(at)));
        }
        self.state = State::EntryEnd(0);
        Ok(())
    }
}

impl Content {
    /// The state in which the next byte is the next of this content, when `position` bytes have been
    /// taken.
    pub(super) const fn state(self, position: u64) -> State {
        if self.left > 0 {
            State::Content(self)
        } else if self.guard {
            State::Guarded
        } else {
            State::EntryEnd(padding(position))
        }
    }
}
