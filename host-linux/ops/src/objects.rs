//! Content that lies outside of an image: the folder of objects that its overlayfs metacopy files
//! lead to, as composefs has one.
//!
//! An overlay would mount the folder as a data-only layer. Here each object is opened beneath it,
//! must be a regular file of the size that the image states, and is held against its fs-verity
//! digest where the image has one.

use std::ffi::OsStr;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use erofs_unpack_core::erofs::{Image, Inode, Object, ReadAt, ReadError};
use erofs_unpack_core::{At, Code, Error, Value};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{HostError, SourceFault};
use crate::publish::scratch;
use crate::system::{self, File, OsStrExt as _};

/// How objects are opened: a pipe must not make the opening wait.
const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);
/// How much is read at a time, in bytes.
const PIECE: usize = 128 << 10;

/// A folder of objects, held open.
#[derive(Debug)]
pub(crate) struct Objects {
    path: PathBuf,
    dir: OwnedFd,
}

/// The content of a file, in the folder.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    place: PathBuf,
    file: File,
    expected: Object,
}

impl Objects {
    /// Opens a folder.
    pub(crate) fn open(path: &Path) -> Result<Self, HostError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|error| HostError::environment(path, "open the directory", error))?;
        let path = path.to_owned();
        Ok(Self { path, dir })
    }

    /// Opens an object by its path in the folder, which a link may not lead out of.
    fn object(&self, object: &[u8], expected: Object) -> Result<Elsewhere, HostError> {
        let object = Path::new(OsStr::from_bytes(object));
        let place = self.path.join(object);
        let fault = |fault| HostError::source_fault(&place, fault);
        let fd =
            system::open_beneath(self.dir.as_fd(), object, OPEN).map_err(|error| match error {
                Errno::XDEV | Errno::LOOP => fault(SourceFault::ObjectEscape),
                Errno::NXIO | Errno::NODEV => fault(SourceFault::ObjectType),
                error => HostError::environment(&place, "open for reading", error),
            })?;
        let stat = rustix::fs::fstat(&fd)
            .map_err(|error| HostError::environment(&place, "look at", error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(fault(SourceFault::ObjectType));
        }
        let file = File::from(fd);
        system::advise_sequential(&file);
        Ok(Elsewhere {
            place,
            file,
            expected,
        })
    }
}

/// The content of a file that lies outside of the image; `None` for a file that holds its own.
/// `failed` says where in the image an error was.
///
/// # Errors
///
/// [`Code::FileElsewhere`] where there is no folder, or the image does not say where in one the
/// content lies; what refuses the xattrs; what opening the object comes to.
pub(crate) fn elsewhere<R: ReadAt<Error = io::Error>>(
    image: &Image<R>,
    inode: &Inode,
    objects: Option<&Objects>,
    failed: impl Fn(ReadError<io::Error>) -> HostError,
) -> Result<Option<Elsewhere>, HostError> {
    let Some(metacopy) = image.metacopy(inode).map_err(&failed)? else {
        return Ok(None);
    };
    let refused = Error::new(Code::FileElsewhere, At::Nid(inode.nid));
    let Some(objects) = objects else {
        return Err(failed(refused.into()));
    };
    let Some(object) = metacopy.object() else {
        let found = Value::Text("no path from the root of a folder");
        return Err(failed(refused.found(found).into()));
    };
    objects.object(object, metacopy.expected(inode)).map(Some)
}

impl Elsewhere {
    /// Hands the content on in pieces. It is verified when all of it has been: before `Ok` nobody
    /// may take it for what the image means.
    pub(crate) fn read(
        mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), HostError>,
    ) -> Result<(), HostError> {
        let place = &self.place;
        let refused = |error| HostError::refused(place, error);
        let mut buffer = vec![0; PIECE];
        loop {
            let read = match self.file.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(HostError::environment(place, "read", error)),
            };
            let piece = buffer.get(..read).unwrap_or_default();
            self.expected.update(piece).map_err(refused)?;
            take(piece)?;
        }
        self.expected.finish().map_err(refused)
    }

    /// Copies the content into a file without a name, verifies it, and gives that file, at its
    /// start.
    pub(crate) fn spool(self) -> Result<File, HostError> {
        let dir = system::temp_dir();
        let failed = |error| HostError::environment(&dir, "write a temporary file", error);
        let mut file = scratch(&dir)?;
        self.read(|piece| file.write_all(piece).map_err(failed))?;
        file.rewind().map_err(failed)?;
        Ok(file)
    }
}
