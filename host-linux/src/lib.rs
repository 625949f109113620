//! The Linux side of erofs-unpack: files, OCI layouts and archives, and the publishing of
//! what has been verified.
//!
//! Nothing here judges a format of a layer: that is `erofs-unpack-core`'s work. This crate
//! brings bytes to it and takes bytes away, so that a source can neither make it read outside
//! of that source nor leave anything unverified under a final name.
//!
//! | module | what it does |
//! |---|---|
//! | [`cache`] | containerd's cache of layer content |
//! | [`command`] | the commands of the program, [`cli`] their arguments |
//! | [`doctor`] | what a machine lacks for EROFS layers |
//! | [`examine`] | the check of an unpacked image |
//! | [`extract`] | the files of an image, created in a directory or as a tar stream |
//! | [`image`] | from a layout to the layers of one image |
//! | [`image_file`] | one EROFS image to read in, plain or from a blob |
//! | [`isolation`] | where decoders and checks run: as they are, or in a sandbox |
//! | [`layer`] | one layer, from its blob into an output file |
//! | [`mount`] | how unpacked layers are mounted together |
//! | [`pipeline`] | the stages of the core on threads |
//! | [`progress`] | progress bars |
//! | [`publish`] | output files that are unnamed until they are complete and verified |
//! | [`report`] | what was done, as JSON |
//! | [`source`] | OCI layouts, OCI archives, single blobs |
//! | [`wall`] | what the process gives up before it looks at a stranger's bytes |
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this crate is the one that has std"
)]

pub mod cache;
pub mod cli;
pub mod command;
mod date;
pub mod doctor;
mod error;
mod escape;
pub mod examine;
pub mod extract;
pub mod image;
pub mod image_file;
mod image_path;
pub mod isolation;
mod json;
pub mod layer;
mod limit_flag;
pub mod mount;
pub mod pipeline;
mod processors;
pub mod progress;
pub mod publish;
pub mod report;
mod say;
pub mod source;
pub mod wall;

pub use error::{HostError, TargetFault};
pub use escape::Escaped;
pub use limit_flag::limit_flag;

/// The example of the project's README, so that it is tested.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;
