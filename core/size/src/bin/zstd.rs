//! A zstd layer with a window of 1 KiB, unpacked in memory that lies on the stack.
#![no_std]
#![no_main]

use erofs_unpack_core::Limits;
use erofs_unpack_core::codec::{Compression, ZstdIn};
use erofs_unpack_core::unpack::Unpacker;
use erofs_unpack_core_size::unpack;

/// The window, in bytes: the smallest.
const WINDOW: usize = 1 << 10;

erofs_unpack_core_size::program!(Unpacker<ZstdIn<'static>>, {
    let mut memory = [0; ZstdIn::memory(WINDOW)];
    unpack(
        || ZstdIn::new(&Limits::DEFAULT, &mut memory),
        Compression::Zstd,
    )
});
