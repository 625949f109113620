//! dm-verity trees in files: made, verified and shown, with the words of `veritysetup`; and the
//! second way through an image whose tree has a salt that was not known before.
//!
//! What a tree is, and which one is right, the core decides; here are files and threads.

#[cfg(target_os = "linux")]
mod append;
#[cfg(target_os = "linux")]
mod blocks;
#[cfg(target_os = "linux")]
mod disk;
#[cfg(target_os = "linux")]
mod format;
#[cfg(target_os = "linux")]
mod header;
#[cfg(target_os = "linux")]
mod info;
#[cfg(target_os = "linux")]
mod report;
mod settle;
#[cfg(target_os = "linux")]
mod verify;

#[cfg(target_os = "linux")]
pub use format::{FormatOptions, format};
#[cfg(target_os = "linux")]
pub use header::Place;
#[cfg(target_os = "linux")]
pub use info::info;
#[cfg(target_os = "linux")]
pub use report::Report;
#[cfg(target_os = "linux")]
pub use verify::{VerifyOptions, verify};

#[cfg(target_os = "linux")]
pub(crate) use append::{append, append_salted};
#[cfg(target_os = "linux")]
pub(crate) use format::uuid_of;
#[cfg(target_os = "linux")]
pub(crate) use header::Found;
pub(crate) use settle::{guess, settle};
#[cfg(target_os = "linux")]
pub(crate) use verify::verify_tree;
