//! gzip: the seam and all inflaters, against the format, against zlib and against the tools.
#![allow(missing_docs, reason = "a test")]

mod chunks;
mod format;
mod streams;
mod support;
mod zlib;
