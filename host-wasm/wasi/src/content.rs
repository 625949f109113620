//! An image that was unpacked, or lies in a file: in a file, or in memory.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};

use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::{AnyDecoder, Status};
use erofs_unpack_core::erofs::ReadAt;
use erofs_unpack_core::unpack::{Expectations, Outcome, Unpacker};

use crate::blob::Blob;
use crate::error::HostError;

/// How much is read and decoded at a time, in bytes.
const PIECE: usize = 256 << 10;

/// Bytes that are written from start to end and then read at any place.
#[derive(Debug)]
pub(crate) enum Content {
    File(RefCell<File>),
    Memory(RefCell<Vec<u8>>),
    /// Nobody will read them.
    Nowhere,
}

impl Content {
    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.borrow_mut().write_all(bytes),
            Self::Memory(memory) => {
                let mut memory = memory.borrow_mut();
                memory
                    .try_reserve(bytes.len())
                    .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
                memory.extend_from_slice(bytes);
                Ok(())
            }
            Self::Nowhere => Ok(()),
        }
    }

    /// Copies it all.
    pub(crate) fn copy_to(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::File(file) => {
                let mut file = file.borrow_mut();
                file.seek(SeekFrom::Start(0))?;
                io::copy(&mut *file, to)?;
            }
            Self::Memory(memory) => to.write_all(&memory.borrow())?,
            Self::Nowhere => {}
        }
        to.flush()
    }
}

impl ReadAt for &Content {
    type Error = io::Error;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        match self {
            Content::File(file) => {
                let mut file = file.borrow_mut();
                file.seek(SeekFrom::Start(offset))?;
                file.read_exact(buf)
            }
            Content::Memory(memory) => memory
                .borrow()
                .read_at(offset, buf)
                .map_err(|_| io::ErrorKind::UnexpectedEof.into()),
            Content::Nowhere => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Unpacks and verifies a layer into `to`. What is there may be used when this has returned an
/// outcome, and not before.
pub(crate) fn unpack(
    blob: &mut Blob,
    to: &Content,
    target: &std::path::Path,
    expected: &Expectations,
    limits: &Limits,
) -> Result<Outcome, HostError> {
    let place = blob.place.clone();
    let refused = |error| HostError::refused(&place, error);
    let decoder = AnyDecoder::new(expected.compression, limits).map_err(refused)?;
    let mut unpacker = Unpacker::new(decoder, expected, limits).map_err(refused)?;
    let mut input = vec![0; PIECE];
    let mut output = vec![0; PIECE];
    loop {
        let read = match blob.read(&mut input) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| HostError::environment(&place, "read", error))?,
        };
        if read == 0 {
            return unpacker.finish().map_err(refused);
        }
        let mut piece = input.get(..read).unwrap_or_default();
        loop {
            let step = unpacker.push(piece, &mut output).map_err(refused)?;
            piece = piece.get(step.consumed..).unwrap_or_default();
            let bytes = output.get(..step.produced).unwrap_or_default();
            to.write_all(bytes)
                .map_err(|error| HostError::environment(target, "write", error))?;
            if piece.is_empty() && step.status != Status::NeedOutput {
                break;
            }
        }
    }
}
