//! The module: compiled here, or compiled before.

use std::fmt;
use std::sync::Arc;

use wasmtime::{Config, Engine, InstancePre, Linker, Module};

use crate::guest::{self, Host};
use crate::ticker::Ticker;

/// Why there is no sandbox.
#[derive(Debug)]
pub struct LoadError(String);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}

/// The compiled module, from which guests are made. Cheap to clone and to send anywhere.
#[derive(Clone)]
pub struct Sandbox {
    pub(crate) module: InstancePre<Host>,
    pub(crate) ticker: Arc<Ticker>,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

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

/// The processors that a module is compiled for.
#[cfg(feature = "compile")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Cpu {
    /// All of their kind.
    #[default]
    Any,
    /// On x86-64 those from 2013 on, with AVX2 and BMI2; elsewhere all.
    Haswell,
}

/// How modules are compiled and run. It must be the same in the program that compiles and in
/// the one that runs, which wasmtime tests when a compiled module is loaded.
fn config(room: Room) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
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

fn failed(what: &str) -> impl Fn(wasmtime::Error) -> LoadError {
    move |error| LoadError(format!("{what}: {error:#}"))
}

impl Sandbox {
    /// Compiles a module, which takes about a second.
    ///
    /// # Errors
    ///
    /// When it is none, or wants imports that a guest does not get.
    #[cfg(feature = "compile")]
    pub fn compile(wasm: &[u8]) -> Result<Self, LoadError> {
        let engine =
            Engine::new(&config(Room::Reserved)).map_err(failed("cannot start the sandbox"))?;
        let module = Module::new(&engine, wasm).map_err(failed("cannot compile the module"))?;
        Self::of(&engine, &module)
    }

    /// Compiles a module for [`Self::precompiled`], for processors of this target.
    ///
    /// # Errors
    ///
    /// When it is no module, or the target is not known.
    #[cfg(feature = "compile")]
    pub fn precompile(
        wasm: &[u8],
        target: &str,
        cpu: Cpu,
        room: Room,
    ) -> Result<Vec<u8>, LoadError> {
        let mut config = config(room);
        // Naming a target keeps the abilities of this machine out.
        config
            .target(target)
            .map_err(failed("cannot compile for this target"))?;
        if cpu == Cpu::Haswell && target.starts_with("x86_64-") {
            haswell(&mut config);
        }
        let engine = Engine::new(&config).map_err(failed("cannot compile for this target"))?;
        engine
            .precompile_module(wasm)
            .map_err(failed("cannot compile the module"))
    }

    /// Loads what `precompile` (feature `compile`) gave, for the same room.
    ///
    /// # Errors
    ///
    /// When it was compiled by another version, with other settings, or for another processor.
    ///
    /// # Safety
    ///
    /// The bytes must be what `precompile` gave: they are machine code, which runs as such.
    /// Bytes that were embedded at build time are; those of a file are when nobody else can
    /// write it.
    #[allow(unsafe_code, reason = "the caller vouches for the machine code")]
    pub unsafe fn precompiled(bytes: &[u8], room: Room) -> Result<Self, LoadError> {
        let engine = Engine::new(&config(room)).map_err(failed("cannot start the sandbox"))?;
        // SAFETY: the caller says that these bytes come from `precompile`.
        let module = unsafe { Module::deserialize(&engine, bytes) }
            .map_err(failed("cannot load the compiled module"))?;
        Self::of(&engine, &module)
    }

    fn of(engine: &Engine, module: &Module) -> Result<Self, LoadError> {
        let mut linker = Linker::new(engine);
        guest::link(&mut linker).map_err(failed("cannot start the sandbox"))?;
        let module = linker
            .instantiate_pre(module)
            .map_err(failed("the module does not fit"))?;
        let ticker = Ticker::start(engine.clone())
            .map_err(|error| LoadError(format!("cannot start the sandbox's clock: {error}")))?;
        Ok(Self {
            module,
            ticker: Arc::new(ticker),
        })
    }
}

/// Lets the compiler use what those processors have.
#[cfg(feature = "compile")]
#[allow(unsafe_code, reason = "settings of the compiler are unsafe to change")]
fn haswell(config: &mut Config) {
    // SAFETY: the preset names instructions only, and a module that was compiled with it is
    // not loaded on a processor that lacks one.
    unsafe {
        config.cranelift_flag_enable("haswell");
    }
}
