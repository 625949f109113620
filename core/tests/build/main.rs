//! Images that are built: what was told is what is read, the check passes, and the same entries give
//! the same bytes.

#![cfg(feature = "build")]
#![allow(clippy::std_instead_of_alloc, reason = "this is a test")]

mod overlay;
mod paths;
mod refusals;
mod sparse;
mod support;
mod trees;
