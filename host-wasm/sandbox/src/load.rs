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

/// How modules are compiled and run. It must be the same in the program that compiles and in
/// the one that runs, which wasmtime tests when a compiled module is loaded.
fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    // A guest's recursion ends in a trap here, well within a thread's stack.
    config.max_wasm_stack(512 << 10);
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
        let engine = Engine::new(&config()).map_err(failed("cannot start the sandbox"))?;
        let module = Module::new(&engine, wasm).map_err(failed("cannot compile the module"))?;
        Self::of(&engine, &module)
    }

    /// Compiles a module for a target, for [`Self::precompiled`]. Without a target it is for
    /// this machine with all that its processor can do.
    ///
    /// # Errors
    ///
    /// When it is no module, or the target is not known.
    #[cfg(feature = "compile")]
    pub fn precompile(wasm: &[u8], target: Option<&str>) -> Result<Vec<u8>, LoadError> {
        let mut config = config();
        if let Some(target) = target {
            config
                .target(target)
                .map_err(failed("cannot compile for this target"))?;
        }
        let engine = Engine::new(&config).map_err(failed("cannot compile for this target"))?;
        engine
            .precompile_module(wasm)
            .map_err(failed("cannot compile the module"))
    }

    /// Loads what `precompile` (feature `compile`) gave.
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
    pub unsafe fn precompiled(bytes: &[u8]) -> Result<Self, LoadError> {
        let engine = Engine::new(&config()).map_err(failed("cannot start the sandbox"))?;
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
