//! `erofs-unpack build`: what the kernel shows of its images is what it shows of `mkfs.erofs`'s, and
//! what was in the folder or the archive.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "what std has is wanted together"
)]

#[path = "../common/mod.rs"]
mod common;

mod folder;
mod forms;
mod kernel;
mod memory;
mod options;
mod pair;
mod refusals;
mod seen;
mod support;
mod tar;
