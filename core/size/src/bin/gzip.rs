//! A gzip layer, unpacked.
#![no_std]
#![no_main]

use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::{Compression, Gzip};
use erofs_unpack_core::unpack::Unpacker;
use erofs_unpack_core_size::unpack;

erofs_unpack_core_size::program!(
    Unpacker<Gzip>,
    unpack(|| Gzip::new(&Limits::DEFAULT), Compression::Gzip)
);
