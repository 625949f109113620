//! The entry points of the module, called natively in any order with any arguments: they return
//! statuses, and touch no memory that is not theirs.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/sequence/mod.rs"]
mod sequence;

fuzz_target!(|script: &[u8]| sequence::run(script, 200));
