//! Which flag raises which limit.

use erofs_unpack_core::codec::Zstd;
use erofs_unpack_core::{Code, Error, Value};

/// What to do about a limit that was hit: the flag that raises it, and how far it goes. `None`
/// where nothing helps.
pub(crate) fn advice(error: &Error) -> Option<String> {
    let flag = limit_flag(error.code())?;
    match (error.code(), error.found_value()) {
        (Code::ZstdWindow, Value::Number(window)) if window > Zstd::WINDOW => None,
        _ => Some(flag.to_owned()),
    }
}

/// The command line's flag that raises the limit which this code speaks of.
#[must_use]
pub const fn limit_flag(code: Code) -> Option<&'static str> {
    match code {
        Code::BlobLimit => Some("--max-blob-size"),
        Code::ImageLimit => Some("--max-image-size"),
        Code::ZstdWindow => Some("--max-window"),
        Code::FrameLimit => Some("--max-frames"),
        Code::ZstdSkippable => Some("--max-skippable-size"),
        Code::ExpansionLimit => Some("--max-expansion"),
        Code::JsonSize => Some("--max-json-size"),
        Code::JsonMembers => Some("--max-json-members"),
        Code::JsonDepth => Some("--max-json-depth"),
        Code::IndexDepth => Some("--max-index-depth"),
        Code::ManifestLayers => Some("--max-layers"),
        Code::InodeLimit => Some("--max-inodes"),
        Code::DirectoryEntries => Some("--max-directory-entries"),
        Code::CheckMemory => Some("--max-check-memory"),
        Code::CheckWork => Some("--max-check-work"),
        Code::DirectoryDepth => Some("--max-directory-depth"),
        Code::SymlinkLength => Some("--max-symlink-length"),
        Code::ChunkIndexLimit => Some("--max-chunk-index"),
        Code::ChunkLimit => Some("--max-chunk"),
        Code::BuildMemory => Some("--max-build-memory"),
        Code::TarHeaderLimit => Some("--max-tar-header"),
        Code::TarExtentLimit => Some("--max-tar-extents"),
        _ => None,
    }
}
