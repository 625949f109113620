//! Compressed images made by mkfs.erofs, read in every way and held against what they were
//! made of; maps made by hand; and damage.
#![cfg(feature = "alloc")]

extern crate alloc;

mod builder;
mod check;
#[path = "../common/mod.rs"]
mod common;
mod corrupt;
mod extents;
mod indexes;
mod made_by_mkfs;
mod support;
