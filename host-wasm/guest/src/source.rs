//! What the host holds: an image, or the blob of a layer whose image is read out of its chunks.

use alloc::sync::Arc;
use std::sync::{Mutex, PoisonError};

use erofs_unpack_core::erofs::{ReadAt, ReadError};
use erofs_unpack_core::seekable::{Chunks as _, Index, Pin, Reads, Seekable};

use crate::instance::Refusal;
use crate::settings::{self, Settings};
use crate::status;

/// Bytes that the import reads: all that the host holds, or a device, which lies behind it.
pub(crate) struct Import {
    /// Where its bytes begin, among those that the host gives.
    start: u64,
}

/// The host has said that it failed.
pub(crate) struct HostFailed;

impl ReadAt for Import {
    type Error = HostFailed;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), HostFailed> {
        let read = |at| crate::abi::read_at(at, buf);
        match self.start.checked_add(offset).map(read) {
            Some(true) => Ok(()),
            _ => Err(HostFailed),
        }
    }
}

/// An image, or one of its devices.
pub(crate) enum Source {
    /// As the host holds it.
    Plain(Import),
    /// In the chunks of a blob that the host holds.
    Chunks(Layer),
}

impl ReadAt for Source {
    type Error = ReadError<HostFailed>;

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), Self::Error> {
        match self {
            Self::Plain(import) => import.read_at(offset, buf).map_err(ReadError::Source),
            Self::Chunks(layer) => {
                let image = layer.image.lock().unwrap_or_else(PoisonError::into_inner);
                image.read_at(offset, buf)
            }
        }
    }
}

/// A layer whose blob the host holds, opened by its index. Clones share what was decoded of it.
#[derive(Clone)]
pub(crate) struct Layer {
    /// The lock is never waited for: one call at a time is on its way.
    image: Arc<Mutex<Seekable<Import, Index>>>,
    pin: Pin,
}

impl Layer {
    /// Opens it.
    fn open(settings: &mut Settings) -> Result<Self, Refusal> {
        let stated = settings.stated().ok_or(Refusal::Status(status::VALUE))?;
        match Seekable::open(Import { start: 0 }, stated, settings.limits())? {
            Some((image, pin)) => Ok(Self {
                image: Arc::new(Mutex::new(image)),
                pin,
            }),
            None => Err(Refusal::Status(status::VALUE)),
        }
    }

    fn read<T>(&self, what: impl FnOnce(&Seekable<Import, Index>) -> T) -> T {
        what(&self.image.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a check or reader looks at: the image with its size, and those of its devices.
#[derive(Clone, Default)]
pub(crate) struct Held {
    /// Of a layer that is read at random.
    layer: Option<Layer>,
    /// Size of the image in bytes.
    size: u64,
    /// Bytes of all that the host holds before its devices.
    end: u64,
}

impl Held {
    /// What the settings say. An index that has been read is not read again.
    pub(crate) fn settle(&mut self, settings: &mut Settings) -> Result<(), Refusal> {
        if !settings.is_blob() {
            self.size = settings.image_size();
            self.end = self.size;
            return Ok(());
        }
        if self.layer.is_none() {
            let layer = Layer::open(settings)?;
            self.size = layer.read(|image| image.chunks().image_size());
            self.end = settings.blob_size().unwrap_or(0);
            self.layer = Some(layer);
        }
        Ok(())
    }

    /// Whether an index was read, by which the settings stand.
    pub(crate) const fn is_settled(&self) -> bool {
        self.layer.is_some()
    }

    /// Size of the image in bytes.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Where the devices lie among the bytes that the host gives: behind all else.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// The image.
    pub(crate) fn image(&self) -> Source {
        match &self.layer {
            Some(layer) => Source::Chunks(layer.clone()),
            None => Source::Plain(Import { start: 0 }),
        }
    }

    /// What lies from this byte on.
    pub(crate) const fn behind(start: u64) -> Source {
        Source::Plain(Import { start })
    }

    /// A number about a layer that is read at random; `None` for other keys.
    pub(crate) fn number(&self, key: u32) -> Option<Result<u64, Refusal>> {
        let of = |number: fn(Reads, &Layer) -> u64| match &self.layer {
            Some(layer) => Ok(number(layer.read(Seekable::reads), layer)),
            None => Err(Refusal::Status(status::VALUE)),
        };
        Some(match key {
            settings::BLOB_READ => of(|reads, _| reads.bytes),
            settings::CHUNKS_READ => of(|reads, _| reads.chunks),
            settings::CHUNKS => of(|_, layer| layer.read(|image| image.chunks().count().into())),
            settings::PIN => of(|_, layer| match layer.pin {
                Pin::Blob => 1,
                Pin::Manifest => 2,
                _ => 0,
            }),
            _ => return None,
        })
    }
}

impl From<ReadError<HostFailed>> for Refusal {
    fn from(error: ReadError<HostFailed>) -> Self {
        match error {
            ReadError::Source(HostFailed) => Self::Status(status::SOURCE),
            ReadError::Refused(error) => Self::Error(error),
        }
    }
}

/// Of an image, whose source may itself refuse what it reads: a chunk.
impl From<ReadError<ReadError<HostFailed>>> for Refusal {
    fn from(error: ReadError<ReadError<HostFailed>>) -> Self {
        match error {
            ReadError::Source(error) => error.into(),
            ReadError::Refused(error) => Self::Error(error),
        }
    }
}
