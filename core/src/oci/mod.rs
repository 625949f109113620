//! What an OCI registry says of a layer: media types, digests, annotations and documents.
//!
//! Media types, digests and annotations need no allocation. The documents do: [`Document`]
//! (a manifest or an index), [`Config`], and [`plan`], which says from both what each layer is
//! for and what is expected of it.

mod annotation;
#[cfg(feature = "alloc")]
mod config;
#[cfg(feature = "alloc")]
mod descriptor;
mod digest;
#[cfg(feature = "alloc")]
mod document;
#[cfg(feature = "alloc")]
mod entries;
#[cfg(feature = "alloc")]
mod find;
#[cfg(feature = "alloc")]
mod json;
#[cfg(feature = "alloc")]
mod layers;
mod media_type;
#[cfg(feature = "alloc")]
mod platform;

pub use annotation::{ByteRange, DMVERITY_BLOCK_SIZE_DEFAULT, ErofsAnnotations, Role, keys};
#[cfg(feature = "alloc")]
pub use config::Config;
#[cfg(feature = "alloc")]
pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, Hasher};
#[cfg(feature = "alloc")]
pub use document::{CONTAINERD_NAME, Document, Index, Manifest, REF_NAME, parse_layout};
#[cfg(feature = "alloc")]
pub use entries::Unusable;
#[cfg(feature = "alloc")]
pub use find::{Choice, Documents, Fetched, Found, NotFound, Several, UnusableEntry, Wanted, find};
#[cfg(feature = "alloc")]
pub use layers::{DiffIdSource, Layer, LayerRole, Plan, Policy, Warning, device_tags, plan};
pub use media_type::{
    Content, Family, LayerType, MediaKind, MediaType, StreamType, TarCompression,
};
#[cfg(feature = "alloc")]
pub use platform::{FEATURE_EROFS, FullPlatform, Platform, Rank};
