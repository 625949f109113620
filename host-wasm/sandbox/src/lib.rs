//! Unpacks and checks EROFS image layers inside a WebAssembly sandbox.
//!
//! The decoders and the check, the parts that bugs live in, run in a guest: a module that
//! `host-wasm/guest` makes, on wasmtime. It sees the bytes of one layer and nothing else: no
//! files, no clock, no other layer, so much memory and so much time. A guest that breaks down,
//! asks for too much, takes too long, or gives answers that cannot be true is a refused layer.
//!
//! The host stays in charge of what is valid where it costs little: it takes the digests, counts
//! the bytes and looks at the superblock itself, on the bytes that went in and came out. So a
//! guest that lies cannot make another image pass for the one whose digest was stated.
//!
//! [`Sandbox`] holds the compiled module: the one that this crate carries (`Sandbox::embedded`,
//! feature `embedded`), or another (`Sandbox::compile`, feature `compile`). [`Sandbox::decoder`] is a [`Decoder`] like those of
//! the core, [`Sandbox::unpacker`] the core's unpacker around one, [`Sandbox::unpack`] brings a
//! whole layer from a reader to a writer, with the digest of the image on a second thread, and
//! [`Sandbox::check`] checks an image. Each of them has a fresh instance of its own.
//!
//! [`Decoder`]: erofs_unpack_core::codec::Decoder
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this crate is for hosts"
)]

mod about;
mod check;
#[cfg(feature = "compile")]
mod compile;
mod config;
mod decoder;
#[cfg(feature = "embedded")]
mod embedded;
mod guest;
mod layer;
mod load;
mod record;
mod ticker;
mod words;

pub use check::{Found, Source};
#[cfg(feature = "compile")]
pub use compile::Cpu;
pub use config::{Interruption, Room};
pub use decoder::SandboxDecoder;
pub use guest::{Cancel, Options};
pub use layer::Stop;
pub use load::{Late, LoadError, Sandbox};
