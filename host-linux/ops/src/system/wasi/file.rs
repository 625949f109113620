//! Files of WASI, with what those of Linux can do and these cannot by themselves. Bytes in memory
//! pass for one.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::Stat;
use rustix::io::Errno;

/// What [`temp_dir`] gives where files can wait in memory alone.
pub const MEMORY: &str = "(memory)";

/// The folder for temporary files: TMPDIR, where the runtime sets it, else [`MEMORY`].
#[must_use]
pub fn temp_dir() -> PathBuf {
    std::env::var_os("TMPDIR").map_or_else(|| MEMORY.into(), PathBuf::from)
}

/// A file, or bytes in memory that pass for one. A clone shares its position.
#[derive(Clone, Debug)]
pub struct File {
    kept: Arc<Kept>,
}

#[derive(Debug)]
enum Kept {
    File(fs::File),
    /// The bytes, and the position.
    Memory(Mutex<(Vec<u8>, u64)>),
}

/// What is known of a [`File`].
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    length: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
    Other,
}

impl Metadata {
    /// Its length in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "as std's has it")]
    pub const fn len(&self) -> u64 {
        self.length
    }

    /// Whether it is a directory.
    #[must_use]
    pub const fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }

    /// Whether it is a regular file, or in memory.
    #[must_use]
    pub const fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File)
    }
}

impl From<fs::File> for File {
    fn from(file: fs::File) -> Self {
        let kept = Arc::new(Kept::File(file));
        Self { kept }
    }
}

impl From<OwnedFd> for File {
    fn from(fd: OwnedFd) -> Self {
        fs::File::from(fd).into()
    }
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::File::open(path).map(Self::from)
    }

    /// An empty file that lies in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        let kept = Arc::new(Kept::Memory(Mutex::default()));
        Self { kept }
    }

    /// Another handle of the same file.
    ///
    /// # Errors
    ///
    /// None; Linux has some.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(self.clone())
    }

    /// What is known of it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn metadata(&self) -> io::Result<Metadata> {
        match &*self.kept {
            Kept::File(file) => {
                let found = file.metadata()?;
                Ok(Metadata {
                    length: found.len(),
                    kind: match (found.is_file(), found.is_dir()) {
                        (true, _) => Kind::File,
                        (_, true) => Kind::Directory,
                        _ => Kind::Other,
                    },
                })
            }
            Kept::Memory(memory) => Ok(Metadata {
                length: lock(memory).0.len() as u64,
                kind: Kind::File,
            }),
        }
    }

    /// What the system tells of it; of what is in memory nothing.
    pub(crate) fn stat(&self) -> Result<Stat, Errno> {
        match &*self.kept {
            Kept::File(file) => rustix::fs::fstat(file),
            Kept::Memory(_) => Err(Errno::BADF),
        }
    }

    /// Gives it this length.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_len(&self, length: u64) -> io::Result<()> {
        match &*self.kept {
            Kept::File(file) => file.set_len(length),
            Kept::Memory(memory) => resize(&mut lock(memory).0, length),
        }
    }

    /// Puts it on the disk.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn sync_all(&self) -> io::Result<()> {
        match &*self.kept {
            Kept::File(file) => file.sync_all(),
            Kept::Memory(_) => Ok(()),
        }
    }
}

/// Reading and writing at any place, as on Linux.
pub trait FileExt {
    /// Reads at an offset, without regard to the position. 0 is the end.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at an offset, without regard to the position.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Fills the buffer from an offset on.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] when there is less, and what the system says.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = buffer.get_mut(read..).unwrap_or_default();
                    offset = offset.saturating_add(read as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of the bytes from an offset on.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    offset = offset.saturating_add(written as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl FileExt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &*self.kept {
            Kept::File(file) => Ok(rustix::io::pread(file, buffer, offset)?),
            Kept::Memory(memory) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let memory = lock(memory);
                let mut bytes = memory.0.get(start..).unwrap_or_default();
                bytes.read(buffer)
            }
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match &*self.kept {
            Kept::File(file) => Ok(rustix::io::pwrite(file, bytes, offset)?),
            Kept::Memory(memory) => {
                let mut memory = lock(memory);
                let end = offset.saturating_add(bytes.len() as u64);
                if end > memory.0.len() as u64 {
                    resize(&mut memory.0, end)?;
                }
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let mut space = memory.0.get_mut(start..).unwrap_or_default();
                space.write(bytes)
            }
        }
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &*self.kept {
            Kept::File(file) => (&mut &*file).read(buffer),
            Kept::Memory(memory) => {
                let position = lock(memory).1;
                let read = self.read_at(buffer, position)?;
                lock(memory).1 = position.saturating_add(read as u64);
                Ok(read)
            }
        }
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &*self.kept {
            Kept::File(file) => (&mut &*file).write(bytes),
            Kept::Memory(memory) => {
                let position = lock(memory).1;
                let written = self.write_at(bytes, position)?;
                lock(memory).1 = position.saturating_add(written as u64);
                Ok(written)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &*self.kept {
            Kept::File(file) => (&mut &*file).seek(to),
            Kept::Memory(memory) => {
                let mut memory = lock(memory);
                let found = match to {
                    SeekFrom::Start(offset) => Some(offset),
                    SeekFrom::End(by) => (memory.0.len() as u64).checked_add_signed(by),
                    SeekFrom::Current(by) => memory.1.checked_add_signed(by),
                };
                memory.1 = found.ok_or(io::ErrorKind::InvalidInput)?;
                Ok(memory.1)
            }
        }
    }
}

fn lock(memory: &Mutex<(Vec<u8>, u64)>) -> MutexGuard<'_, (Vec<u8>, u64)> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes memory shorter, or longer with zeros where there is enough of it.
fn resize(bytes: &mut Vec<u8>, length: u64) -> io::Result<()> {
    let length = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let more = length.saturating_sub(bytes.len());
    bytes
        .try_reserve(more)
        .map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.resize(length, 0);
    Ok(())
}
