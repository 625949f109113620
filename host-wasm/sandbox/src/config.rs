//! How modules are compiled and run. It must be the same where a module is compiled and where it
//! runs, which wasmtime tests when a compiled module is loaded; so `build.rs` includes this file.

use wasmtime::Config;

/// How a guest's memory lies in the address space.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Room {
    /// Four gigabytes are set aside for each guest, so that its addresses need no test: what
    /// lies outside traps by itself. Only addresses are taken, no memory.
    #[default]
    Reserved,
    /// No more than the guest has, and each address is tested. It is slower, and for processes
    /// whose address space is limited (`RLIMIT_AS`).
    Tight,
}

/// How a call is ended that takes too long.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Interruption {
    /// The guest looks at a clock in each of its loops, and ends itself with a trap. It costs a
    /// sixth of the speed.
    #[default]
    Epochs,
    /// The guest cannot be ended: a `Late` is told, which ends the process.
    Watchdog,
}

/// The settings of wasmtime.
pub(crate) fn config(room: Room, interruption: Interruption) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(interruption == Interruption::Epochs);
    // Nobody asks where in the module a trap was.
    config.generate_address_map(false);
    config.wasm_backtrace_max_frames(None);
    // A guest's recursion ends in a trap here, well within a thread's stack.
    config.max_wasm_stack(512 << 10);
    if room == Room::Tight {
        config.memory_reservation(0);
        config.memory_reservation_for_growth(0);
        config.memory_guard_size(0);
        config.guard_before_linear_memory(false);
    }
    config
}
