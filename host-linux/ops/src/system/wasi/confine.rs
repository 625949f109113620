//! No confinement by the process itself: a WASI program reaches nothing but what its runtime opens
//! for it.

use core::fmt;
use std::io;

use crate::system::{Openings, Purpose};

/// What is in force: what the runtime sees to.
#[derive(Clone, Copy, Debug)]
pub struct Confinement;

impl Confinement {
    /// Nothing is given up.
    pub const NONE: Self = Self;

    /// Nothing is given up.
    ///
    /// # Errors
    ///
    /// None; Linux has some.
    pub const fn files(_openings: &Openings) -> Result<Self, io::Error> {
        Ok(Self)
    }

    /// Nothing is given up.
    ///
    /// # Errors
    ///
    /// None; Linux has some.
    pub const fn calls(&mut self, _purpose: Purpose) -> Result<(), io::Error> {
        Ok(())
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("confinement: by the runtime")
    }
}
