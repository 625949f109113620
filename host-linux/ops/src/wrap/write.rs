//! The blob as it comes to be: the image is cut into chunks, others encode them, and here they are
//! written in their order.

use std::io;

use erofs_unpack_core::codec::Compression;
use erofs_unpack_core::oci::{Algorithm, Digest, Hasher};
use erofs_unpack_core::seekable::align;

use super::Wrap;
use super::encode::{Encoded, Job};
use super::tables::{Ending, Table};
use crate::ordered::Ordered;
use crate::pipeline;
use crate::system::{File, FileExt as _};

/// Bytes of the header and of the trailer of gzip (RFC 1952, 2.3).
const GZIP_HEADER: usize = 10;
/// `XFL` (RFC 1952, 2.3.1), and the levels that it tells of.
const GZIP_BEST: (i32, u8) = (9, 2);
const GZIP_FASTEST: (i32, u8) = (1, 4);
/// `OS`: unknown. The blob is the same wherever it was made.
const GZIP_OS: u8 = 255;
/// Bytes of the checksum at the end of a zstd frame: the low half of the XXH64 of its content
/// (RFC 8878, 3.1.1).
const CHECKSUM: usize = 4;

/// What threads encode.
pub(super) type Encoding = Ordered<Job, io::Result<Encoded>>;

/// A blob that has been written.
#[derive(Debug)]
pub(super) struct Written {
    /// Its digest.
    pub(super) digest: Digest,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Where the chunks end in it.
    pub(super) end: u64,
    /// How many there are.
    pub(super) chunks: u64,
    /// Digest of the chunk index.
    pub(super) index: Option<Digest>,
}

/// Takes the image, and writes the blob.
pub(super) struct Writer<'a> {
    wrap: &'a Wrap,
    file: &'a File,
    encoding: &'a mut Encoding,
    /// The chunk that is being filled.
    chunk: Vec<u8>,
    spare: Vec<Vec<u8>>,
    table: Table,
    hasher: Hasher,
    position: u64,
    chunks: u64,
    /// CRC-32 and length of what was written of the image.
    crc: crc32fast::Hasher,
    image: u64,
    /// What went wrong that is no error of the system.
    fault: Option<erofs_unpack_core::Error>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(wrap: &'a Wrap, file: &'a File, encoding: &'a mut Encoding) -> Self {
        Self {
            wrap,
            file,
            encoding,
            chunk: Vec::new(),
            spare: Vec::new(),
            table: Table::new(wrap.index, wrap.compression),
            hasher: Hasher::new(Algorithm::Sha256),
            position: 0,
            chunks: 0,
            crc: crc32fast::Hasher::new(),
            image: 0,
            fault: None,
        }
    }

    /// The refusal that ended the writing, if it was one.
    pub(super) const fn fault(&self) -> Option<erofs_unpack_core::Error> {
        self.fault
    }

    /// Writes bytes of the blob.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.position)?;
        self.hasher.update(bytes);
        self.position = self.position.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Keeps what the core refuses, so that it is told as such.
    fn note(&mut self, error: erofs_unpack_core::Error) -> io::Error {
        self.fault = Some(error);
        io::Error::other(error)
    }

    /// Hands over the chunk that is filled, once there is room for it.
    fn hand_over(&mut self, last: bool) -> io::Result<()> {
        while self.encoding.is_full() {
            self.take()?;
        }
        let spare = self.spare.pop().unwrap_or_default();
        let image = core::mem::replace(&mut self.chunk, spare);
        self.encoding.give(Job { image, last });
        Ok(())
    }

    /// Writes the next chunk that has been encoded; `false` when there is none.
    fn take(&mut self) -> io::Result<bool> {
        let Some(encoded) = self.encoding.take() else {
            return Ok(false);
        };
        let encoded = encoded?;
        self.write_chunk(&encoded)?;
        let mut memory = encoded.image;
        memory.clear();
        self.spare.push(memory);
        Ok(true)
    }

    fn write_chunk(&mut self, encoded: &Encoded) -> io::Result<()> {
        if self.position == 0 && self.wrap.compression == Compression::Gzip {
            self.put(&gzip_header(self.wrap.level))?;
        }
        let blob = encoded.blob();
        let image = encoded.image.len() as u64;
        let checksum = blob.last_chunk::<CHECKSUM>().copied().unwrap_or_default();
        let pushed = self.table.push(
            blob.len() as u64,
            image,
            encoded.digest,
            u32::from_le_bytes(checksum),
        );
        pushed.map_err(|error| self.note(error))?;
        self.put(blob)?;
        self.crc.combine(&encoded.crc);
        self.image = self.image.saturating_add(image);
        self.chunks = self.chunks.saturating_add(1);
        Ok(())
    }

    /// Writes what is left, and the index.
    pub(super) fn finish(&mut self) -> io::Result<Written> {
        // The last chunk ends where only now is known.
        while self.take()? {}
        self.hand_over(true)?;
        if let Some(encoded) = self.encoding.take() {
            let encoded = encoded?;
            let encoded = self.aligned(encoded)?;
            self.write_chunk(&encoded)?;
        }
        if self.wrap.compression == Compression::Gzip {
            let crc = self.crc.clone().finalize().to_le_bytes();
            let [a, b, c, d, ..] = self.image.to_le_bytes();
            self.put(&crc)?;
            self.put(&[a, b, c, d])?;
        }
        let end = self.position;
        let table = core::mem::replace(&mut self.table, Table::None);
        let Ending { bytes, digest } = table.finish().map_err(|error| self.note(error))?;
        self.put(&bytes)?;
        let hasher = core::mem::replace(&mut self.hasher, Hasher::new(Algorithm::Sha256));
        Ok(Written {
            digest: hasher.finish(),
            size: self.position,
            end,
            chunks: self.chunks,
            index: digest,
        })
    }

    /// The last chunk, made so long that the index begins where it should.
    fn aligned(&mut self, mut encoded: Encoded) -> io::Result<Encoded> {
        if let (true, Some(blob)) = (self.table.is_aligned(), &mut encoded.blob) {
            let aligned = align(blob, self.position);
            encoded.digest = Some(Algorithm::Sha256.digest(blob));
            aligned.map_err(|error| self.note(error))?;
        }
        Ok(encoded)
    }
}

impl pipeline::Sink for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            // A full chunk waits until there is more: the last one is treated otherwise.
            if self.chunk.len() >= self.wrap.chunk_size {
                self.hand_over(false)?;
            }
            let room = self.wrap.chunk_size.saturating_sub(self.chunk.len());
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            self.chunk.extend_from_slice(now);
            rest = later;
        }
        Ok(())
    }
}

/// The header of gzip without a name and a time, which would make every blob another.
fn gzip_header(level: i32) -> [u8; GZIP_HEADER] {
    let told = [GZIP_BEST, GZIP_FASTEST];
    let told = told.into_iter().find(|(told, _)| *told == level);
    let flags = told.map_or(0, |(_, flags)| flags);
    [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, flags, GZIP_OS]
}
