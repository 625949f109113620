//! `erofs-unpack extract`: what it creates is what the kernel shows of the image, and nothing
//! that an image or a target holds leads out of the target.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "what std has is wanted together"
)]

mod damaged;
mod everything;
mod hostile;
mod limits;
mod objects;
mod support;
mod tar;
mod user;
mod wrapped;
mod xattrs;
