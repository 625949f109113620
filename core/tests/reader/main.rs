//! The EROFS reader, against images made by hand, by `mkfs.erofs`, and damaged on purpose.
#![cfg(feature = "alloc")]
#![allow(
    missing_docs,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "a test"
)]

mod build;
mod content;
mod corrupt;
mod directories;
mod explore;
#[cfg(target_os = "linux")]
mod mkfs;
#[cfg(target_os = "linux")]
mod tree;
mod xattrs;
