//! What an OCI registry says of a layer: media types, digests, annotations and documents.

mod annotation;
mod digest;
mod media_type;

pub use annotation::{ByteRange, DMVERITY_BLOCK_SIZE_DEFAULT, ErofsAnnotations, Role, keys};
pub use digest::{Algorithm, Digest, Hasher};
pub use media_type::{Content, Family, LayerType, MediaKind, MediaType, TarCompression};
