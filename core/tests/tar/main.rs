//! The tar reader: against the tools that write archives, against what they list, and on archives
//! that are made to be wrong.
#![cfg(feature = "alloc")]
#![allow(missing_docs, reason = "a test")]

mod headers;
mod support;
