//! The stage that decodes: from chunks of the blob to chunks of the image.

use core::ops::Range;
use std::collections::TryReserveError;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use erofs_unpack_core::codec::{Compression, Decoder, GzipFlat, Status, Step, ZstdFlat};
use erofs_unpack_core::unpack::{Failure, SNIFF_SIZE, Verdict};
use erofs_unpack_core::{At, Code, Error};

use super::Terms;
use super::chunk::{Chunk, Gone, Pool};
use super::window::Window;

/// How much is decoded into a chunk with little or nothing before it, in bytes: with less the
/// threads wake each other so often that it can be measured.
const SMALL: usize = 512 << 10;
/// How much is decoded into a chunk behind a window, in bytes, if that is not less than half of
/// the window: then a byte is moved twice at most.
const LARGE: usize = 2 << 20;
/// The largest window that is a part of each chunk, in bytes. A larger one has memory of its own,
/// and what is decoded there is copied.
const WINDOW: usize = 8 << 20;
/// How much of a new chunk is made ready at a time, in bytes.
const STEP: usize = 256 << 10;
/// How many chunks there are at most, and how much memory they may come to, in bytes; but there
/// are two in any case.
const CHUNKS: usize = 6;
const MEMORY: usize = 12 << 20;

/// What undoes a layer's compression.
pub(super) enum Unwrap {
    /// With memory of its own, out of which it is copied: that of a guest.
    Copying(Box<dyn Decoder + Send>),
    /// Straight into the chunks.
    Gzip(Box<GzipFlat>),
    /// Straight into the chunks, or for a large window into memory that is kept for it.
    Zstd(Box<ZstdFlat>, Option<Window>),
}

/// What fills chunks.
pub(super) trait Fill {
    /// How much of what was decoded last must lie before what comes next.
    fn keep(&self) -> usize;

    /// How much room there must be for what comes next.
    fn room(&self) -> usize;

    /// How much room is good, when so much has been decoded.
    fn good(&self, decoded: u64) -> usize;

    /// Where a window may be moved that is too large to be a part of every chunk, until one is
    /// there.
    fn window(&mut self) -> Option<&mut Option<Window>>;
}

/// How much room is good behind so much of a window, when so much has been decoded.
pub(super) fn good(keep: usize, decoded: u64) -> usize {
    let large = LARGE.max(keep / 2);
    // At first there is little to be moved, and others have nothing to do.
    usize::try_from(decoded).map_or(large, |size| size.clamp(STEP, large))
}

impl Fill for Unwrap {
    fn keep(&self) -> usize {
        match self {
            Self::Gzip(decoder) => decoder.keep(),
            Self::Zstd(decoder, None) => decoder.keep(),
            Self::Zstd(_, Some(_)) | Self::Copying(_) => 0,
        }
    }

    fn room(&self) -> usize {
        match self {
            Self::Zstd(decoder, _) => decoder.room(),
            Self::Gzip(_) | Self::Copying(_) => 1,
        }
    }

    fn good(&self, decoded: u64) -> usize {
        match self {
            Self::Zstd(decoder, None) => good(decoder.keep(), decoded),
            Self::Zstd(_, Some(_)) | Self::Gzip(_) | Self::Copying(_) => SMALL,
        }
    }

    fn window(&mut self) -> Option<&mut Option<Window>> {
        match self {
            Self::Zstd(_, window @ None) => Some(window),
            _ => None,
        }
    }
}

impl Unwrap {
    /// `None` for what is not compressed.
    pub(super) fn new(compression: Compression, terms: &Terms<'_>) -> Result<Option<Self>, Error> {
        let Terms {
            limits, sandbox, ..
        } = *terms;
        Ok(match compression {
            Compression::Gzip if !sandbox.holds(compression) => {
                Some(Self::Gzip(Box::new(GzipFlat::new(limits))))
            }
            Compression::Zstd if !sandbox.holds(compression) => {
                Some(Self::Zstd(Box::new(ZstdFlat::new(limits)?), None))
            }
            _ => sandbox.decoder(compression, limits)?.map(Self::Copying),
        })
    }

