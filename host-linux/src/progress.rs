//! Progress bars, on a terminal only: one for each layer under way and one for all, or one for
//! the files of an image. Where there is no thread to draw them there are none.

#[cfg(target_os = "linux")]
mod bars;

use std::sync::Arc;

#[cfg(target_os = "linux")]
pub use bars::Bars;

use crate::pipeline::Progress;

/// A layer: its name, the size of its blob where that is known, and how far it has come.
pub type Layer = (String, Option<u64>, Arc<Progress>);

/// No bars.
#[cfg(target_os = "wasi")]
#[derive(Debug)]
pub struct Bars {
    _layers: Vec<Layer>,
}

#[cfg(target_os = "wasi")]
impl Bars {
    /// Draws nothing.
    #[must_use]
    pub const fn new(layers: Vec<Layer>, _quiet: bool) -> Self {
        Self { _layers: layers }
    }
}
