//! Nothing but what every program here has.
#![no_std]
#![no_main]

erofs_unpack_core_size::program!((), Ok(0));
