//! The bytes of one blob: a file, or stdin.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use erofs_unpack_core::unpack::SNIFF_SIZE;

use crate::error::HostError;
use crate::say::is_stdout;

/// Reads a blob from its start to its end.
pub(crate) struct Blob {
    pub(crate) place: PathBuf,
    /// Its length in bytes; not known of a stream.
    pub(crate) length: Option<u64>,
    /// Its first bytes, which have been read already.
    head: Vec<u8>,
    /// How many of them were given again.
    given: usize,
    rest: Box<dyn Read>,
}

impl Blob {
    pub(crate) fn open(path: &Path) -> Result<Self, HostError> {
        let failed = |error| HostError::environment(path, "open for reading", error);
        let (length, mut rest): (_, Box<dyn Read>) = if is_stdout(path) {
            (None, Box::new(io::stdin()))
        } else {
            let file = File::open(path).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            if metadata.is_dir() {
                return Err(HostError::Usage(format!(
                    "{}: is a folder: the WASI program takes one layer or image, no layout",
                    crate::error::shown(path)
                )));
            }
            (metadata.is_file().then_some(metadata.len()), Box::new(file))
        };
        let mut head = Vec::new();
        let read = rest.by_ref().take(SNIFF_SIZE as u64).read_to_end(&mut head);
        read.map_err(|error| HostError::environment(path, "read", error))?;
        Ok(Self {
            place: path.to_owned(),
            length,
            head,
            given: 0,
            rest,
        })
    }

    /// Its first bytes: so many as tell what it is.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut start = self.head.get(self.given..).unwrap_or_default();
        if start.is_empty() {
            return self.rest.read(buffer);
        }
        let read = start.read(buffer)?;
        self.given += read;
        Ok(read)
    }
}
