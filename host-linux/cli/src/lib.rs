//! The commands that all hosts of erofs-unpack have, `unpack`, `check`, `inspect` and those that
//! look into an image, and what all commands share: arguments, output, progress bars. What the commands do is not in here: that is
//! `erofs-unpack-ops`.
//!
//! The way of a command is *arguments → operation → report → text*: [`args`] has the arguments,
//! and turns them into an operation's options; [`command`] calls the operation and makes text of
//! its report. A command of one host alone stands in that host's program, in the same form.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this crate is for programs"
)]

pub mod args;
pub mod bars;
pub mod command;
pub mod date;
mod json;
pub mod output;
