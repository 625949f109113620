//! erofs-unpack as a WebAssembly module for any runtime: see `host-wasm/ABI.md`.
//!
//! What is valid is decided by the core. This crate keeps handles and buffers, and turns plain
//! integers into the core's types and back. Everything but the file `abi.rs` is safe code; that
//! file holds the entry points, the one global and the one import.
//!
//! The entry points are there on every target, so that tests can call them natively.

#[cfg(feature = "check")]
extern crate alloc;

pub mod abi;
mod answer;
mod decoding;
#[cfg(feature = "check")]
mod image;
mod instance;
#[cfg(feature = "check")]
mod reader;
mod settings;
#[cfg(feature = "check")]
mod source;

pub use instance::{ANSWER_SIZE, HANDLES, INPUT_SIZE, OUTPUT_SIZE};

/// What entry points return when they do not return a length, a handle or a number.
pub mod status {
    /// Done; of `eu_push`: the input may end here, or go on.
    pub const OK: i32 = 0;
    /// `eu_push`: more input is needed, an input that ends here is cut off.
    pub const NEED_INPUT: i32 = 1;
    /// `eu_push`: call again, with what is left of the input; there is more output.
    pub const NEED_OUTPUT: i32 = 2;
    /// `eu_push`: a member's content has ended, and `eu_crc` is to be called before the next.
    pub const NEED_CRC: i32 = 4;
    /// `eu_check`: the check has come to its end, and the image is refused by its findings.
    pub const FINDINGS: i32 = 3;
    /// Refused: `eu_error` says why.
    pub const REFUSED: i32 = -1;
    /// There is no such handle.
    pub const HANDLE: i32 = -2;
    /// Not at this time, or not for this sort of handle.
    pub const ORDER: i32 = -3;
    /// A length or a place beyond the end of a buffer or list.
    pub const RANGE: i32 = -4;
    /// There is no such key, for this sort of handle.
    pub const KEY: i32 = -5;
    /// The value is none that this key can have, or there is none to give.
    pub const VALUE: i32 = -6;
    /// There is no memory, or there are too many handles.
    pub const MEMORY: i32 = -7;
    /// Another call is on its way, or one has ended in a trap.
    pub const BUSY: i32 = -8;
    /// `read_at` of the host has said that it failed.
    pub const SOURCE: i32 = -9;
}
