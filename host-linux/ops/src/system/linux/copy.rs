//! Copies that the kernel makes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// How much one system call is asked to copy at most, in bytes, so that a signal or a stop is
/// not kept waiting.
const STEP: usize = 8 << 20;

/// The buffer of the copy that the kernel does not make, in bytes.
const BUFFER: usize = 256 << 10;

/// How a copy was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// The destination shares the source's blocks (`FICLONE`).
    Clone,
    /// The kernel copied, or shared blocks where it could (`copy_file_range`).
    Kernel,
    /// Through a buffer of this process.
    Buffer,
}

/// What a copy came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// How it was made; for a mixture, the slowest way.
    pub way: Way,
    /// How many bytes, holes included. Fewer than asked for when the source ends early.
    pub length: u64,
}

/// Makes the empty file `destination` share the blocks of `source`, where the file systems can
/// do that and the source is `length` bytes long. Says whether it did.
///
/// The destination is then at most `length` bytes long: the source may change meanwhile.
///
/// # Errors
///
/// What the system says of the files as such; that it cannot clone is no error.
pub fn clone_whole(source: &File, length: u64, destination: &File) -> io::Result<bool> {
    if source.metadata()?.len() != length || rustix::fs::ioctl_ficlone(destination, source).is_err()
    {
        return Ok(false);
    }
    // The source may have grown since its length was asked for.
    if destination.metadata()?.len() > length {
        destination.set_len(length)?;
    }
    Ok(true)
}

/// Copies `length` bytes of `source`, from `offset` on, to the start of the empty file
/// `destination`, in the cheapest way that the file systems have: shared blocks, a copy
/// inside the kernel, a copy through a buffer. Holes stay holes where the source tells them.
///
/// A part of a file is not cloned as such: `copy_file_range` shares the blocks by itself where
/// offset and file system allow it.
///
/// What arrived must be verified on the destination's bytes, since the source may change
/// while it is copied.
///
/// # Errors
///
/// What the system says when reading or writing fails; `InvalidInput` for a part that ends
/// beyond what a file can hold. A source that ends early is no error
/// here: [`Copied::length`] tells.
pub fn clone_or_copy(
    source: &File,
    offset: u64,
    length: u64,
    destination: &File,
) -> io::Result<Copied> {
    let end = offset.checked_add(length).map(i64::try_from);
    if !matches!(end, Some(Ok(_))) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if offset == 0 && clone_whole(source, length, destination)? {
        return Ok(Copied {
            way: Way::Clone,
            length: destination.metadata()?.len(),
        });
    }
    let mut copy = Copy {
        source,
        offset,
        destination,
        done: 0,
        way: Way::Kernel,
    };
    while copy.done < length {
        let (hole, data) = copy.next_run(length)?;
        if hole == 0 && data == 0 {
            break;
        }
        copy.done += hole;
        let wanted = copy.done + data;
        copy.run(wanted)?;
        if copy.done < wanted {
            break;
        }
    }
    destination.set_len(copy.done)?;
    Ok(Copied {
        way: copy.way,
        length: copy.done,
    })
}

/// A copy under way.
struct Copy<'a> {
    source: &'a File,
    offset: u64,
    destination: &'a File,
    done: u64,
    way: Way,
}

impl Copy<'_> {
    /// The hole at the current position and the data after it, in bytes. Both are within
    /// `length`; both are zero at the end. A file system that tells no holes has only data.
    fn next_run(&self, length: u64) -> io::Result<(u64, u64)> {
        let rest = length - self.done;
        let position = self.offset + self.done;
        let data = match rustix::fs::seek(self.source, SeekFrom::Data(position)) {
            Ok(data) => data,
            // Only a hole follows, or nothing.
            Err(Errno::NXIO) => {
                let end = self.source.metadata()?.len();
                return Ok((end.saturating_sub(position).min(rest), 0));
            }
            Err(_) => return Ok((0, rest)),
        };
        let hole = data.saturating_sub(position).min(rest);
        let end = rustix::fs::seek(self.source, SeekFrom::Hole(data)).unwrap_or(u64::MAX);
        Ok((hole, end.saturating_sub(data).min(rest - hole)))
    }

    /// Copies until `wanted` bytes are done or the source ends.
    fn run(&mut self, wanted: u64) -> io::Result<()> {
        while self.way == Way::Kernel && self.done < wanted {
            let step = usize::try_from(wanted - self.done).map_or(STEP, |rest| rest.min(STEP));
            let mut from = self.offset + self.done;
            let mut to = self.done;
            let copied = rustix::fs::copy_file_range(
                self.source,
                Some(&mut from),
                self.destination,
                Some(&mut to),
                step,
            );
            match copied {
                Ok(copied @ 1..) => self.done += copied as u64,
                Err(Errno::INTR) => {}
                Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                    return Err(error.into());
                }
                // File systems (and kernels) differ in what they can copy and how they say
                // that they cannot, some with 0 bytes. Reading tells errors from refusals.
                Ok(0) | Err(_) => self.way = Way::Buffer,
            }
        }
        if self.done == wanted {
            return Ok(());
        }
        let mut buffer = vec![0; BUFFER];
        while self.done < wanted {
            let step = usize::try_from(wanted - self.done).map_or(BUFFER, |rest| rest.min(BUFFER));
            let (space, _) = buffer.split_at_mut_checked(step).unwrap_or_default();
            let read = match self.source.read_at(space, self.offset + self.done) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = space.get(..read).unwrap_or_default();
            self.destination.write_all_at(bytes, self.done)?;
            self.done += read as u64;
        }
        Ok(())
    }
}
