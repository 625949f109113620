//! The side of erofs-unpack that has a system under it: files, OCI layouts and archives, and the
//! publishing of what has been verified.
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
//! | [`os`] | what Linux and WASI do not have in common |
//! | [`pipeline`] | the stages of the core, on threads where there are any |
//! | [`progress`] | progress bars |
//! | [`publish`] | output files that are unnamed until they are complete and verified |
//! | [`report`] | what was done, as JSON |
//! | [`source`] | OCI layouts, OCI archives, single blobs |
//! | [`wall`] | what the process gives up before it looks at a stranger's bytes |
//!
//! Built for WASI it is what the commands `unpack`, `check` and `inspect` need, and no more: no
//! threads, no sandbox, no bars.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this crate is the one that has std"
)]

#[cfg(target_os = "linux")]
pub mod cache;
pub mod cli;
pub mod command;
mod date;
#[cfg(target_os = "linux")]
pub mod doctor;
mod error;
mod escape;
pub mod examine;
#[cfg(target_os = "linux")]
pub mod extract;
pub mod image;
pub mod image_file;
#[cfg(target_os = "linux")]
mod image_path;
pub mod isolation;
#[cfg(target_os = "linux")]
mod json;
pub mod layer;
mod limit_flag;
pub mod mount;
pub mod os;
pub mod pipeline;
mod processors;
pub mod progress;
pub mod publish;
pub mod report;
mod say;
pub mod source;
#[cfg(target_os = "linux")]
pub mod wall;
#[cfg(target_os = "wasi")]
#[path = "wall/none.rs"]
pub mod wall;

pub use error::{CacheFault, ExtractFault, HostError, SourceFault, TargetFault};
pub use escape::Escaped;
pub use limit_flag::limit_flag;

/// The example of the project's README, so that it is tested.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;
