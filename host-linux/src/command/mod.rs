//! The commands that only this program has: each calls its operation and makes text of the report.

pub(crate) mod build;
pub(crate) mod cache;
pub(crate) mod convert;
pub(crate) mod doctor;
pub(crate) mod documents;
pub(crate) mod extract;
pub(crate) mod index;
pub(crate) mod rules;
pub(crate) mod stream;
pub(crate) mod unwrap;
pub(crate) mod verity;
pub(crate) mod wrap;
