//! gzip, RFC 1952: the members, their headers and their trailers. What lies between, deflate
//! (RFC 1951), is undone by a [`Backend`].

mod crc;
mod flat;
mod header;
mod inflater;
#[cfg(any(feature = "miniz_oxide", feature = "zlib-rs"))]
mod library;
#[cfg(feature = "miniz_oxide")]
mod miniz_oxide;
mod step;
mod stream;
#[cfg(feature = "zlib-rs")]
mod zlib_rs;

use core::fmt;

pub use flat::GzipFlat;
pub use inflater::Backend;

use self::stream::Stream;
use super::inflate::History;
use super::{Decoder, Step};
use crate::{Error, Limits};

/// Decodes gzip: one or more members, each with its header checked (its CRC16 too, where there
/// is one) and its content checked against CRC32 and ISIZE.
///
/// Zero bytes after a member are padding, as in gzip(1): they may be any number, and nothing
/// but zeros may follow. Any other bytes after a member are refused ([`Code::GzipTrailing`](crate::Code::GzipTrailing)),
/// where gzip(1) only warns. An input that ends in anything that more bytes could complete,
/// a lone `1f` after a member included, is [`Code::GzipTruncated`](crate::Code::GzipTruncated); so is an empty one.
///
/// An error is found at the byte that is wrong: the header's field, the trailer's field, the
/// byte behind the last member, the end of the input. For a corrupt deflate stream that is the
/// start of the stream, since inflaters differ in how far they have read when they notice.
///
/// # Memory
///
/// Nothing is allocated: the window and the tables are inside this struct, which therefore has
/// about 43 KiB. It can be made in a `static`. As much is allocated at the first member for
/// `Backend::Miniz`, and about 48 KiB for `Backend::ZlibRs`; that library panics when the
/// allocator has none.
///
/// Into the output beyond what was produced anything may be written. It is quickest with outputs
/// that are large beside the window.
///
/// ```
/// use erofs_unpack_core::Limits;
/// use erofs_unpack_core::codec::{Decoder, Gzip, Status};
///
/// // `printf a | gzip -n`
/// let blob = [
///     0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 4, 0, 0x43, 0xbe, 0xb7, 0xe8, 1, 0, 0, 0,
/// ];
/// let mut gzip = Gzip::new(&Limits::DEFAULT);
/// let mut output = [0; 16];
/// let step = gzip.decode(&blob, &mut output)?;
/// assert_eq!(step.consumed, blob.len());
/// assert_eq!(step.status, Status::Done);
/// assert_eq!(output.get(..step.produced), Some(b"a".as_slice()));
/// gzip.finish()?;
/// # Ok::<(), erofs_unpack_core::Error>(())
/// ```
pub struct Gzip {
    stream: Stream,
    /// What came before the output of the next call.
    history: History,
}

impl Gzip {
    /// A decoder with [`Backend::DEFAULT`]. Of the limits it keeps [`Limits::frames`].
    #[must_use]
    pub const fn new(limits: &Limits) -> Self {
        Self::with_backend(Backend::DEFAULT, limits)
    }

    /// A decoder with this inflater.
    #[must_use]
    pub const fn with_backend(backend: Backend, limits: &Limits) -> Self {
        Self {
            stream: Stream::new(backend, limits),
            history: History::new(),
        }
    }

    /// Leaves the CRC-32 of the content to the user, who may have faster means: where a decoder
    /// runs in a sandbox, the instructions for it are outside.
    ///
    /// At the end of each member's content, when all of it has been delivered, the decoder then
    /// stops with [`Status::NeedOutput`](super::Status::NeedOutput), [`Self::awaits_crc`] is true, and it goes on when
    /// [`Self::give_crc`] was called. It is for a decoder that has not started.
    pub const fn leave_crc_to_user(&mut self) {
        self.stream.leave_crc_to_user();
    }

    /// Whether the content of a member has ended, all of it has been delivered, and its CRC-32
    /// is to be given. Never without [`Self::leave_crc_to_user`].
    #[must_use]
    pub const fn awaits_crc(&self) -> bool {
        self.stream.awaits_crc()
    }

    /// Takes the CRC-32 of all that was delivered of the member whose content has ended. Without
    /// effect when it is not awaited.
    pub fn give_crc(&mut self, crc: u32) {
        self.stream.give_crc(crc);
    }

    /// The inflater that this decoder uses.
    #[must_use]
    pub const fn backend(&self) -> Backend {
        self.stream.inflater.backend()
    }

    /// How many members are complete.
    #[must_use]
    pub const fn members(&self) -> u64 {
        self.stream.members()
    }
}

impl Decoder for Gzip {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        let past = self.history.past();
        let step = self.stream.decode(input, output, 0, past)?;
        // The libraries keep it themselves.
        if self.stream.in_content() && self.backend() == Backend::Own {
            let content = output.get(..step.produced).unwrap_or(&[]);
            self.history.push(content);
        }
        Ok(step)
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.stream.finish()
    }
}

impl fmt::Debug for Gzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gzip")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
