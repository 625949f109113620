//! What an OCI registry says of a layer: media types, digests, annotations and documents.

mod digest;
mod media_type;

pub use digest::{Algorithm, Digest, Hasher};
pub use media_type::{Content, Family, LayerType, MediaKind, MediaType, TarCompression};
