//! A plain layer, unpacked.
#![no_std]
#![no_main]

use erofs_unpack_core::codec::{Compression, Raw};
use erofs_unpack_core::unpack::Unpacker;
use erofs_unpack_core_size::unpack;

erofs_unpack_core_size::program!(Unpacker<Raw>, unpack(|| Raw, Compression::None));
