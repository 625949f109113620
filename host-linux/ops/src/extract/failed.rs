//! What could not be extracted, when the rest is to be extracted all the same.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use erofs_unpack_core::{Code, Kind};
use rustix::io::Errno;

use super::context::READING;
use crate::error::{ExtractFault, HostError};

/// Most errors that are kept; those beyond it are counted. Fewer are where their paths are long:
/// beyond 4 MiB of these in all.
pub const FAILURES_MAX: usize = 10_000;
/// Most bytes of their paths.
const PATHS_MAX: usize = 4 << 20;

/// Counts what could not be extracted, from any thread, and keeps the errors of the first.
#[derive(Debug, Default)]
pub(super) struct Failed(Mutex<Kept>);

/// The errors of files.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// How many there were.
    pub(super) count: u64,
    /// The first [`FAILURES_MAX`] of them.
    pub(super) errors: Vec<HostError>,
    /// Bytes of their paths.
    paths: usize,
}

impl Failed {
    /// Counts one.
    pub(super) fn add(&self, error: HostError) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count = kept.count.saturating_add(1);
        let path = error.place().map_or(0, |place| place.as_os_str().len());
        let paths = kept.paths.saturating_add(path);
        if kept.errors.len() < FAILURES_MAX && paths <= PATHS_MAX {
            kept.errors.push(error);
            kept.paths = paths;
        } else if error.exit_code() == 1
            && kept.errors.iter().all(|other| other.exit_code() != 1)
            && let Some(last) = kept.errors.last_mut()
        {
            // What is refused counts most: the exit code must not depend on its place.
            *last = error;
        }
    }

    /// All of them, in the order of their places: threads have none.
    pub(super) fn into_kept(self) -> Kept {
        let mut kept = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        kept.errors
            .sort_by_cached_key(|error| (error.place().map(Path::to_owned), error.to_string()));
        kept
    }
}

/// Whether an error is about one file, so that others can do without it.
///
/// Limits of the whole extraction, memory, and what the system would say of the next file too
/// are not.
pub(super) fn is_of_one_file(error: &HostError) -> bool {
    match error {
        HostError::Refused { error, .. } => {
            error.kind() != Kind::Memory && error.code() != Code::InodeLimit
        }
        HostError::Extract { fault, .. } => {
            !matches!(fault, ExtractFault::Size | ExtractFault::Links)
        }
        // Of a source that is open already only an object is at fault.
        HostError::Target { .. } | HostError::Source { .. } => true,
        HostError::Environment { doing, error, .. } => {
            *doing == READING || !Errno::from_io_error(error).is_none_or(is_of_all)
        }
        _ => false,
    }
}

/// Whether the system would say the same of every file.
fn is_of_all(error: Errno) -> bool {
    matches!(
        error,
        Errno::NOSPC
            | Errno::DQUOT
            | Errno::ROFS
            | Errno::IO
            | Errno::NOMEM
            | Errno::NOBUFS
            | Errno::MFILE
            | Errno::NFILE
            | Errno::PIPE
            | Errno::BADF
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use erofs_unpack_core::{At, Error, Value};

    fn refused(code: Code) -> HostError {
        HostError::refused("image", Error::new(code, At::Whole))
    }

    #[test]
    fn what_others_can_do_without() {
        let system = |doing, error: Errno| HostError::environment("to/a", doing, error);
        for error in [
            refused(Code::FileBounds),
            refused(Code::DeviceMissing),
            refused(Code::DirectoryDepth),
            system(READING, Errno::IO),
            system("create", Errno::NAMETOOLONG),
        ] {
            assert!(is_of_one_file(&error), "{error}");
        }
        let size = HostError::Extract {
            place: "image".into(),
            fault: ExtractFault::Size,
            expected: Value::AtMost(1),
        };
        for error in [
            refused(Code::InodeLimit),
            refused(Code::MetadataMemory),
            system("write", Errno::NOSPC),
            system("write", Errno::IO),
            HostError::Cancelled,
            size,
        ] {
            assert!(!is_of_one_file(&error), "{error}");
        }
    }

    #[test]
    fn long_paths_are_bounded() {
        let failed = Failed::default();
        for _ in 0..200 {
            let place = "d/".repeat(32 << 10);
            failed.add(HostError::environment(place, "create", Errno::NAMETOOLONG));
        }
        let kept = failed.into_kept();
        assert_eq!((kept.count, kept.errors.len()), (200, 64));
    }

    #[test]
    fn a_refusal_is_among_those_that_are_kept() {
        let failed = Failed::default();
        for number in 0..=FAILURES_MAX {
            failed.add(HostError::environment(
                format!("{number:05}"),
                "create",
                Errno::NAMETOOLONG,
            ));
        }
        failed.add(refused(Code::FileBounds));
        let kept = failed.into_kept();
        assert_eq!(kept.count, FAILURES_MAX as u64 + 2);
        assert_eq!(kept.errors.len(), FAILURES_MAX);
        assert!(kept.errors.iter().any(|error| error.exit_code() == 1));
    }
}
