//! All cases on several back ends, some of them at the same time.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::manifest::Case;
use crate::native::Native;
use crate::run::{self, Backend, Outcome};

/// A column of the results.
#[derive(Debug)]
#[non_exhaustive]
pub enum Column {
    /// The core, linked in: each case with every library and every way of cutting its input,
    /// which must all give the same.
    Native,
    /// A module in the sandbox, in large pieces and in small ones, and its path.
    #[cfg(feature = "wasm")]
    Sandbox(crate::sandboxed::Sandboxed, String),
    /// A module in an interpreter, and its path.
    #[cfg(feature = "wasmi")]
    Interpreter(crate::interpreted::Interpreted, String),
    /// One back end, its version, and the words by which `run --backend` knows it.
    One(Box<dyn SharedBackend>, String, String),
}

/// A back end that threads share.
pub trait SharedBackend: Backend + Send + Sync + std::fmt::Debug {}
impl<T: Backend + Send + Sync + std::fmt::Debug> SharedBackend for T {}

impl Column {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Native => "native".into(),
            #[cfg(feature = "wasm")]
            Self::Sandbox(..) => "wasmtime".into(),
            #[cfg(feature = "wasmi")]
            Self::Interpreter(..) => "wasmi".into(),
            Self::One(backend, _, _) => backend.name(),
        }
    }

    /// The version of what is asked.
    #[must_use]
    pub fn version(&self) -> String {
        match self {
            Self::Native => format!("erofs-unpack-core {}", env!("CARGO_PKG_VERSION")),
            #[cfg(feature = "wasm")]
            Self::Sandbox(sandboxed, _) => sandboxed.version().into(),
            #[cfg(feature = "wasmi")]
            Self::Interpreter(interpreted, _) => interpreted.version().into(),
            Self::One(_, version, _) => version.clone(),
        }
    }

    /// The one command that asks for a case again.
    #[must_use]
    pub fn repeat(&self, case: &Case, folder: &Path) -> String {
        let asked = match self {
            Self::Native => "--backend native".to_owned(),
            #[cfg(feature = "wasm")]
            Self::Sandbox(_, module) => format!("--wasm {module}"),
            #[cfg(feature = "wasmi")]
            Self::Interpreter(_, module) => format!("--wasm {module} --runtime wasmi"),
            Self::One(backend, _, words) => {
                if let Some(command) = backend.repeat(case, folder) {
                    return command;
                }
                format!("--backend {words}")
            }
        };
        format!(
            "erofs-unpack-conformance run {asked} --id {} {}",
            case.id,
            folder.display()
        )
    }

    fn run(&self, case: &Case, folder: &Path) -> Outcome {
        match self {
            Self::Native => every_way(&Native::variations(case), case, folder),
            #[cfg(feature = "wasm")]
            Self::Sandbox(large, _) => {
                let mut small = large.clone();
                small.cut = (7, 61);
                let ways = [large.clone(), small];
                let count = if case.has_flag("large") {
                    1
                } else {
                    ways.len()
                };
                every_way(ways.get(..count).unwrap_or_default(), case, folder)
            }
            #[cfg(feature = "wasmi")]
            Self::Interpreter(backend, _) => run::run(backend, case, folder),
            Self::One(backend, _, _) => run::run(backend.as_ref(), case, folder),
        }
    }

    fn alone(&self) -> bool {
        match self {
            Self::Native => false,
            #[cfg(feature = "wasm")]
            Self::Sandbox(..) => false,
            #[cfg(feature = "wasmi")]
            Self::Interpreter(..) => false,
            Self::One(backend, _, _) => backend.alone(),
        }
    }
}

/// A case in every way there is; the first that is wrong counts.
fn every_way<B: Backend>(ways: &[B], case: &Case, folder: &Path) -> Outcome {
    for way in ways {
        match run::run(way, case, folder) {
            Outcome::Passed => {}
            Outcome::Failed(text) => {
                return Outcome::Failed(format!("{text} ({})", way.name()));
            }
            Outcome::Disagreed(text) => {
                return Outcome::Disagreed(format!("{text} ({})", way.name()));
            }
            skipped @ Outcome::Skipped(_) => return skipped,
        }
    }
    Outcome::Passed
}

/// The outcomes of the cases on one column, in the order of the cases.
///
/// `jobs` cases run at the same time, unless the back end must be alone.
#[must_use]
pub fn outcomes(column: &Column, cases: &[&Case], folder: &Path, jobs: usize) -> Vec<Outcome> {
    let jobs = if column.alone() { 1 } else { jobs.max(1) };
    let next = AtomicUsize::new(0);
    let done = Mutex::new(vec![Outcome::Skipped("was not run".into()); cases.len()]);
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { break };
                    let outcome = column.run(case, folder);
                    // A thread that panics ends the scope, and with it all.
                    if let Ok(mut done) = done.lock()
                        && let Some(place) = done.get_mut(index)
                    {
                        *place = outcome;
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_default()
}
