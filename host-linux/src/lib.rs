//! The Linux side of erofs-unpack: files, OCI layouts and archives, and the publishing of
//! what has been verified.
//!
//! Nothing here judges a format of a layer: that is `erofs-unpack-core`'s work. This crate
//! brings bytes to it and takes bytes away, so that a source can neither make it read outside
//! of that source nor leave anything unverified under a final name.
//!
//! | module | what it does |
//! |---|---|
//! | [`layer`] | one layer, from its blob into an output file |
//! | [`pipeline`] | the stages of the core on threads |
//! | [`publish`] | output files that are unnamed until they are complete and verified |
//! | [`source`] | OCI layouts, OCI archives, single blobs |
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this crate is the one that has std"
)]

mod error;
mod escape;
pub mod layer;
pub mod pipeline;
pub mod publish;
pub mod source;

pub use error::{HostError, TargetFault, limit_flag};
pub use escape::Escaped;
