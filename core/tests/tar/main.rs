//! The tar reader: against the tools that write archives, against what they list, and on archives
//! that are made to be wrong.
#![cfg(feature = "alloc")]
#![allow(missing_docs, reason = "a test")]

mod cuts;
mod extended;
mod headers;
mod picking;
mod sparse;
mod support;
#[cfg(target_os = "linux")]
mod tools;
mod written;
