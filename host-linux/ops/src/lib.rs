//! What erofs-unpack does, as a library: unpack and verify EROFS layers of container images, check
//! EROFS images, look into them, extract them, and keep containerd's cache of them.
//!
//! The core, `erofs-unpack-core`, decides what is valid; this crate brings bytes to it and takes
//! bytes away, so that a source can neither make it read outside of that source nor leave anything
//! unverified under a final name. It prints nothing, and never ends the process.
//!
//! | function | what it does | report |
//! |---|---|---|
//! | [`unpack()`] | verifies the layers of an image, or one layer, and publishes them plain | [`unpack::Report`] |
//! | [`build()`] | makes an EROFS image of a tar archive or a folder | [`build::Report`] |
//! | [`convert()`], [`convert::convert_list`] | makes images with EROFS layers of images with tar layers, one or many | [`convert::Report`] |
//! | [`wrap()`] | makes the blob of a layer of an image, with an index of its chunks | [`wrap::Report`] |
//! | [`unwrap()`] | verifies the blob of a layer and publishes the image in it | [`unpack::Report`] |
//! | [`index::show`], [`index::verify`], [`index::add`] | the index of a layer's chunks | [`index::Report`] |
//! | [`check()`] | says whether the kernel may be handed an image, or each layer of a layout | [`check::Report`] |
//! | [`inspect()`] | says what a layout, a blob or an image is | [`inspect::Report`] |
//! | [`extract()`] | creates the files of an image in a directory, or writes a tar stream | [`extract::Report`] |
//! | [`cache::put`], [`cache::list`], [`cache::verify`], [`cache::gc`] | containerd's cache of layer content | [`cache::Report`] |
//! | [`verity::format`], [`verity::verify`], [`verity::info`] | dm-verity trees in files | [`verity::Report`] |
//! | [`stream()`] | decodes a layer from stdin to stdout, for containerd | [`stream::Report`] |
//! | [`doctor()`] | says what a machine lacks for EROFS layers | [`doctor::Report`] |
//!
//! Each takes a source, a destination where it has one, options, and an [`Observer`] where it
//! takes a while. Each gives a report that serialises to what the program prints with `--json`. An
//! operation that has something to report also where it does not come to its end gives a
//! [`Done`], which holds the report and what went wrong.
//!
//! ```
//! use std::path::Path;
//!
//! use erofs_unpack_ops::unpack::{Destination, Options};
//! use erofs_unpack_ops::{HostError, unpack};
//!
//! # fn main() -> Result<(), HostError> {
//! # let layout = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/layouts/demo");
//! # let dir = std::env::temp_dir().join(format!("ops-example-{}", std::process::id()));
//! let folder = Destination::Path(dir.join("layers"));
//! # std::fs::create_dir(&dir).unwrap();
//! let done = unpack(Path::new(layout), &folder, &Options::default(), &());
//! let report = done.ok()?;
//! for layer in &report.layers {
//!     println!("{} {:?}", layer.status, layer.file);
//! }
//! assert_eq!(report.layers.len(), 3);
//! # std::fs::remove_dir_all(dir).unwrap();
//! # Ok(())
//! # }
//! ```
//!
//! Below the operations, in the order in which they stand on each other:
//!
//! | module | what is in it |
//! |---|---|
//! | [`source`] | OCI layouts, OCI archives, single blobs |
//! | [`image`] | from a layout to the layers of one image |
//! | [`image_file`] | one EROFS image to read in, plain or from a blob |
//! | [`reader`] | files in an image by their paths, and what is reported of them |
//! | [`image_check`] | the check of one image that is open |
//! | [`layer`] | one layer, from its blob into an output file |
//! | [`pipeline`] | the stages of the core, on threads where there are any |
//! | [`publish`] | output files that are unnamed until they are complete and verified |
//! | [`sandbox`] | where decoders and checks run: as they are, or in a sandbox |
//! | [`mount`] | how unpacked layers are mounted together |
//! | [`report`] | what reports are made of |
//! | [`system`] | the seam to Linux and WASI |
//!
//! Built for WASI (`wasm32-wasip1`) it has `unpack`, `check`, `inspect` and [`reader`], and no sandbox.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this crate is the one that has std"
)]

#[cfg(target_os = "linux")]
pub mod build;
#[cfg(target_os = "linux")]
pub mod cache;
pub mod check;
mod checked;
mod chunked;
#[cfg(target_os = "linux")]
pub mod convert;
#[cfg(target_os = "linux")]
pub mod doctor;
mod done;
mod error;
mod escape;
#[cfg(target_os = "linux")]
pub mod extract;
mod file_at;
#[cfg(target_os = "linux")]
mod file_reader;
mod hint;
pub mod image;
pub mod image_check;
pub mod image_file;
#[cfg(target_os = "linux")]
pub mod index;
mod indexed;
pub mod inspect;
pub mod layer;
mod layer_file;
mod limit_flag;
mod memory;
pub mod mount;
mod objects;
pub mod observer;
mod opening;
mod options;
mod ordered;
pub mod parallel;
mod pieces;
pub mod pipeline;
mod place;
pub mod publish;
pub mod reader;
pub mod report;
pub mod sandbox;
pub mod sidecar;
pub mod source;
#[cfg(target_os = "linux")]
pub mod stream;
pub mod system;
pub mod unpack;
#[cfg(target_os = "linux")]
mod unwrap;
pub mod verity;
#[cfg(target_os = "linux")]
pub mod wrap;

#[cfg(target_os = "linux")]
pub use build::build;
pub use check::check;
pub use chunked::RandomReads;
#[cfg(target_os = "linux")]
pub use convert::convert;
#[cfg(target_os = "linux")]
pub use doctor::doctor;
pub use done::{Done, Failure};
pub use error::{CacheFault, ChoiceFault, ExtractFault, HostError, SourceFault, TargetFault};
pub use escape::Escaped;
#[cfg(target_os = "linux")]
pub use extract::extract;
pub use hint::hint;
pub use inspect::inspect;
pub use limit_flag::limit_flag;
pub use observer::Observer;
pub use options::{Checks, Select};
pub use sandbox::Sandbox;
#[cfg(target_os = "linux")]
pub use stream::stream;
pub use unpack::unpack;
#[cfg(target_os = "linux")]
pub use unwrap::unwrap;
#[cfg(target_os = "linux")]
pub use wrap::wrap;

/// The examples of the project's README, so that they are tested.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
#[derive(Debug)]
pub struct ProjectReadme;

/// The example of this crate's README, so that it is tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