    /// Decodes to `memory[filled..]`.
    fn decode(&mut self, input: &[u8], memory: &mut [u8], filled: usize) -> Result<Step, Error> {
        match self {
            Self::Copying(decoder) => decoder.decode(input, &mut memory[filled..]),
            Self::Gzip(decoder) => decoder.decode(input, memory, filled),
            Self::Zstd(decoder, None) => decoder.decode(input, memory, filled),
            Self::Zstd(decoder, Some(window)) => {
                let needs = (decoder.keep(), decoder.room());
                let decode = |memory: &mut [u8], at| decoder.decode(input, memory, at);
                window.decode(needs, &mut memory[filled..], decode)
            }
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        match self {
            Self::Copying(decoder) => decoder.finish(),
            Self::Gzip(decoder) => decoder.finish(),
            Self::Zstd(decoder, _) => decoder.finish(),
        }
    }
}

/// Decodes everything that comes, and hands it on.
pub(super) fn decode(
    unwrap: Unwrap,
    from: Receiver<Arc<Chunk>>,
    to: impl Fn(Arc<Chunk>) -> Result<(), Gone>,
) -> Verdict {
    let mut decoding = Decoding::new(unwrap, to);
    let mut verdict = Verdict::new();
    for chunk in &from {
        // After a failure that waits for the verdict on the whole blob, the rest of the blob
        // is only read and hashed.
        if verdict.failure().is_some() {
            continue;
        }
        match decoding.take(chunk.content()) {
            Ok(()) => {}
            Err(End::Gone) => return verdict,
            Err(End::Failed(failure)) => {
                verdict.add(*failure);
                if failure.stops() {
                    break;
                }
            }
        }
    }
    // Nothing more is wanted of the reader.
    drop(from);
    if verdict.failure().is_none()
        && let Err(error) = decoding.unwrap.finish()
    {
        verdict.add(decoding.failure(error));
    }
    // What was decoded before a failure may itself be refused, and that counts first.
    let _ = decoding.hand_on();
    verdict
}

/// Why nothing more is decoded.
pub(super) enum End {
    /// Nobody wants it.
    Gone,
    Failed(Box<Failure>),
}

impl From<Gone> for End {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

/// The decoder and the chunk that it fills.
pub(super) struct Decoding<U, F> {
    unwrap: U,
    pool: Pool,
    memory: Vec<u8>,
    /// How long the memory may become.
    size: usize,
    /// Where what has been decoded lies in it.
    content: Range<usize>,
    /// The chunk before, until what is kept of it has been copied.
    last: Option<Arc<Chunk>>,
    /// How much has been handed on.
    decoded: u64,
    to: F,
}

impl<F: Fn(Arc<Chunk>) -> Result<(), Gone>> Decoding<Unwrap, F> {
    /// Decodes all of `input`.
    fn take(&mut self, mut input: &[u8]) -> Result<(), End> {
        loop {
            let step = self.step(|unwrap, memory, filled| unwrap.decode(input, memory, filled))?;
            input = &input[step.consumed..];
            if input.is_empty() && step.status != Status::NeedOutput {
                return Ok(());
            }
        }
    }
}

impl<U: Fill, F: Fn(Arc<Chunk>) -> Result<(), Gone>> Decoding<U, F> {
    /// Nothing is decoded yet; chunks go to `to`.
    pub(super) fn new(unwrap: U, to: F) -> Self {
        Self {
            unwrap,
            pool: Pool::new(),
            memory: Vec::new(),
            size: 0,
            content: 0..0,
            last: None,
            decoded: 0,
            to,
        }
    }

    /// Decodes once, into memory that has room, and hands on what is full.
    pub(super) fn step(
        &mut self,
        decode: impl FnOnce(&mut U, &mut [u8], usize) -> Result<Step, Error>,
    ) -> Result<Step, End> {
        self.make_room()?;
        let step = decode(&mut self.unwrap, &mut self.memory, self.content.end)
            .map_err(|error| End::Failed(Box::new(self.failure(error))))?;
        self.content.end += step.produced;
        // The first bytes go on at once: they say whether this is an image at all.
        let early = self.decoded == 0 && self.content.len() >= SNIFF_SIZE;
        if early || self.is_full() {
            self.hand_on()?;
        }
        Ok(step)
    }

