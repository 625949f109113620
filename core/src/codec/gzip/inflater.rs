//! The seam to the inflaters: one deflate stream after another, with nothing of gzip.

#[cfg(any(feature = "miniz_oxide", feature = "zlib-rs"))]
use super::library::Asked;
#[cfg(feature = "miniz_oxide")]
use super::miniz_oxide::Miniz;
use super::step::{InflateStatus, InflateStep};
#[cfg(feature = "zlib-rs")]
use super::zlib_rs::ZlibRs;
use crate::codec::inflate::{Inflate, Output, Past, Status};

/// What undoes deflate behind [`Gzip`](super::Gzip).
///
/// All take the same streams and give the same content. Of a stream that is corrupt and cut off
/// behind its fault, one may say that it is cut off: `miniz_oxide` refuses the code of the code
/// lengths without symbols at once, where the others, as zlib, read all code lengths first; and it
/// misses a code for the end of the block, where there is none, only at bits that are no code,
/// with the literals before them delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// This crate's own: the fastest of them, without unsafe code and without an allocator.
    #[default]
    Own,
    /// `miniz_oxide`: a second opinion, also without unsafe code.
    #[cfg(feature = "miniz_oxide")]
    Miniz,
    /// `zlib-rs`: a second opinion; it holds unsafe code.
    #[cfg(feature = "zlib-rs")]
    ZlibRs,
}

impl Backend {
    /// What [`Gzip::new`](super::Gzip::new) takes.
    pub const DEFAULT: Self = Self::Own;

    /// Whether it has unsafe code.
    #[must_use]
    pub const fn has_unsafe(self) -> bool {
        match self {
            Self::Own => false,
            #[cfg(feature = "miniz_oxide")]
            Self::Miniz => false,
            #[cfg(feature = "zlib-rs")]
            Self::ZlibRs => true,
        }
    }

    /// All that are compiled in.
    pub const ALL: &'static [Self] = &[
        Self::Own,
        #[cfg(feature = "miniz_oxide")]
        Self::Miniz,
        #[cfg(feature = "zlib-rs")]
        Self::ZlibRs,
    ];
}

/// An inflater of raw deflate streams, RFC 1951.
// Where there is no allocator, there is nowhere else to put the tables.
#[cfg_attr(
    any(feature = "miniz_oxide", feature = "zlib-rs"),
    expect(clippy::large_enum_variant)
)]
pub(super) enum Inflater {
    Own(Inflate),
    /// Made at the first use, for the same reason on the heap.
    #[cfg(feature = "miniz_oxide")]
    Miniz(Option<alloc::boxed::Box<Asked<Miniz>>>),
    #[cfg(feature = "zlib-rs")]
    ZlibRs(Asked<ZlibRs>),
}

/// Where content goes.
pub(super) struct Room<'a> {
    pub(super) memory: &'a mut [u8],
    /// From here on.
    pub(super) at: usize,
    /// At most up to here.
    pub(super) end: usize,
    /// What came before the memory.
    pub(super) past: Past<'a>,
}

#[cfg(any(feature = "miniz_oxide", feature = "zlib-rs"))]
impl<'a> Room<'a> {
    fn slice(self) -> &'a mut [u8] {
        self.memory.get_mut(self.at..self.end).unwrap_or(&mut [])
    }
}

impl Inflater {
    pub(super) const fn new(backend: Backend) -> Self {
        match backend {
            Backend::Own => Self::Own(Inflate::new()),
            #[cfg(feature = "miniz_oxide")]
            Backend::Miniz => Self::Miniz(None),
            #[cfg(feature = "zlib-rs")]
            Backend::ZlibRs => Self::ZlibRs(Asked::new(ZlibRs::new())),
        }
    }

    pub(super) const fn backend(&self) -> Backend {
        match self {
            Self::Own(_) => Backend::Own,
            #[cfg(feature = "miniz_oxide")]
            Self::Miniz(_) => Backend::Miniz,
            #[cfg(feature = "zlib-rs")]
            Self::ZlibRs(_) => Backend::ZlibRs,
        }
    }

    /// Makes ready for a new stream. To be called before each, the first included.
    pub(super) fn start(&mut self) {
        match self {
            Self::Own(inflate) => inflate.reset(),
            #[cfg(feature = "miniz_oxide")]
            Self::Miniz(miniz) => on_heap(miniz).start(),
            #[cfg(feature = "zlib-rs")]
            Self::ZlibRs(zlib) => zlib.start(),
        }
    }

    /// Inflates until the input is used up, the room is full, or the stream ends or breaks.
    pub(super) fn inflate(&mut self, input: &[u8], room: Room<'_>) -> InflateStep {
        match self {
            Self::Own(inflate) => own(inflate, input, room),
            #[cfg(feature = "miniz_oxide")]
            Self::Miniz(miniz) => on_heap(miniz).inflate(input, room.slice()),
            #[cfg(feature = "zlib-rs")]
            Self::ZlibRs(zlib) => zlib.inflate(input, room.slice()),
        }
    }

    /// How much of what was written last must lie before the next that is written, or in the past.
    pub(super) const fn history(&self) -> usize {
        match self {
            Self::Own(inflate) => inflate.history(),
            #[cfg(any(feature = "miniz_oxide", feature = "zlib-rs"))]
            _ => 0,
        }
    }
}

fn own(inflate: &mut Inflate, input: &[u8], room: Room<'_>) -> InflateStep {
    let Room {
        memory,
        at,
        end,
        past,
    } = room;
    let stretch = inflate.run(
        input,
        Output {
            memory,
            at,
            end,
            past,
        },
    );
    InflateStep {
        consumed: stretch.consumed,
        produced: stretch.end.saturating_sub(at),
        status: match stretch.status {
            Status::Input => InflateStatus::Input,
            Status::Output => InflateStatus::Output,
            Status::End => InflateStatus::End,
            Status::Corrupt => InflateStatus::Corrupt,
        },
    }
}

#[cfg(feature = "miniz_oxide")]
fn on_heap(miniz: &mut Option<alloc::boxed::Box<Asked<Miniz>>>) -> &mut Asked<Miniz> {
    miniz.get_or_insert_with(|| alloc::boxed::Box::new(Asked::new(Miniz::new())))
}
