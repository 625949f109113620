//! The argument that says where decoders and checks run.

use clap::{Args, ValueEnum};

use crate::error::HostError;
use crate::isolation::Isolation;

/// Where decoders and checks run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SandboxName {
    /// As WebAssembly, which reaches nothing but the bytes of its layer
    Wasm,
    /// As a part of the program
    None,
}

impl SandboxName {
    /// The sandbox, where this program was built with it.
    pub const BEST: Self = if Isolation::AVAILABLE {
        Self::Wasm
    } else {
        Self::None
    };
}

/// `--sandbox`
#[derive(Clone, Copy, Debug, Args)]
pub struct SandboxArgs {
    /// Run the decoders and the check in a sandbox [default: wasm]
    ///
    /// There a bug in them can harm nothing but the layer that triggers it. Digests, limits and
    /// files stay outside. The outcome and the messages are the same.
    #[arg(
        long,
        value_enum,
        value_name = "KIND",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "wasm"
    )]
    pub sandbox: Option<SandboxName>,
}

impl SandboxArgs {
    /// What is asked for, or [`SandboxName::BEST`].
    ///
    /// # Errors
    ///
    /// As [`Isolation::wasm`].
    pub fn isolation(&self) -> Result<Isolation, HostError> {
        match self.sandbox.unwrap_or(SandboxName::BEST) {
            SandboxName::Wasm => Isolation::wasm(),
            SandboxName::None => Ok(Isolation::NONE),
        }
    }
}
