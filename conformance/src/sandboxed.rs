//! The back end that decodes and checks in a sandbox: layers and images only, since documents
//! are read outside of it.

use std::io;
use std::path::Path;

use erofs_unpack_core::check::{Finding, Options as CheckOptions, Summary};
use erofs_unpack_core::erofs::ReadError;
use erofs_unpack_core::unpack::Outcome;
use erofs_unpack_core::{Error, Limits};
use erofs_unpack_sandbox::{Options, Sandbox};
use serde_json::Map;

use crate::manifest::{Case, Operation, UnpackInput};
use crate::native::check;
use crate::native::convert::{limits, outcome_outputs, refusal};
use crate::native::layer::{expectations, push_all, twice};
use crate::run::{Answer, Backend};

/// A module, and one way of cutting the input.
#[derive(Clone, Debug)]
pub struct Sandboxed {
    sandbox: Sandbox,
    version: String,
    /// Sizes of the pieces of input and output, in bytes.
    pub cut: (usize, usize),
}

impl Sandboxed {
    /// Compiles the module in a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is none.
    pub fn open(module: &Path) -> io::Result<Self> {
        let wasm = std::fs::read(module)?;
        let sandbox = Sandbox::compile(&wasm).map_err(io::Error::other)?;
        let version = sandbox.version(&Options::default());
        Ok(Self {
            sandbox,
            version: version.map_err(io::Error::other)?,
            cut: (64 << 10, 64 << 10),
        })
    }

    /// The module's version and decoders.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Unpacks a layer.
    ///
    /// # Errors
    ///
    /// When the blob cannot be read, or is not what the manifest says.
    pub fn unpack(&self, input: &UnpackInput, folder: &Path) -> io::Result<Result<Outcome, Error>> {
        input.blob.verify(folder)?;
        let expected = match expectations(input) {
            Ok(expected) => expected,
            Err(error) => return Ok(Err(error)),
        };
        let limits = limits(&input.limits);
        twice(&expected, |expected| {
            let decoder = self
                .sandbox
                .decoder(expected.compression, &limits, &Options::default());
            match decoder {
                Ok(decoder) => push_all(
                    decoder,
                    input.blob.open(folder)?,
                    expected,
                    &limits,
                    self.cut,
                ),
                Err(error) => Ok(Err(error)),
            }
        })
    }

    /// Checks an image.
    ///
    /// # Errors
    ///
    /// As [`Sandbox::check`].
    pub fn check(
        &self,
        image: &[u8],
        limits: &Limits,
        asked: &CheckOptions,
        sink: &mut dyn FnMut(&Finding),
    ) -> Result<Summary, ReadError<io::Error>> {
        let source = Box::new(image.to_vec());
        self.sandbox
            .check(source, limits, asked, &Options::default(), &mut |found| {
                sink(&found.finding);
            })
    }
}

impl Backend for Sandboxed {
    fn name(&self) -> String {
        let (input, output) = self.cut;
        format!("wasmtime, {}, {input} bytes into {output}", self.version)
    }

    fn run(&self, case: &Case, folder: &Path) -> io::Result<Answer> {
        match &case.operation {
            Operation::Unpack(input) => Ok(match self.unpack(input, folder)? {
                Ok(outcome) => Answer::Valid(outcome_outputs(&outcome)),
                Err(error) => Answer::Invalid(refusal(&error), Map::new()),
            }),
            Operation::Check(input) => {
                check::check_with(input, folder, |image, limits, options, sink| {
                    self.check(image, limits, options, sink)
                })
            }
            _ => Ok(Answer::Unable(
                "documents are read outside of the sandbox".into(),
            )),
        }
    }
}
