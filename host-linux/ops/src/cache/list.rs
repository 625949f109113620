//! The operation `cache list`.

use std::path::Path;

use serde::Serialize;

use super::Cache;
use super::report::{EntryReport, Report};
use crate::done::Done;

/// What is in a cache.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Listed {
    /// The entries, in the order of their names.
    pub entries: Vec<EntryReport>,
}

/// Lists what is in a cache.
pub fn list(dir: &Path) -> Done<Report<Listed>> {
    Done::run(Report::new("cache list", dir), |done| {
        let listing = Cache::open(dir)?.list()?;
        done.report.foreign(&listing);
        done.report.own.entries = listing.entries.iter().map(EntryReport::of).collect();
        Ok(())
    })
}
