//! The module that `build.rs` has compiled for this target, and the one place that makes code
//! of it.

use erofs_unpack_sandbox::{Late, LoadError, Room, Sandbox};
use rustix::process::{Resource, getrlimit};

/// For every processor of the target.
const ANY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/any.cwasm"));
/// For those with AVX2 and BMI2, where the target is x86-64.
const HASWELL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/haswell.cwasm"));
/// For every processor, within the memory that a guest has.
const TIGHT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tight.cwasm"));

/// The sandbox, in the form that suits this machine and this process.
pub(super) fn load(late: &Late) -> Result<Sandbox, LoadError> {
    // Where addresses are counted, four gigabytes for each guest are too many.
    if getrlimit(Resource::As).current.is_some() {
        return sandbox(TIGHT, Room::Tight, late);
    }
    // wasmtime refuses code for another processor.
    sandbox(HASWELL, Room::Reserved, late).or_else(|_| sandbox(ANY, Room::Reserved, late))
}

#[allow(unsafe_code, reason = "the machine code is the program's own")]
fn sandbox(code: &'static [u8], room: Room, late: &Late) -> Result<Sandbox, LoadError> {
    // SAFETY: this function is private, and called with the constants above alone: what
    // `Sandbox::precompile` gave while this program was built.
    unsafe { Sandbox::precompiled(code, room, Some(late.clone())) }
}
