//! What an operation comes to.

use crate::error::HostError;

/// What an operation came to: its report, also where it did not come to its end, and why it did
/// not.
#[derive(Debug)]
pub struct Done<R> {
    /// What was done; it serialises to what `--json` prints.
    pub report: R,
    /// What went wrong, in the order in which it did.
    pub failures: Vec<Failure>,
}

/// An error, and the layer that it is about.
#[derive(Debug)]
pub struct Failure {
    /// The layer's place in the manifest, from 1.
    pub layer: Option<u32>,
    /// What went wrong.
    pub error: HostError,
}

impl Failure {
    /// What it counts against others: wrong usage most, then a refusal, which outranks a
    /// failure of the environment; what was stopped for an error elsewhere comes last.
    const fn rank(&self) -> u8 {
        match &self.error {
            HostError::Usage(_) | HostError::Choice { .. } => 0,
            HostError::Cancelled => 3,
            error => match error.exit_code() {
                1 => 1,
                _ => 2,
            },
        }
    }
}

/// A report that says how the operation ended.
pub(crate) trait Conclude {
    /// Notes how it ended: with the error that counts, if there is one.
    fn conclude(&mut self, error: Option<&HostError>);
}

#[allow(private_bounds, reason = "reports are this crate's own")]
impl<R: Conclude> Done<R> {
    /// Runs an operation that fills a report.
    pub(crate) fn run(report: R, work: impl FnOnce(&mut Self) -> Result<(), HostError>) -> Self {
        let mut done = Self {
            report,
            failures: Vec::new(),
        };
        if let Err(error) = work(&mut done) {
            done.failures.push(Failure { layer: None, error });
        }
        done.conclude();
        done
    }

    /// An operation that did not begin for this error.
    #[must_use]
    pub fn failed(report: R, error: HostError) -> Self {
        Self::run(report, |_| Err(error))
    }

    /// Adds what went wrong after the operation, for instance in telling what it came to.
    pub fn fail(&mut self, error: HostError) {
        self.failures.push(Failure { layer: None, error });
        self.conclude();
    }

    fn conclude(&mut self) {
        let counted = counted(&self.failures);
        self.report.conclude(counted.map(|failure| &failure.error));
    }
}

impl<R> Done<R> {
    /// What counts of what went wrong; of equals the first. `None` where nothing did.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        counted(&self.failures)
    }

    /// The report of an operation that came to its end.
    ///
    /// # Errors
    ///
    /// What counts of what went wrong.
    pub fn ok(self) -> Result<R, HostError> {
        match self.failures.into_iter().min_by_key(Failure::rank) {
            Some(failure) => Err(failure.error),
            None => Ok(self.report),
        }
    }
}

fn counted(failures: &[Failure]) -> Option<&Failure> {
    failures.iter().min_by_key(|failure| failure.rank())
}
