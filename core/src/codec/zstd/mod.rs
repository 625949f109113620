//! The zstd form: RFC 8878, frames one after another.
//!
//! The framing is read apart from the blocks. So magics, headers, sizes, limits, skippable frames,
//! the declared content size and the checksum are read and refused once, the same for every
//! [`Backend`]; and what decodes the blocks sees nothing but one block at a time, of a type and
//! size that have passed.
//!
//! What is read, and where the rules come from (sections of RFC 8878):
//!
//! | structure | section | refused when |
//! |---|---|---|
//! | magic | 3.1.1 | it starts no frame; it starts a frame older than the RFC |
//! | frame header | 3.1.1.1 | the reserved bit is set; a dictionary is named (id 0 is none); the window is over the limit |
//! | block header | 3.1.1.2 | the type is reserved; the size is over the smaller of window and 128 KiB |
//! | block | 3.1.1.3 | it is corrupt; it decodes to more than that size |
//! | content size | 3.1.1.1.4 | the blocks decode to more or less |
//! | checksum | 3.1.1 | it is not the low half of the content's XXH64 |
//! | skippable frame | 3.1.2 | all of a blob's are larger together than the limit |
//!
//! A block is decoded when all of it is there and the output of the block before has been
//! taken. Nothing is delivered of a block that is refused.
//!
//! Three forms: [`Zstd`] has memory of its own and copies what it has decoded out of it;
//! [`ZstdIn`] does so in memory that it was lent, and needs no allocator; [`ZstdFlat`] decodes
//! straight into memory that the caller gives at each call.

mod content;
mod flat;
mod frame;
#[cfg(feature = "alloc")]
mod frames;
mod framing;
mod own;
#[cfg(feature = "alloc")]
pub mod phases;
#[cfg(feature = "ruzstd")]
mod ruzstd;
mod windowed;

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
#[cfg(feature = "alloc")]
use alloc::vec::Vec;

#[cfg(feature = "alloc")]
use self::flat::{Flat, Pace};
#[cfg(feature = "alloc")]
pub(crate) use self::frames::frame_header;
#[cfg(feature = "alloc")]
pub use self::frames::{FoundFrame, FrameScan};
#[cfg(feature = "alloc")]
use self::windowed::{Allocated, allocate_work};
use self::windowed::{Lent, Windowed};
use super::{Decoder, Step};
use crate::{Error, Limits};

/// What decodes zstd's blocks.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// This crate's own: fast, without unsafe code, and every block is given out at once. It takes
    /// up to 8 MiB beside the window, or a quarter of the window where that is more.
    #[default]
    Own,
    /// `ruzstd`: a second opinion. It gives out a byte only when the window has passed over it or
    /// its frame has ended, and takes a distribution of Huffman weights that has some over 11.
    #[cfg(feature = "ruzstd")]
    Ruzstd,
}

#[cfg(feature = "alloc")]
impl Backend {
    /// The one that [`Zstd::new`] takes.
    pub const DEFAULT: Self = Self::Own;

    /// All of this build.
    pub const ALL: &'static [Self] = &[
        Self::Own,
        #[cfg(feature = "ruzstd")]
        Self::Ruzstd,
    ];
}

/// Decodes a zstd stream: any number of frames, empty and skippable ones among them.
///
/// Memory: the window of the frame, from its first block on, and what stands at the [`Backend`];
/// below 1 MiB more. The window is at most [`Limits::zstd_window`], and 2 GiB (on 32-bit platforms
/// 1 GiB) whatever that says.
///
/// ```
/// use erofs_unpack_core::Limits;
/// use erofs_unpack_core::codec::{Decoder, Status, Zstd};
///
/// // A frame of one raw block, without a checksum.
/// let frame = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
/// let mut decoder = Zstd::new(&Limits::DEFAULT);
/// let mut output = [0; 16];
/// let step = decoder.decode(frame, &mut output)?;
/// assert_eq!(step.status, Status::Done);
/// assert_eq!(&output[..step.produced], b"hello");
/// decoder.finish()?;
/// # Ok::<(), erofs_unpack_core::Error>(())
/// ```
#[cfg(feature = "alloc")]
#[derive(Debug)]
pub struct Zstd(Inner);

