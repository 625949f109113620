//! A verified file, given out through an open file: a pipe, a regular file, anything.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::copy::{Way, clone_or_copy};

/// How much one system call is asked to move at most, in bytes.
const STEP: usize = 8 << 20;

/// The buffer of the way that the kernel does not go, in bytes.
const BUFFER: usize = 256 << 10;

/// Writes the first `length` bytes of `source` to `to`, in the cheapest way that there is.
///
/// An empty regular file gets shared blocks or a copy inside the kernel, with holes, and stands
/// at its end afterwards. Into a pipe the kernel moves the pages: nobody may write to `source`, nor
/// free a part of it, until they have been read (of a large page the kernel clears that part).
///
/// # Errors
///
/// What the system says; [`io::ErrorKind::UnexpectedEof`] when `source` is shorter. A part may
/// have been written then.
pub fn emit(source: &File, length: u64, mut to: &File) -> io::Result<Way> {
    if takes_copies(to)? {
        let copied = clone_or_copy(source, 0, length, to)?;
        to.seek(io::SeekFrom::Start(copied.length))?;
        return if copied.length == length {
            Ok(copied.way)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        };
    }
    let done = send(source, length, to)?;
    if done == length {
        return Ok(Way::Kernel);
    }
    let mut position = done;
    let mut buffer = vec![0; BUFFER];
    while position < length {
        let step = usize::try_from(length - position).map_or(BUFFER, |rest| rest.min(BUFFER));
        let (space, _) = buffer.split_at_mut_checked(step).unwrap_or_default();
        source.read_exact_at(space, position)?;
        write_all(to, space)?;
        position += space.len() as u64;
    }
    Ok(Way::Buffer)
}

/// Whether this is a regular file without content that is written from its start.
fn takes_copies(mut to: &File) -> io::Result<bool> {
    let metadata = to.metadata()?;
    let is_empty = metadata.is_file() && metadata.len() == 0;
    Ok(is_empty
        && to.stream_position()? == 0
        && !rustix::fs::fcntl_getfl(to)?.contains(OFlags::APPEND))
}

/// Lets the kernel send the file, and says how far it came: not at all where it cannot.
fn send(source: &File, length: u64, to: &File) -> io::Result<u64> {
    let mut offset = 0;
    while offset < length {
        let step = usize::try_from(length - offset).map_or(STEP, |rest| rest.min(STEP));
        match rustix::fs::sendfile(to, source, Some(&mut offset), step) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait(to, PollFlags::OUT)?,
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(offset)
}

/// Writes all of the bytes, also to what is set not to block, as pipes of some callers are.
///
/// # Errors
///
/// What the system says.
pub fn write_all(mut to: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait(to, PollFlags::OUT)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether whoever reads from this pipe is gone. Of anything else than a pipe or a socket this
/// is never said.
#[must_use]
pub fn is_closed(to: &File) -> bool {
    let mut polled = [PollFd::new(to, PollFlags::OUT)];
    let now = rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let gone = PollFlags::ERR | PollFlags::HUP;
    rustix::event::poll(&mut polled, Some(&now)).is_ok()
        && polled.iter().any(|fd| fd.revents().intersects(gone))
}

/// Waits until this can be read from or written to.
///
/// # Errors
///
/// What the system says.
pub fn wait(file: impl AsFd, what: PollFlags) -> io::Result<()> {
    loop {
        match rustix::event::poll(&mut [PollFd::new(&file, what)], None) {
            Err(Errno::INTR) => {}
            result => return Ok(result.map(|_| ())?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::scratch;
    use std::io::Read as _;
    use std::path::PathBuf;

    /// A directory of the build, so that it is on a disk.
    fn dir() -> PathBuf {
        std::env::current_exe().unwrap().parent().unwrap().into()
    }

    /// A file of 3 MiB with a hole, and its content.
    fn source() -> (File, Vec<u8>) {
        let mut content: Vec<u8> = (0..3 << 20).map(|at| (at % 251) as u8).collect();
        content[1 << 20..2 << 20].fill(0);
        let file = scratch(&dir()).unwrap();
        file.write_all_at(&content[..1 << 20], 0).unwrap();
        file.write_all_at(&content[2 << 20..], 2 << 20).unwrap();
        (file, content)
    }

    fn whole(file: &File) -> Vec<u8> {
        let mut content = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
        file.read_exact_at(&mut content, 0).unwrap();
        content
    }

    #[test]
    fn an_empty_file_gets_a_copy_and_stands_at_its_end() {
        let (source, content) = source();
        let mut to = scratch(&dir()).unwrap();
        assert_ne!(emit(&source, 3 << 20, &to).unwrap(), Way::Buffer);
        assert!(whole(&to) == content);
        assert_eq!(to.stream_position().unwrap(), 3 << 20);
        // A second time it is behind the first.
        emit(&source, 3 << 20, &to).unwrap();
        assert!(whole(&to) == [content.as_slice(), content.as_slice()].concat());
    }

    #[test]
    fn a_file_that_is_appended_to_keeps_what_it_has() {
        let (source, content) = source();
        let to = scratch(&dir()).unwrap();
        rustix::fs::fcntl_setfl(&to, OFlags::APPEND).unwrap();
        write_all(&to, b"first").unwrap();
        emit(&source, 3 << 20, &to).unwrap();
        assert!(whole(&to) == [b"first", content.as_slice()].concat());
    }

    #[test]
    fn a_pipe_that_does_not_block_gets_everything() {
        let (source, content) = source();
        for kernel in [true, false] {
            let (from, to) = io::pipe().unwrap();
            rustix::fs::fcntl_setfl(&to, OFlags::NONBLOCK).unwrap();
            let reader = std::thread::spawn(move || {
                let mut all = Vec::new();
                { from }.read_to_end(&mut all).unwrap();
                all
            });
            let to = File::from(std::os::fd::OwnedFd::from(to));
            if kernel {
                assert_eq!(emit(&source, 3 << 20, &to).unwrap(), Way::Kernel);
            } else {
                write_all(&to, &content).unwrap();
            }
            assert!(!is_closed(&to));
            drop(to);
            assert!(reader.join().unwrap() == content);
        }
    }

    #[test]
    fn a_pipe_without_a_reader_is_closed() {
        let (source, _) = source();
        let (from, to) = io::pipe().unwrap();
        drop(from);
        let to = File::from(std::os::fd::OwnedFd::from(to));
        assert!(is_closed(&to));
        let error = emit(&source, 3 << 20, &to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(!is_closed(&source));
    }

    #[test]
    fn a_source_that_is_too_short_is_an_error() {
        let (source, _) = source();
        let to = scratch(&dir()).unwrap();
        let error = emit(&source, (3 << 20) + 1, &to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
