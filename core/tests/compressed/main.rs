//! Compressed images made by mkfs.erofs, read in every way and held against what they were
//! made of; and damaged ones.
#![cfg(feature = "alloc")]

extern crate alloc;

mod made_by_mkfs;
mod support;
