//! What the seam asks of a decoding library: blocks in, bytes out.
//!
//! A back end never sees the wire's frame header or checksum. It gets a header that the seam
//! made up, whose only purpose is to make the library reserve the right buffer, and blocks
//! whose size and type the seam has already checked.

use alloc::vec::Vec;
use core::fmt;

use super::frame::Frame;

/// Why a back end did not decode a block. In every case nothing of the block can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The block is corrupt, or decodes to more than a block may.
    Corrupt,
    /// The block decodes to this many bytes, more than the frame has left.
    TooLong(usize),
    /// There is no memory.
    Memory,
}

/// What is left to be decoded in a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Most bytes that any block of the frame may decode to.
    pub(super) block: usize,
    /// Most bytes that this block may decode to, because the frame declared its size.
    pub(super) left: u64,
}

/// A block that was decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoded {
    /// How many bytes it decoded to.
    pub(super) size: usize,
    /// How many of them are in the output already; the others come through
    /// [`Engine::read`].
    pub(super) written: usize,
}

/// A decoding library.
pub(super) trait Engine: fmt::Debug + Send + Sync {
    /// Starts a frame. `history` is how many decoded bytes are ever alive at once: the window,
    /// or less where the content is known to be shorter.
    fn begin(&mut self, frame: &Frame, history: usize) -> Result<(), Fault>;

    /// Decodes a block, whose three header bytes and whole body are given. All that can be
    /// read must have been read before.
    fn block(
        &mut self,
        header: [u8; 3],
        body: &[u8],
        bounds: Bounds,
        output: &mut [u8],
    ) -> Result<Decoded, Fault>;

    /// Decodes a whole frame, whose framing has passed, into `output`, which has the size that
    /// the frame declares. Leaves alone what was begun.
    #[cfg(feature = "fast-zstd")]
    fn whole(&mut self, _frame: &[u8], _output: &mut [u8]) -> Result<usize, Fault> {
        Err(Fault::Corrupt)
    }

    /// Forgets what was decoded and not read yet.
    fn forget(&mut self);

    /// How many bytes [`Self::read`] would give while `keep` decoded bytes stay within reach
    /// of the blocks to come.
    fn readable(&self, keep: usize) -> usize;

    /// Moves decoded bytes to the output and returns how many.
    fn read(&mut self, keep: usize, output: &mut [u8]) -> usize;
}

/// A frame header for a library: a single segment of this size, without a checksum.
pub(super) fn single_segment(size: u64) -> [u8; 13] {
    let [m0, m1, m2, m3] = super::frame::MAGIC.to_le_bytes();
    let [s0, s1, s2, s3, s4, s5, s6, s7] = size.to_le_bytes();
    [m0, m1, m2, m3, 0xE0, s0, s1, s2, s3, s4, s5, s6, s7]
}

/// Asks for this much memory and gives it back at once.
///
/// The libraries panic or abort when there is none for their window; what was free a moment
/// ago is very likely free still.
pub(super) fn probe(size: usize) -> Result<(), Fault> {
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(size).map_err(|_| Fault::Memory)?;
    // Else the compiler may leave out an allocation that nothing is done with.
    core::hint::black_box(&mut memory);
    Ok(())
}
