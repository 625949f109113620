//! The conformance suite of erofs-unpack: the generator of `vectors/`, and the runner that
//! holds a decoder against them.
//!
//! | module | what it does |
//! |---|---|
//! | [`manifest`] | `manifest.json` as types |
//! | [`blob`] | inputs: files, and recipes for what is too large to be one |
//! | [`run`] | runs cases on a [`Backend`](run::Backend) and compares the answers |
//! | [`native`] | the back end that calls the core |
//! | `sandboxed` | with the feature `wasm`: the back end that decodes and checks in a sandbox |
//! | `interpreted` | with the feature `wasmi`: the back end that asks the module in an interpreter |
//! | [`program`], [`mapping`] | the back end that asks a program, and how it is asked |
//! | [`kernel`] | the back end that mounts an image and reads all of it |
//! | [`batch`] | the back end that is asked by one file, and answers in another |
//! | [`suite`], [`results`] | all cases on several back ends, and what came of it as text |
//! | [`files`] | asks the core about files of other suites, in folders that say what they must be |
//! | [`coverage`] | which case reaches which error |
//! | [`generate`] | writes the vectors, or says whether they are what it would write |
//! | [`seeds`] | writes the inputs of the cases as seeds for fuzzing |
//! | [`sieve`] | asks the core, the kernel and `fsck.erofs` about images with one bit flipped |
//!
//! What is valid is said by the manifest alone. The generator states each expected answer by
//! hand, from the specification; nothing here asks the core what to expect.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this crate has std"
)]

pub mod batch;
pub mod blob;
pub mod coverage;
pub mod files;
pub mod generate;
#[cfg(feature = "wasmi")]
pub mod interpreted;
pub mod kernel;
pub mod manifest;
pub mod mapping;
pub mod native;
pub mod program;
pub mod results;
pub mod run;
#[cfg(feature = "wasm")]
pub mod sandboxed;
pub mod seeds;
pub mod sieve;
pub mod suite;
