//! Members of a tar archive that are stored without their holes, put into a file with them.

use std::io;

use erofs_unpack_core::Limits;
use erofs_unpack_core::tar::{Entry, Event, Reader};

use super::blob::Extent;
use super::tar::Stop;
use crate::error::SourceFault;
use crate::system::{File, FileExt as _};

/// The buffer between archive and file, in bytes.
const BUFFER: usize = 256 << 10;

/// A member without its holes, whose content comes next.
#[derive(Debug)]
pub(super) struct Holey {
    archive: Extent,
    reader: Reader,
    entry: Entry,
    buffer: Vec<u8>,
}

impl Holey {
    /// Reads the headers and the map of a member whose first header starts here.
    pub(super) fn open(archive: &Extent, start: u64) -> Result<Self, Stop> {
        // The reader counts from there.
        let archive = Extent {
            file: archive.file.clone(),
            offset: archive.offset.saturating_add(start),
            length: archive.length.saturating_sub(start),
        };
        let mut reader = Reader::picking(&Limits::DEFAULT);
        let mut buffer = vec![0; BUFFER];
        let refused = || Stop::Fault(SourceFault::ArchiveSparse, start);
        loop {
            let filled = archive.fill_at(&mut buffer, reader.position())?;
            let input = buffer.get(..filled).unwrap_or_default();
            let (taken, event) = reader.step(input)?;
            match event {
                Event::Entry(entry) if entry.fault.is_none() && entry.extents.is_some() => {
                    return Ok(Self {
                        archive,
                        reader,
                        entry,
                        buffer,
                    });
                }
                // Headers and maps go on.
                Event::More if taken > 0 => {}
                _ => return Err(refused()),
            }
        }
    }

    /// The size of the member, in bytes.
    pub(super) const fn size(&self) -> u64 {
        self.entry.size
    }

    /// Writes the member, with its holes, into an empty file.
    pub(super) fn expand(mut self, file: &File) -> io::Result<()> {
        loop {
            let position = self.reader.position();
            let filled = self.archive.fill_at(&mut self.buffer, position)?;
            let mut input = self.buffer.get(..filled).unwrap_or_default();
            loop {
                let (taken, event) = self.reader.step(input).map_err(io::Error::other)?;
                input = input.get(taken..).unwrap_or_default();
                match event {
                    Event::Content { offset, bytes } => file.write_all_at(bytes, offset)?,
                    Event::EntryEnd => return file.set_len(self.entry.size),
                    Event::More if filled > 0 => break,
                    _ => return Err(io::ErrorKind::UnexpectedEof.into()),
                }
            }
        }
    }
}