    /// The failure with this error, after all that has been decoded.
    fn failure(&self, error: Error) -> Failure {
        Failure::codec(error, self.decoded + self.content.len() as u64)
    }

    fn is_full(&self) -> bool {
        self.content.end + self.unwrap.room() > self.size
    }

    /// Hands on what has been decoded.
    pub(super) fn hand_on(&mut self) -> Result<(), Gone> {
        if self.content.is_empty() {
            return Ok(());
        }
        self.decoded += self.content.len() as u64;
        let chunk = self.chunk();
        if self.unwrap.keep() > 0 {
            self.last = Some(Arc::clone(&chunk));
        }
        (self.to)(chunk)
    }

    /// The memory as a chunk.
    fn chunk(&mut self) -> Arc<Chunk> {
        self.size = 0;
        let content = core::mem::take(&mut self.content);
        self.pool.chunk(core::mem::take(&mut self.memory), content)
    }

    /// Sees to it that there is room for what comes next.
    fn make_room(&mut self) -> Result<(), End> {
        if self.is_full() {
            self.hand_on()?;
            if self.begin().is_err() {
                let error = Error::new(Code::ZstdMemory, At::Whole);
                return Err(End::Failed(Box::new(self.failure(error))));
            }
        }
        // Memory that was not used before costs time: so it is used a part at a time.
        let room = self.unwrap.room();
        if self.memory.len() < self.content.end + room {
            let size = (self.content.end + room.max(STEP)).min(self.size);
            self.memory.resize(size, 0);
        }
        Ok(())
    }

