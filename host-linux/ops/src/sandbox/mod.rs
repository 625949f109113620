//! Where the decoders and the check run: in this process as they are, or in a sandbox.
//!
//! The outcome and the messages are the same. In the sandbox a bug in a decoder or in the check
//! can harm nothing but the layer that has triggered it. What has no unsafe code can do no more
//! harm outside: it needs limits of time and memory only, and those it has.

#[cfg(feature = "sandbox")]
mod guarded;

#[cfg(feature = "sandbox")]
use erofs_unpack_core::check::Level;
use erofs_unpack_core::codec::{AnyDecoder, Backend, Compression, Decoder, Zstd};
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
    /// Whether also what has no unsafe code runs there.
    #[cfg(feature = "sandbox")]
    all: bool,
}

/// Whether what undoes DEFLATE has unsafe code, in layers and in files of images.
const UNSAFE_INFLATE: bool = Backend::DEFAULT.has_unsafe();

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
        #[cfg(feature = "sandbox")]
        all: false,
    };

    /// Whether the decoder of this compression has unsafe code.
    #[must_use]
    pub const fn is_for(compression: Compression) -> bool {
        matches!(compression, Compression::Gzip) && UNSAFE_INFLATE
    }

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
            all: true,
        })
    }

    /// Those that have unsafe code run as WebAssembly ([`Self::is_for`]), the others as they are.
    /// `late` as for [`Self::wasm`].
    ///
    /// # Errors
    ///
    /// As [`Self::wasm`], but without the feature `sandbox` all run as they are.
    #[cfg(feature = "sandbox")]
    pub fn auto(late: impl Fn(&HostError) + Send + Sync + 'static) -> Result<Self, HostError> {
        if !UNSAFE_INFLATE {
            return Ok(Self::NONE);
        }
        Ok(Self {
            all: false,
            ..Self::wasm(late)?
        })
    }

    /// All run as they are, for want of the feature `sandbox`.
    ///
    /// # Errors
    ///
    /// None.
    #[cfg(not(feature = "sandbox"))]
    pub fn auto(_late: impl Fn(&HostError) + Send + Sync + 'static) -> Result<Self, HostError> {
        Ok(Self::NONE)
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

    /// What runs checks of this level, where they do not run as they are.
    #[cfg(feature = "sandbox")]
    pub(crate) fn guard(&self, level: Level) -> Option<&Guard> {
        // Beyond that level no content is decoded.
        let inflates = UNSAFE_INFLATE && level == Level::Full;
        self.guard.as_ref().filter(|_| self.all || inflates)
    }

    /// Whether what undoes this compression runs in a guest.
    pub(crate) const fn holds(&self, compression: Compression) -> bool {
        #[cfg(feature = "sandbox")]
        if self.guard.is_some() {
            return self.all || Self::is_for(compression);
        }
        let _ = compression;
        false
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
        if let Some(guard) = &self.guard
            && self.holds(compression)
        {
            return guard.decoder(compression, limits).map(Some);
        }
        Ok(Some(Box::new(AnyDecoder::new(compression, limits)?)))
    }
}
