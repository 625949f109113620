//! What an OCI registry says of a layer: media types, digests, annotations and documents.

mod digest;

pub use digest::{Algorithm, Digest, Hasher};
