//! tar archives as a stream: a reader that is given bytes and says what came of them, and the headers of
//! an archive that is written.
//!
//! What is read is POSIX.1-2017 `pax` ("pax Interchange Format", "ustar Interchange Format"), the
//! formats of GNU tar (long names, old sparse files, numbers in base 256), its sparse files in `pax`
//! headers (0.0, 0.1, 1.0), what libarchive adds (`LIBARCHIVE.xattr.`), and archives from before
//! POSIX. What names mean (`..`, `./`, whiteouts, links) is not the reader's: names are what is
//! stored.
//!
//! Tools differ in what they make of some archives. Whoever looked at an archive with one of them has
//! then not seen what another makes of it, so what GNU tar, bsdtar, Go's `archive/tar` (containerd,
//! Docker), Python and `mkfs.erofs` understand differently is refused, with these decisions:
//!
//! | what | who makes what of it | here |
//! |---|---|---|
//! | a `pax` keyword twice in one header | POSIX, all: the last | the last |
//! | an extended attribute in both forms, with two values | bsdtar: libarchive's, GNU tar, Go: star's | refused |
//! | two `x`, two `L`, two `K`, or `L` with a `path` | the first, the last, or an error | refused |
//! | `g` that sets owner or time | POSIX, GNU tar, Python, `mkfs.erofs`: it holds; bsdtar, Go: not | it holds |
//! | `g` that sets names, sizes, attributes, holes | the same | refused |
//! | `g` after `g` that does not set what that did | POSIX: both hold, GNU tar: the last alone | refused |
//! | a hard link with a size, not `pax` | all: there is no content | no content |
//! | a hard link with a size, `pax` | POSIX, bsdtar: content; Go, GNU tar: none | content, unless it could be a header |
//! | a time before 1970 with a fraction, `-1.5` | POSIX, GNU tar, Go: 1.5 s before; bsdtar: 0.5 s before | 1.5 s before |
//! | a size on a directory (type `5`) | POSIX: what it may hold; all: there is no content | no content |
//! | a size on a symbolic link, a device, a FIFO | `tar -t` passes over as much, others do not | refused |
//! | type `0` with a slash at the end of its name | GNU tar, bsdtar: a directory; Go, `mkfs.erofs`: a file | refused |
//! | no type, with such a slash (before POSIX) | all that read it: a directory | a directory |
//! | a volume's label, `V` | GNU tar, bsdtar, `mkfs.erofs`: passed over | passed over |
//! | types `D`, `M`, `N`, `X` and those of nobody | a file, a directory, nothing, an error | refused |
//! | one block of zeros, then more | GNU tar ends, Go refuses, `mkfs.erofs` goes on | refused |
//! | no end marker | all: as if it was there | taken, and said |
//!
//! Nothing is read at random, and memory is bounded by [`Limits`](crate::Limits): all extended headers
//! of one member by [`tar_header`](crate::Limits::tar_header), the map of one sparse file by
//! [`tar_extents`](crate::Limits::tar_extents).

mod entry;
mod extended;
mod header;
mod number;
mod reader;
mod sparse;
mod write;
mod xattr;

pub use entry::{Entry, EntryKind};
pub use reader::{Event, Reader};
pub use write::{Headers, Member, pad};

/// Whether a block is the header of a member: one that is not all zeros, with the right checksum.
#[must_use]
pub fn is_header(block: &[u8; BLOCK]) -> bool {
    let header = header::Header(block);
    !header.is_zero() && header.is_intact()
}

/// The unit of an archive, in bytes.
pub const BLOCK: usize = 512;
