//! `erofs-unpack stream` in the hands of a program that behaves as containerd does.

#![allow(clippy::std_instead_of_core, reason = "this is a test")]

#[path = "../common/mod.rs"]
mod common;

mod behaviour;
mod outputs;
mod processor;
mod vectors;
