//! Compiles modules ahead of time, here and in `build.rs`.

use wasmtime::{Engine, Result};

use crate::config::{Interruption, Room, config};

/// The processors that a module is compiled for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Cpu {
    /// All of their kind.
    #[default]
    Any,
    /// On x86-64 those from 2013 on, with AVX2 and BMI2; elsewhere all.
    Haswell,
}

/// The machine code of a module, for processors of a target.
#[allow(unsafe_code, reason = "settings of the compiler are unsafe to change")]
pub(crate) fn precompile(
    wasm: &[u8],
    target: &str,
    cpu: Cpu,
    room: Room,
    interruption: Interruption,
) -> Result<Vec<u8>> {
    let mut config = config(room, interruption);
    // Naming a target keeps the abilities of this machine out.
    config.target(target)?;
    if cpu == Cpu::Haswell && target.starts_with("x86_64-") {
        // SAFETY: the preset names instructions only, and a module that was compiled with it is
        // not loaded on a processor that lacks one.
        unsafe {
            config.cranelift_flag_enable("haswell");
        }
    }
    Engine::new(&config)?.precompile_module(wasm)
}
