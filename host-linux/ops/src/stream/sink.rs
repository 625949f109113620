//! Where decoded bytes go before it is known whether they are valid: a tar archive to stdout, an
//! image into a file without a name.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::OnceLock;

use erofs_unpack_core::unpack::{SNIFF_SIZE, StreamContent, StreamForm};

use rustix::io::Errno;

use crate::error::HostError;
use crate::pipeline::Sink;
use crate::publish::SparseWriter;
use crate::system::{is_closed, write_all};

/// Takes decoded bytes.
pub(super) struct Sorter<'a> {
    /// What it may be.
    form: StreamForm,
    dir: &'a Path,
    /// The file in it for an image, until it is taken, or why there is none.
    made: Option<Result<File, HostError>>,
    /// Set when the bytes are those of an image: the file that they are in.
    file: &'a OnceLock<File>,
    stdout: &'a File,
    way: Way<'a>,
    /// What went wrong, where the system's answer alone does not say with what.
    fault: Option<HostError>,
}

/// What has been decided.
enum Way<'a> {
    /// Nothing: these are the bytes so far.
    Open(Vec<u8>),
    /// It is a tar archive.
    Through,
    /// It is an image.
    Spool(SparseWriter<'a>),
}

impl<'a> Sorter<'a> {
    /// A sink that has nothing yet; an image goes to the unnamed file that was `made` in `dir`,
    /// which is then found in `file`.
    pub(super) const fn new(
        form: StreamForm,
        dir: &'a Path,
        made: Result<File, HostError>,
        file: &'a OnceLock<File>,
        stdout: &'a File,
    ) -> Self {
        Self {
            form,
            dir,
            made: Some(made),
            file,
            stdout,
            way: Way::Open(Vec::new()),
            fault: None,
        }
    }

    /// Says that all bytes have come and what the core found them to be.
    pub(super) fn finish(&mut self, content: StreamContent) -> io::Result<()> {
        if let Way::Open(head) = &mut self.way {
            // Fewer bytes than an image has at the least.
            let head = core::mem::take(head);
            self.decide(content, &head)?;
        }
        match core::mem::replace(&mut self.way, Way::Through) {
            Way::Spool(writer) => writer.finish().map(|_| ()).inspect_err(|error| {
                let error = Errno::from_io_error(error).unwrap_or(Errno::IO);
                self.fault = Some(self.not_spooled(error));
            }),
            Way::Through | Way::Open(_) => Ok(()),
        }
    }

    /// The file that was made for an image and not taken.
    pub(super) fn unused(self) -> Option<Result<File, HostError>> {
        self.made
    }

    /// What to say of an error that came from here.
    pub(super) fn failure(&mut self, error: io::Error) -> HostError {
        self.fault.take().unwrap_or_else(|| match &self.way {
            Way::Spool(_) => self.not_spooled(error),
            Way::Open(_) | Way::Through => HostError::environment("stdout", "write", error),
        })
    }

    fn not_spooled(&self, error: impl Into<io::Error>) -> HostError {
        HostError::environment(self.dir, "write a temporary file", error)
    }

    /// Takes the first bytes, which are of this content.
    fn decide(&mut self, content: StreamContent, head: &[u8]) -> io::Result<()> {
        self.way = match content {
            StreamContent::Tar => Way::Through,
            StreamContent::Erofs => {
                let file = match self.made.take() {
                    Some(Ok(file)) => file,
                    made => {
                        self.fault = made.and_then(Result::err);
                        return Err(io::ErrorKind::Other.into());
                    }
                };
                Way::Spool(SparseWriter::new(self.file.get_or_init(|| file)))
            }
        };
        self.write(head)
    }
}

impl Sink for Sorter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.way {
            Way::Open(head) => {
                let missing = SNIFF_SIZE.saturating_sub(head.len());
                let (first, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
                head.extend_from_slice(first);
                if head.len() < SNIFF_SIZE {
                    return Ok(());
                }
                let head = core::mem::take(head);
                self.decide(self.form.content(&head), &head)?;
                self.write(rest)
            }
            Way::Through => write_all(self.stdout, bytes),
            // Nobody waits for it any more: the rest need not be decoded.
            Way::Spool(_) if is_closed(self.stdout) => {
                let closed = Errno::PIPE;
                self.fault = Some(HostError::environment("stdout", "write", closed));
                Err(closed.into())
            }
            Way::Spool(writer) => writer.write_all(bytes),
        }
    }

    fn expect(&mut self, size: u64) -> io::Result<()> {
        match &mut self.way {
            Way::Spool(writer) => writer.reserve(size),
            Way::Open(_) | Way::Through => Ok(()),
        }
    }
}
