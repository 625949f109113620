//! The module: compiled here, or compiled before.

use std::fmt;
use std::sync::Arc;

use erofs_unpack_core::Error;
use wasmtime::{Config, Engine, InstancePre, Linker, Module};

use crate::guest::{self, Host};
use crate::ticker::{Beat, Ticker};

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
    /// Whether the guests do not look at a clock.
    pub(crate) watched: bool,
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

/// How a call is ended that takes too long.
#[cfg(feature = "compile")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Interruption {
    /// The guest looks at a clock in each of its loops, and ends itself with a trap. It costs a
    /// sixth of the speed.
    #[default]
    Epochs,
    /// The guest cannot be ended: a [`Late`] is told, which ends the process.
    Watchdog,
}

/// What is told of a call that takes too long, where the guest cannot be ended
/// (`Interruption::Watchdog`): the error `guest-time`, on a thread of its own. It is to end the
/// process. When it returns, the call goes on, and is refused if it ever comes back.
#[derive(Clone)]
pub struct Late(pub(crate) Arc<dyn Fn(Error) + Send + Sync>);

impl Late {
    /// Calls this function.
    pub fn new(told: impl Fn(Error) + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }
}

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Late")
    }
}

/// How modules are compiled and run. It must be the same in the program that compiles and in
/// the one that runs, which wasmtime tests when a compiled module is loaded.
fn config(room: Room, epochs: bool) -> Config {
    let mut config = Config::new();
    config.epoch_interruption(epochs);
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

fn failed(what: &str) -> impl Fn(wasmtime::Error) -> LoadError {
    move |error| LoadError(format!("{what}: {error:#}"))
}

impl Sandbox {
    /// Compiles a module, which takes about a second. Calls that take too long are ended by
    /// epochs.
    ///
    /// # Errors
    ///
    /// When it is none, or wants imports that a guest does not get.
    #[cfg(feature = "compile")]
    pub fn compile(wasm: &[u8]) -> Result<Self, LoadError> {
        Self::compile_for(wasm, None)
    }

    /// The same, with guests that do not look at a clock.
    ///
    /// # Errors
    ///
    /// As [`Self::compile`].
    #[cfg(feature = "compile")]
    pub fn compile_watched(wasm: &[u8], late: Late) -> Result<Self, LoadError> {
        Self::compile_for(wasm, Some(late))
    }

    #[cfg(feature = "compile")]
    fn compile_for(wasm: &[u8], late: Option<Late>) -> Result<Self, LoadError> {
        let config = config(Room::Reserved, late.is_none());
        let engine = Engine::new(&config).map_err(failed("cannot start the sandbox"))?;
        let module = Module::new(&engine, wasm).map_err(failed("cannot compile the module"))?;
        Self::of(&engine, &module, late)
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
        interruption: Interruption,
    ) -> Result<Vec<u8>, LoadError> {
        let mut config = config(room, interruption == Interruption::Epochs);
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

    /// Loads what `precompile` (feature `compile`) gave, for the same room: with a [`Late`] what it
    /// gave for `Interruption::Watchdog`, without for `Interruption::Epochs`.
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
    pub unsafe fn precompiled(
        bytes: &[u8],
        room: Room,
        late: Option<Late>,
    ) -> Result<Self, LoadError> {
        let config = config(room, late.is_none());
        let engine = Engine::new(&config).map_err(failed("cannot start the sandbox"))?;
        // SAFETY: the caller says that these bytes come from `precompile`.
        let module = unsafe { Module::deserialize(&engine, bytes) }
            .map_err(failed("cannot load the compiled module"))?;
        Self::of(&engine, &module, late)
    }

    fn of(engine: &Engine, module: &Module, late: Option<Late>) -> Result<Self, LoadError> {
        let mut linker = Linker::new(engine);
        guest::link(&mut linker).map_err(failed("cannot start the sandbox"))?;
        let module = linker
            .instantiate_pre(module)
            .map_err(failed("the module does not fit"))?;
        let watched = late.is_some();
        let beat = late.map_or_else(|| Beat::Epoch(engine.clone()), Beat::Watch);
        let ticker = Ticker::start(beat)
            .map_err(|error| LoadError(format!("cannot start the sandbox's clock: {error}")))?;
        Ok(Self {
            module,
            ticker: Arc::new(ticker),
            watched,
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
