//! The argument that says where decoders and checks run.

use clap::{Args, ValueEnum};
use erofs_unpack_ops::{HostError, Sandbox};
use indicatif::BinaryBytes;

use super::LimitArgs;
use crate::output;

/// Where decoders and checks run.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SandboxName {
    /// As WebAssembly those that have unsafe code, as a part of the program the others
    Auto,
    /// As WebAssembly, which reaches nothing but the bytes of its layer
    Wasm,
    /// As a part of the program
    None,
}

impl SandboxName {
    /// Refuses a limit for windows that promises more than can be decoded there.
    fn admit_window(self, window: u64) -> Result<(), HostError> {
        if self == Self::Wasm && window > Sandbox::WINDOW {
            return Err(HostError::Usage(format!(
                "--max-window {}: the sandbox can hold windows of {} at most: \
                 leave --sandbox=wasm out, or give a smaller limit",
                BinaryBytes(window),
                BinaryBytes(Sandbox::WINDOW)
            )));
        }
        Ok(())
    }
}

/// `--sandbox`
#[derive(Clone, Copy, Debug, Args)]
pub struct SandboxArgs {
    /// Run the decoders and the check in a sandbox [default: auto]
    ///
    /// There a bug in them can harm nothing but the layer that triggers it. Digests, limits and
    /// files stay outside. The outcome and the messages are the same. What has no unsafe code is
    /// safe outside too, and faster: so `auto` leaves it there.
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
    /// What is asked for, or [`SandboxName::Auto`], for layers within these limits. A guest that
    /// does not come back ends the program: it is the only refusal without a report.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::wasm`]; [`HostError::Usage`] for a window that the sandbox cannot hold.
    pub fn load(&self, limits: &LimitArgs) -> Result<Sandbox, HostError> {
        let name = self.sandbox.unwrap_or(SandboxName::Auto);
        name.admit_window(limits.max_window)?;
        let late = |error: &HostError| {
            output::print_error(error);
            std::process::exit(error.exit_code().into());
        };
        match name {
            SandboxName::Auto => Sandbox::auto(late),
            SandboxName::Wasm => Sandbox::wasm(late),
            SandboxName::None => Ok(Sandbox::NONE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_does_not_fit_names_what_does() {
        let admits = |name: SandboxName, window| name.admit_window(window);
        assert!(admits(SandboxName::Wasm, 1 << 30).is_ok());
        assert!(admits(SandboxName::None, 1 << 31).is_ok());
        assert!(admits(SandboxName::Auto, 1 << 31).is_ok());
        let error = admits(SandboxName::Wasm, 1 << 31).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert_eq!(
            error.to_string(),
            "--max-window 2.00 GiB: the sandbox can hold windows of 1.00 GiB at most: \
             leave --sandbox=wasm out, or give a smaller limit"
        );
    }
}
