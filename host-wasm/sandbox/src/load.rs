//! The module: compiled here, or compiled before.

use std::fmt;
use std::sync::Arc;

use erofs_unpack_core::Error;
use wasmtime::{Engine, InstancePre, Linker, Module};

#[cfg(feature = "compile")]
use crate::compile::{self, Cpu};
use crate::config::{Interruption, Room, config};
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

/// What is told of a call that takes too long, where the guest cannot be ended
/// ([`Interruption::Watchdog`]): the error `guest-time`, on a thread of its own. It is to end the
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

/// How calls are ended that take too long.
const fn interruption(late: Option<&Late>) -> Interruption {
    match late {
        Some(_) => Interruption::Watchdog,
        None => Interruption::Epochs,
    }
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
        let config = config(Room::Reserved, interruption(late.as_ref()));
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
        compile::precompile(wasm, target, cpu, room, interruption)
            .map_err(failed("cannot compile the module"))
    }

    /// Loads what `precompile` (feature `compile`) gave, for the same room: with a [`Late`] what it
    /// gave for [`Interruption::Watchdog`], without for [`Interruption::Epochs`].
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
        let config = config(room, interruption(late.as_ref()));
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