#[cfg(feature = "alloc")]
#[derive(Debug)]
enum Inner {
    Own(Box<Windowed<Allocated>>),
    #[cfg(feature = "ruzstd")]
    Ruzstd(Box<ruzstd::Stream>),
}

/// The largest window that is decoded on this platform, in bytes, whatever the limit: 2 GiB, on
/// 32-bit platforms 1 GiB.
pub const WINDOW: u64 = frame::WINDOW;

#[cfg(feature = "alloc")]
impl Zstd {
    /// The largest window that is decoded on this platform, in bytes, whatever the limit: 2 GiB,
    /// on 32-bit platforms [`Self::WINDOW_32_BIT`].
    pub const WINDOW: u64 = WINDOW;

    /// The largest window that is decoded on 32-bit platforms, WebAssembly among them, in bytes:
    /// 1 GiB.
    pub const WINDOW_32_BIT: u64 = frame::WINDOW_32_BIT;

    /// A decoder on the default back end, [`Backend::DEFAULT`].
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self::with_backend(Backend::DEFAULT, limits)
    }

    /// A decoder on this back end.
    #[must_use]
    pub fn with_backend(backend: Backend, limits: &Limits) -> Self {
        Self::make(backend, limits, false)
    }

    /// A decoder of exactly one frame, with any skippable frames before it, for blobs whose
    /// frames are decoded one by one. It refuses bytes after that frame with
    /// [`Code::ZstdTrailing`](crate::Code::ZstdTrailing).
    #[must_use]
    pub fn single_frame(backend: Backend, limits: &Limits) -> Self {
        Self::make(backend, limits, true)
    }

    fn make(backend: Backend, limits: &Limits, single: bool) -> Self {
        Self(match backend {
            Backend::Own => {
                let memory = Allocated::default();
                Inner::Own(Box::new(Windowed::new(limits, single, memory)))
            }
            #[cfg(feature = "ruzstd")]
            Backend::Ruzstd => Inner::Ruzstd(Box::new(ruzstd::Stream::new(limits, single))),
        })
    }

    /// Makes ready for a stream of its own, wherever the one before was left, and keeps the
    /// memory.
    pub(crate) fn restart(&mut self) {
        match &mut self.0 {
            Inner::Own(decoder) => decoder.restart(),
            #[cfg(feature = "ruzstd")]
            Inner::Ruzstd(decoder) => decoder.restart(),
        }
    }

    /// Fills `output` with the content of the one frame that `input` is, and says whether that
    /// worked. The stream that was begun is lost.
    ///
    /// It does not for a frame that does not declare just this size, for one that is wrong in any
    /// way, and with other back ends than the default; the decoder as such says why.
    pub(crate) fn decode_whole(&mut self, input: &[u8], output: &mut [u8]) -> bool {
        match &mut self.0 {
            Inner::Own(decoder) => decoder.decode_whole(input, output),
            #[cfg(feature = "ruzstd")]
            Inner::Ruzstd(_) => false,
        }
    }
}

#[cfg(feature = "alloc")]
impl Decoder for Zstd {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        match &mut self.0 {
            Inner::Own(decoder) => decoder.decode(input, output),
            #[cfg(feature = "ruzstd")]
            Inner::Ruzstd(decoder) => decoder.decode(input, output),
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        match &mut self.0 {
            Inner::Own(decoder) => decoder.finish(),
            #[cfg(feature = "ruzstd")]
            Inner::Ruzstd(decoder) => decoder.finish(),
        }
    }
}

/// Decodes a zstd stream in memory that it was lent: any number of frames, empty and skippable ones
/// among them.
///
/// A frame that needs more memory ends the stream with
/// [`Code::ZstdMemory`](crate::Code::ZstdMemory). With more than it needs it is faster: the window
/// is moved less often.
///
/// ```
/// use erofs_unpack_core::Limits;
/// use erofs_unpack_core::codec::{Decoder, Status, ZstdIn};
///
/// let frame = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
/// let mut memory = [0; ZstdIn::memory(1 << 10)];
/// let mut decoder = ZstdIn::new(&Limits::DEFAULT, &mut memory);
/// let mut output = [0; 16];
/// let step = decoder.decode(frame, &mut output)?;
/// assert_eq!(&output[..step.produced], b"hello");
/// decoder.finish()?;
/// # Ok::<(), erofs_unpack_core::Error>(())
/// ```
#[derive(Debug)]
pub struct ZstdIn<'m>(Windowed<Lent<'m>>);

