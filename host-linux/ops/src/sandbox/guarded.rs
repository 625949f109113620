//! Decoders and checks in the sandbox.

use std::io;

use erofs_unpack_core::check::{self, Summary};
use erofs_unpack_core::codec::{Compression, Decoder};
use erofs_unpack_core::erofs::{ReadAt as _, ReadError};
use erofs_unpack_core::{Error, Limits};
use erofs_unpack_sandbox::{Found, Options, Sandbox, Source};

use crate::file_at::FileAt;

/// Runs them as guests of this sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Guard(pub(super) Sandbox);

impl Guard {
    /// A decoder in a guest of its own.
    pub(super) fn decoder(
        &self,
        compression: Compression,
        limits: &Limits,
    ) -> Result<Box<dyn Decoder + Send>, Error> {
        let decoder = self.0.decoder(compression, limits, &Options::default())?;
        Ok(Box::new(decoder))
    }

    /// Checks an image with its devices, as the core's `check_image` does, and finds the paths
    /// of its findings by looking at so many directory entries at most.
    pub(crate) fn check(
        &self,
        image: Parts,
        limits: &Limits,
        asked: &check::Options,
        path_entries: u64,
        sink: &mut dyn FnMut(Found),
    ) -> Result<Summary, ReadError<io::Error>> {
        let mut options = Options::default();
        options.path_entries = path_entries;
        self.0.check(Box::new(image), limits, asked, &options, sink)
    }
}

/// An image and its devices, each with its size, as one row of bytes.
pub(crate) struct Parts {
    image: (FileAt, u64),
    devices: Vec<(FileAt, u64)>,
}

impl Parts {
    pub(crate) const fn new(image: (FileAt, u64), devices: Vec<(FileAt, u64)>) -> Self {
        Self { image, devices }
    }
}

impl Source for Parts {
    fn size(&self) -> u64 {
        self.image.1
    }

    fn devices(&self) -> Vec<u64> {
        self.devices.iter().map(|(_, size)| *size).collect()
    }

    fn read_at(&self, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
        for (file, size) in core::iter::once(&self.image).chain(&self.devices) {
            if let Some(left) = size.checked_sub(offset).filter(|left| *left > 0) {
                let here =
                    usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
                let (now, rest) = buffer.split_at_mut(here);
                file.read_at(offset, now)?;
                if rest.is_empty() {
                    return Ok(());
                }
                (offset, buffer) = (0, rest);
            } else {
                offset -= size;
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_lie_behind_the_image_one_after_another() {
        let file = |name: &str, bytes: &[u8]| {
            let path = std::env::temp_dir().join(format!("parts-{}-{name}", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            let file = FileAt::open(&path).unwrap();
            std::fs::remove_file(path).unwrap();
            file
        };
        let parts = Parts::new(
            file("image", b"abc"),
            vec![
                file("none", b""),
                file("first", b"de"),
                file("second", b"fgh"),
            ],
        );
        assert_eq!((parts.size(), parts.devices()), (3, vec![0, 2, 3]));
        for (offset, length, expected) in [
            (0, 3, "abc"),
            (1, 1, "b"),
            (3, 2, "de"),
            (2, 4, "cdef"),
            (7, 1, "h"),
            (5, 3, "fgh"),
        ] {
            let mut buffer = vec![0; length];
            parts.read_at(offset, &mut buffer).unwrap();
            assert_eq!(buffer, expected.as_bytes(), "{offset}");
        }
        assert!(parts.read_at(7, &mut [0; 2]).is_err());
        assert!(parts.read_at(9, &mut [0; 1]).is_err());
    }
}
