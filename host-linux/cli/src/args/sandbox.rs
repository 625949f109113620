//! The argument that says where decoders and checks run.

use clap::{Args, ValueEnum};
use erofs_unpack_ops::{HostError, Sandbox};

use crate::output;

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
    pub const BEST: Self = if Sandbox::AVAILABLE {
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
    /// What is asked for, or [`SandboxName::BEST`]. A guest that does not come back ends the
    /// program: it is the only refusal without a report.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::wasm`].
    pub fn load(&self) -> Result<Sandbox, HostError> {
        match self.sandbox.unwrap_or(SandboxName::BEST) {
            SandboxName::Wasm => Sandbox::wasm(|error| {
                output::print_error(error);
                std::process::exit(error.exit_code().into());
            }),
            SandboxName::None => Ok(Sandbox::NONE),
        }
    }
}