    /// Begins a chunk.
    fn begin(&mut self) -> Result<(), TryReserveError> {
        if self.size > 0 {
            // One that was begun holds only what is kept.
            self.last = Some(self.chunk());
        }
        let last = self.last.take();
        let keep = self.unwrap.keep();
        if keep > WINDOW
            && let Some(window) = self.unwrap.window()
            && let Some(last) = &last
        {
            *window = Some(Window::new(last.last(keep))?);
            // What is as large as that is not wanted back.
            self.pool = Pool::new();
        }
        let keep = self.unwrap.keep();
        let good = self.unwrap.good(self.decoded);
        let size = keep + good.max(self.unwrap.room());
        let most = (MEMORY / size).clamp(2, CHUNKS);
        self.memory = self.pool.take(size, most)?;
        self.size = size;
        self.content = keep..keep;
        if let Some(last) = last {
            if self.memory.len() < keep {
                self.memory.resize(keep, 0);
            }
            self.memory[..keep].copy_from_slice(last.last(keep));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Sandbox;
    use erofs_unpack_core::Limits;
    use std::io::Write as _;
    use std::sync::mpsc::channel;

    /// Bytes that do not repeat, then parts of them from near and far.
    fn content(size: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut content: Vec<u8> = (0..size / 16).flat_map(|_| next().to_le_bytes()).collect();
        while content.len() < size {
            let bound = content.len() as u64;
            let from = usize::try_from(next() % bound).unwrap();
            let length = usize::try_from(next() % 5000).unwrap();
            content.extend_from_within(from..content.len().min(from + length));
        }
        content
    }

    fn zstd(content: &[u8], window: u32) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window).unwrap();
        encoder.long_distance_matching(true).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    /// Decodes a blob that comes in pieces of this size. Gives what came of it, and the most memory
    /// that chunks took at a time: what is handed on is let go of one chunk later.
    fn run(compression: Compression, blob: &[u8], piece: usize) -> (Verdict, Vec<u8>, usize) {
        let mut limits = Limits::DEFAULT;
        limits.zstd_window = 1 << 25;
        let terms = Terms {
            limits: &limits,
            sandbox: &Sandbox::NONE,
            threads: 1,
            by_chunks: false,
        };
        let unwrap = Unwrap::new(compression, &terms).unwrap().unwrap();
        let (to, from) = channel();
        let pool = Pool::new();
        for piece in blob.chunks(piece) {
            to.send(pool.chunk(piece.to_vec(), 0..piece.len())).unwrap();
        }
        drop(to);
        let (to, decoded) = channel::<Arc<Chunk>>();
        let reader = std::thread::spawn(move || {
            let (mut all, mut most) = (Vec::new(), 0);
            let mut held: Option<Arc<Chunk>> = None;
            for chunk in decoded {
                all.extend_from_slice(chunk.content());
                let before = held.as_ref().map_or(0, |held| held.size());
                most = most.max(chunk.size() + before);
                held = Some(chunk).filter(|_| all.len() % 3 > 0);
            }
            (all, most)
        });
        let verdict = decode(unwrap, from, |chunk| to.send(chunk).map_err(|_| Gone));
        drop(to);
        let (all, most) = reader.join().unwrap();
        (verdict, all, most)
    }

    #[test]
    fn windows_of_all_sizes_reach_over_the_chunks() {
        let content = content(40 << 20);
        for window in [10, 17, 21, 23, 24, 25] {
            let blob = zstd(&content, window);
            let (verdict, all, most) = run(Compression::Zstd, &blob, 300_000);
            assert_eq!(verdict, Verdict::new(), "{window}");
            assert!(all == content, "{window}");
            // A window that is larger is in no chunk.
            let window = if window > 23 { WINDOW } else { 1 << window };
            assert!(most <= 2 * (window + LARGE.max(window / 2)), "{most}");
        }
        let (verdict, all, most) = run(Compression::Gzip, &gzip(&content), 300_000);
        assert_eq!(verdict, Verdict::new());
        assert!(all == content);
        assert!(most <= 2 * (SMALL + (32 << 10)), "{most}");
    }

    #[test]
    fn frames_with_other_windows_follow() {
        let content = content(24 << 20);
        let (mut blob, mut all) = (Vec::new(), Vec::new());
        for (window, size) in [
            (17, 3 << 20),
            (22, 9 << 20),
            (10, 70_000),
            (24, 24 << 20),
            (12, 5),
        ] {
            blob.extend(zstd(&content[..size], window));
            all.extend_from_slice(&content[..size]);
        }
        for piece in [1000, 256 << 10, usize::MAX] {
            let (verdict, decoded, _) = run(Compression::Zstd, &blob, piece);
            assert_eq!(verdict, Verdict::new());
            assert!(decoded == all, "{piece}");
        }
        // All that comes before an error is handed on.
        let cut = blob.len() - 3;
        let (verdict, decoded, _) = run(Compression::Zstd, &blob[..cut], 100_000);
        assert_eq!(verdict.failure().unwrap().error.code(), Code::ZstdTruncated);
        let failed = usize::try_from(verdict.failure().unwrap().decoded).unwrap();
        assert_eq!(failed, decoded.len());
        assert!(decoded[..] == all[..failed] && failed >= all.len() - 5);
    }

    /// The first bytes go on before there is a chunk full of them, and nothing is decoded when
    /// nobody wants it.
    #[test]
    fn the_first_bytes_go_on_at_once() {
        let content = content(4 << 20);
        for (compression, blob) in [
            (Compression::Zstd, zstd(&content, 21)),
            (Compression::Gzip, gzip(&content)),
        ] {
            let limits = Limits::DEFAULT;
            let unwrap = Unwrap::new(compression, &Terms::from(&limits));
            let (to, from) = channel();
            let pool = Pool::new();
            let half = blob.len() / 2;
            to.send(pool.chunk(blob, 0..half)).unwrap();
            let sizes = std::cell::RefCell::new(Vec::new());
            let verdict = decode(unwrap.unwrap().unwrap(), from, |chunk| {
                sizes.borrow_mut().push(chunk.content().len());
                Err(Gone)
            });
            assert_eq!(verdict, Verdict::new());
            let [first] = sizes.into_inner()[..] else {
                panic!("one chunk")
            };
            assert!((SNIFF_SIZE..=SMALL).contains(&first), "{first}");
            drop(to);
        }
    }
}
