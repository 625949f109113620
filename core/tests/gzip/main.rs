//! gzip: the seam and both inflaters, against the format, against zlib and against the tools.
#![allow(missing_docs, reason = "a test")]

mod chunks;
mod format;
mod support;
