//! The module that this crate carries, compiled by `build.rs`, and the one place that makes code
//! of it.

use crate::config::Room;
use crate::load::{Late, LoadError, Sandbox};

/// For the processors of the target; on x86-64 for those from 2013 on, with AVX2 and BMI2.
const FAST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/fast.cwasm"));
/// For every processor, within the memory that a guest has. It is slower. A third form, for older
/// processors with addresses to spare, would be an eighth of the program.
const PLAIN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/plain.cwasm"));

impl Sandbox {
    /// The module that this crate carries, in the form that suits this machine and this process.
    /// It was compiled while the program was built, and takes a millisecond to load. Its guests
    /// do not look at a clock.
    ///
    /// # Errors
    ///
    /// When the system does not give what it needs: a thread, and memory for code.
    pub fn embedded(late: &Late) -> Result<Self, LoadError> {
        // wasmtime refuses code for another processor.
        if !addresses_are_limited()
            && let Ok(sandbox) = load(FAST, Room::Reserved, late)
        {
            return Ok(sandbox);
        }
        load(PLAIN, Room::Tight, late)
    }
}

/// Whether four gigabytes for each guest are too many.
#[cfg(unix)]
fn addresses_are_limited() -> bool {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::As).current.is_some()
}

#[cfg(not(unix))]
fn addresses_are_limited() -> bool {
    false
}

#[allow(unsafe_code, reason = "the machine code is the program's own")]
fn load(code: &'static [u8], room: Room, late: &Late) -> Result<Sandbox, LoadError> {
    // SAFETY: this function is private, and called with the constants above alone: what
    // `precompile` gave while this crate was built, with the same `Interruption`.
    unsafe { Sandbox::precompiled(code, room, Some(late.clone())) }
}
