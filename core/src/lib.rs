//! Reads, unpacks and verifies EROFS container image layers.
//!
//! The crate holds every decision of erofs-unpack and no I/O: state machines that take
//! slices and say what they consumed, what they produced and what they need next. It has no
//! `unsafe`, no clock, no thread and no global, and it does not panic on any input.
//!
//! | module | what it reads | needs |
//! |---|---|---|
//! | [`oci`] | media types, digests, annotations; descriptors, manifests, indexes, configs | nothing; `alloc` for JSON |
//! | [`codec`] | the wire forms of a layer: plain, gzip, zstd | nothing; `alloc` for zstd |
//! | [`erofs`] | an EROFS image: its records, and a reader | nothing; `alloc` for the reader |
//! | [`fsverity`] | the digest by which the kernel's fs-verity knows a file | nothing |
//! | [`seekable`] | where the chunks of a layer lie, and an image that is read out of them | nothing; `alloc` for decoding |
//! | `build` | nothing: makes an EROFS image out of entries | `build` |
//! | [`tar`] | tar archives as a stream | `alloc` |
//! | [`check`] | all of an image, for breaches of the rules | `alloc` |
//! | [`verity`] | dm-verity superblocks and trees, made and verified | nothing |
//! | [`unpack`] | one layer from blob to verified image | nothing |
//!
//! Errors are one type, [`Error`]: a stable [`Code`], where it was, what was found and what
//! was expected. Limits are one type too, [`Limits`]; nothing that is read from the input
//! sizes an allocation or a loop without one.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unreachable,
        clippy::unwrap_used,
    )
)]
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        clippy::std_instead_of_alloc,
        clippy::std_instead_of_core
    )
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(feature = "build")]
pub mod build;
pub(crate) mod bytes;
#[cfg(feature = "alloc")]
pub mod check;
pub mod codec;
pub mod erofs;
mod error;
mod field_path;
pub mod fsverity;
mod limits;
pub mod oci;
pub mod seekable;
#[cfg(feature = "alloc")]
pub mod tar;
pub mod unpack;
pub mod verity;

pub use error::{At, Code, Error, Kind, Value};
pub use field_path::FieldPath;
pub use limits::Limits;

/// The examples of the README, so that they are tested. The first needs nothing beyond the
/// smallest tier.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct Readme;
