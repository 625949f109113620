//! How many processors this process may use.

use std::sync::OnceLock;
use std::thread;

/// The number of processors, at least one. Asked for once: the answer lies in files under
/// `/proc` and `/sys`, which are out of reach in [confinement](super::Confinement).
#[must_use]
pub fn processors() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| thread::available_parallelism().map_or(1, usize::from))
}
