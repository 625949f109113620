//! Where the decoders and the check run: in this process as they are, or in a sandbox.
//!
//! The outcome and the messages are the same. In the sandbox a bug in a decoder or in the check
//! can harm nothing but the layer that has triggered it.

#[cfg(feature = "sandbox")]
mod guarded;

use erofs_unpack_core::codec::{AnyDecoder, Compression, Decoder, Zstd};
use erofs_unpack_core::{Error, Limits};
#[cfg(feature = "sandbox")]
use erofs_unpack_sandbox::Late;
#[cfg(feature = "sandbox")]
pub(crate) use guarded::{Guard, Parts};

use crate::error::HostError;

/// Where the decoders and the check run. Cheap to clone; every layer has a guest of its own.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    #[cfg(feature = "sandbox")]
    guard: Option<Guard>,
}

/// What messages call it.
const PLACE: &str = "sandbox";

impl Sandbox {
    /// Whether this was built with the sandbox (feature `sandbox`).
    pub const AVAILABLE: bool = cfg!(feature = "sandbox");

    /// The largest zstd window that a guest can hold, in bytes, whatever the limit.
    pub const WINDOW: u64 = Zstd::WINDOW_32_BIT;

    /// They run as they are.
    pub const NONE: Self = Self {
        #[cfg(feature = "sandbox")]
        guard: None,
    };

    /// They run as WebAssembly. `late` is told, on a thread of its own, of a guest that does not
    /// come back, which nothing can end but the end of the process: that is what it should do.
    /// Whatever is on its way has no name yet.
    ///
    /// # Errors
    ///
    /// [`HostError::Usage`] when this was built without it (feature `sandbox`),
    /// [`HostError::Environment`] when the system does not give what it needs: a thread, and
    /// memory for code.
    #[cfg(feature = "sandbox")]
    pub fn wasm(late: impl Fn(&HostError) + Send + Sync + 'static) -> Result<Self, HostError> {
        let late = Late::new(move |error: Error| late(&HostError::refused(PLACE, error)));
        let sandbox = erofs_unpack_sandbox::Sandbox::embedded(&late).map_err(|error| {
            HostError::environment(PLACE, "start it", std::io::Error::other(error))
        })?;
        Ok(Self {
            guard: Some(Guard(sandbox)),
        })
    }

    /// They run as WebAssembly.
    ///
    /// # Errors
    ///
    /// [`HostError::Usage`]: this was built without it.
    #[cfg(not(feature = "sandbox"))]
    pub fn wasm(_late: impl Fn(&HostError) + Send + Sync + 'static) -> Result<Self, HostError> {
        Err(HostError::Usage(format!(
            "--sandbox=wasm: this program was built without the {PLACE}"
        )))
    }

    /// Whether they run as they are.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        #[cfg(feature = "sandbox")]
        if self.guard.is_some() {
            return false;
        }
        true
    }

    /// What runs checks, where they do not run as they are.
    #[cfg(feature = "sandbox")]
    pub(crate) const fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }

    /// What undoes this compression, in a guest of its own where that is meant; `None` where
    /// there is none.
    ///
    /// # Errors
    ///
    /// A code `guest-…` when the guest cannot be made.
    pub fn decoder(
        &self,
        compression: Compression,
        limits: &Limits,
    ) -> Result<Option<Box<dyn Decoder + Send>>, Error> {
        if compression == Compression::None {
            return Ok(None);
        }
        #[cfg(feature = "sandbox")]
        if let Some(guard) = &self.guard {
            return guard.decoder(compression, limits).map(Some);
        }
        Ok(Some(Box::new(AnyDecoder::new(compression, limits)?)))
    }
}
