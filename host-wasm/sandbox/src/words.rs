//! The fixed words that errors hold. A record brings them as bytes; an error has them for ever.

use erofs_unpack_core::erofs::NEEDS;

/// Every word that a decoder or a check says, but for what images need of the kernel. A test compares
/// with what the core says natively.
const WORDS: &[&str] = &[
    "a member",
    "a member or zeros",
    "the rest of the header",
    "the rest of the deflate stream",
    "the rest of the trailer",
    "1 to 256 bytes",
    "4096 to 8388608",
    "a power of two from 9 to 16",
    "bits 0 to 3",
    "a third dot entry",
    "there",
    "missing",
    "shifted",
    "interlaced",
    "lz4",
    "lzma",
    "deflate",
    "zstd",
    "gzip",
    "none",
    "sha256: and 32 bytes",
    "a start within a logical cluster",
    "bytes other than zero",
    "what cannot be read",
];

/// The word that these bytes are.
pub(crate) fn known(bytes: &[u8]) -> Option<&'static str> {
    let of_needs = NEEDS.iter().flat_map(|need| [need.name, need.releases]);
    let mut words = WORDS.iter().copied().chain(of_needs);
    words.find(|word| word.as_bytes() == bytes)
}