impl<'m> ZstdIn<'m> {
    /// How many bytes of memory suffice for frames with windows of up to so many bytes: the
    /// window, three blocks, which are as large as the window and 128 KiB at most, and a little.
    #[must_use]
    pub const fn memory(window: usize) -> usize {
        Lent::needed(window)
    }

    /// A decoder in this memory.
    #[must_use]
    pub fn new(limits: &Limits, memory: &'m mut [u8]) -> Self {
        Self(Windowed::new(limits, false, Lent::new(memory)))
    }
}

impl Decoder for ZstdIn<'_> {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        self.0.decode(input, output)
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.0.finish()
    }
}

/// Decodes a zstd stream straight into memory of the caller's, which is its window too: nothing
/// is copied but what the caller moves.
///
/// Streams, errors and offsets are those of [`Zstd`]. Its own memory is below 512 KiB.
///
/// ```
/// use erofs_unpack_core::Limits;
/// use erofs_unpack_core::codec::{Status, ZstdFlat};
///
/// let frame = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";
/// let mut decoder = ZstdFlat::new(&Limits::DEFAULT)?;
/// let mut memory = [0; 128];
/// let step = decoder.decode(frame, &mut memory, 0)?;
/// assert_eq!(step.status, Status::Done);
/// assert_eq!(&memory[..step.produced], b"hello");
/// decoder.finish()?;
/// # Ok::<(), erofs_unpack_core::Error>(())
/// ```
#[cfg(feature = "alloc")]
#[derive(Clone, Debug)]
pub struct ZstdFlat {
    flat: Box<Flat>,
    work: Vec<u8>,
}

#[cfg(feature = "alloc")]
impl ZstdFlat {
    /// A decoder.
    ///
    /// # Errors
    ///
    /// [`Code::ZstdMemory`](crate::Code::ZstdMemory) when there is no memory for two blocks.
    pub fn new(limits: &Limits) -> Result<Self, Error> {
        let flat = Box::new(Flat::new(limits, false));
        let mut work = Vec::new();
        allocate_work(&mut work).map_err(|_| flat.content().no_memory())?;
        Ok(Self { flat, work })
    }

    /// How many of the bytes that were decoded last must lie before `filled` at the next
    /// [`Self::decode`]: the window, or less at the start of a frame.
    #[must_use]
    pub fn keep(&self) -> usize {
        self.flat.keep()
    }

    /// How many bytes of memory must be behind `filled` for the next block: 128 KiB and a little,
    /// or less where the window of the frame is smaller.
    #[must_use]
    pub fn room(&self) -> usize {
        self.flat.room()
    }

    /// Decodes into `memory`, from `filled` on.
    ///
    /// Before `filled` lie the [`Self::keep`] bytes that were decoded last. What was decoded now
    /// lies behind it, [`Step::produced`] bytes; of what lies behind those, [`Self::room`] bytes
    /// may be overwritten. Goes on until the input is used up or there is no room.
    ///
    /// [`Status::NeedOutput`](super::Status::NeedOutput) asks for memory with room, or, when
    /// something was produced, only to be called again.
    ///
    /// # Errors
    ///
    /// As [`Decoder::decode`].
    pub fn decode(
        &mut self,
        input: &[u8],
        memory: &mut [u8],
        filled: usize,
    ) -> Result<Step, Error> {
        self.flat
            .decode(input, &mut self.work, memory, filled, Pace::All)
    }

    /// Says that there is no more input.
    ///
    /// # Errors
    ///
    /// As [`Decoder::finish`].
    pub fn finish(&mut self) -> Result<(), Error> {
        self.flat.finish()
    }
}
