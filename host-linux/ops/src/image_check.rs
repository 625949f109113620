//! The check of an image by the core, on one thread or several. What is kept of it is in `checked`.

use std::thread;

use erofs_unpack_core::check::{self, Finding, Level, Options, Paths, Rule, Severity, Summary};
use erofs_unpack_core::erofs::{Image, ReadError};
use erofs_unpack_core::{Code, Error};

use crate::checked::{Breach, Checked, Place};
use crate::error::HostError;
use crate::file_at::FileAt;
use crate::image_file::ImageFile;
use crate::sandbox::Sandbox;

/// Most places of a rule that are kept.
const PLACES: usize = 10;

/// Most directory entries that are looked at to find the paths of all places. It takes a second
/// or so at worst.
const PATH_ENTRIES: u64 = 1 << 22;

/// Most threads of one check.
const JOBS_MAX: usize = 256;

impl Checked {
    /// The same as a result: an image that did not pass is refused.
    ///
    /// # Errors
    ///
    /// [`HostError::Check`] when there is an error.
    pub fn verdict(self) -> Result<Self, HostError> {
        match self.first_error() {
            None => Ok(self),
            Some(first) => Err(HostError::Check {
                place: first.place_in(&self.place),
                error: first.error,
                checked: Box::new(self),
            }),
        }
    }
}

/// A finding, and its path where the sandbox has found one.
#[derive(Clone)]
struct Kept {
    finding: Finding,
    path: Option<Vec<u8>>,
}

/// What is kept of the findings while a check runs: for each code how many, and the first.
#[derive(Default)]
struct Findings(Vec<(u64, Vec<Kept>)>);

impl Findings {
    fn add(&mut self, finding: &Finding) {
        self.add_all(
            1,
            &[Kept {
                finding: *finding,
                path: None,
            }],
        );
    }

    /// Adds a finding that a guest tells: with the first of a rule it tells how many there are.
    #[cfg(feature = "sandbox")]
    fn add_told(&mut self, found: erofs_unpack_sandbox::Found) {
        let code = found.finding.error.code();
        let is_same = |kept: &Kept| kept.finding.error.code() == code;
        let is_first = !self.0.iter().any(|(_, kept)| kept.iter().any(is_same));
        let kept = Kept {
            finding: found.finding,
            path: found.path,
        };
        self.add_all(if is_first { found.of_rule } else { 0 }, &[kept]);
    }

    /// Adds `count` findings of one code, of which these are kept.
    fn add_all(&mut self, count: u64, more: &[Kept]) {
        let code = |kept: &[Kept]| kept.first().map(|first| first.finding.error.code());
        let same = self.0.iter_mut().find(|(_, kept)| code(kept) == code(more));
        match same {
            Some((total, kept)) => {
                *total += count;
                let room = PLACES.saturating_sub(kept.len()).min(more.len());
                kept.extend_from_slice(&more[..room]);
            }
            None => self.0.push((count, more.to_vec())),
        }
    }

    /// The findings by their rules, each with its path as `path` finds it.
    fn breaches(self, mut path: impl FnMut(&Finding) -> Option<Vec<u8>>) -> Vec<Breach> {
        let mut breaches: Vec<Breach> = self
            .0
            .into_iter()
            .filter_map(|(count, kept)| {
                let severity = kept.first()?.finding.severity;
                let mut places = kept.into_iter().map(
                    |Kept {
                         finding,
                         path: told,
                     }| Place {
                        path: told.or_else(|| path(&finding)),
                        error: finding.error,
                    },
                );
                Some(Breach {
                    severity,
                    count,
                    first: places.next()?,
                    next: places.collect(),
                })
            })
            .collect();
        breaches.sort_by_key(|breach| breach.severity == Severity::Warning);
        breaches
    }
}

/// Checks an image, at the full level on `jobs` threads, each in a guest of its own where the
/// check is isolated.
///
/// What its superblock is refused for is a finding like others.
///
/// # Errors
///
/// [`HostError::Environment`] when it cannot be read, [`HostError::Refused`] when a limit did
/// not suffice. Then it was not looked at as a whole, and did not pass.
pub fn check_image(
    file: &ImageFile,
    options: &Options,
    jobs: usize,
    sandbox: &Sandbox,
) -> Result<Checked, HostError> {
    let mut options = *options;
    options.trailing &= file.has_end();
    let image = match file.image() {
        Ok(image) => image,
        Err(HostError::Refused { error, .. }) if Rule::of(error.code()).is_some() => {
            return unreadable(file, error, &options);
        }
        Err(error) => return Err(error),
    };
    let (summary, findings) = run_shares(file, &image, &options, jobs, sandbox)?;
    let mut paths = Paths::new(&image, PATH_ENTRIES);
    // A path that cannot be read is left out: the finding stands without it. A guest has told
    // those that it has found.
    let breaches = findings.breaches(|finding| {
        if !guarded(sandbox, &options) {
            paths.of(finding).unwrap_or_default()
        } else {
            None
        }
    });
    Ok(Checked {
        place: file.place().to_owned(),
        summary,
        superblock: Some(*image.superblock()),
        breaches,
    })
}

/// What is said of an image whose superblock cannot be read. That rule cannot be switched off:
/// nothing behind it can be read.
fn unreadable(file: &ImageFile, error: Error, options: &Options) -> Result<Checked, HostError> {
    let Some(severity) = options.severity(&error) else {
        return Err(HostError::refused(file.place(), error));
    };
    let mut findings = Findings::default();
    findings.add(&Finding {
        error,
        severity,
        entry: None,
    });
    let mut summary = Summary::default();
    summary.errors = 1;
    Ok(Checked {
        place: file.place().to_owned(),
        summary,
        superblock: None,
        breaches: findings.breaches(|_| None),
    })
}

/// Whether the check runs in a guest.
#[cfg(feature = "sandbox")]
fn guarded(sandbox: &Sandbox, options: &Options) -> bool {
    sandbox.guard(options.level).is_some()
}

/// Whether the check runs in a guest.
#[cfg(not(feature = "sandbox"))]
const fn guarded(_: &Sandbox, _: &Options) -> bool {
    false
}

/// What one share of a check came to.
type Share = Result<(Summary, Findings), ReadError<std::io::Error>>;

/// Runs one share of the check.
fn run_share(
    file: &ImageFile,
    image: &Image<FileAt>,
    options: &Options,
    sandbox: &Sandbox,
) -> Share {
    let mut findings = Findings::default();
    #[cfg(feature = "sandbox")]
    if let Some(guard) = sandbox.guard(options.level) {
        let sink = &mut |found| findings.add_told(found);
        let summary = guard.check(file.parts(), image.limits(), options, PATH_ENTRIES, sink)?;
        return Ok((summary, findings));
    }
    let _ = (file, sandbox);
    let summary = check::check_image(image, options, &mut |finding| findings.add(finding))?;
    Ok((summary, findings))
}

/// Runs the check, at the full level on several threads. All of them together stay within the
/// limit of memory; where a thread's part of it is too little, one thread gets the whole of it,
/// so that the verdict does not depend on their number.
fn run_shares(
    file: &ImageFile,
    image: &Image<FileAt>,
    options: &Options,
    jobs: usize,
    sandbox: &Sandbox,
) -> Result<(Summary, Findings), HostError> {
    let jobs = match options.level {
        Level::Full => jobs.clamp(1, JOBS_MAX),
        _ => 1,
    };
    if jobs > 1 {
        match run_on_several(file, options, u32::try_from(jobs).unwrap_or(1), sandbox) {
            Err(HostError::Refused { error, .. }) if error.code() == Code::CheckMemory => {}
            other => return other,
        }
    }
    run_share(file, image, options, sandbox).map_err(|error| file.failed(error))
}

/// Runs the check on this many threads, each with its part of the memory.
fn run_on_several(
    file: &ImageFile,
    options: &Options,
    count: u32,
    sandbox: &Sandbox,
) -> Result<(Summary, Findings), HostError> {
    let mut limits = *file.limits();
    limits.check_memory /= u64::from(count);
    let share = |number: u32| {
        let image = file.image_within(&limits)?;
        let mut options = *options;
        options.share = (number, count);
        run_share(file, &image, &options, sandbox).map_err(|error| file.failed(error))
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..count)
            .map(|number| {
                let thread = thread::Builder::new().spawn_scoped(scope, move || share(number));
                (number, thread)
            })
            .collect();
        let (mut summary, mut findings) = share(0)?;
        for (number, thread) in others {
            let (more, found) = match thread {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?,
                // With fewer threads than asked for it only takes longer.
                Err(_) => share(number)?,
            };
            summary.errors += more.errors;
            summary.warnings += more.warnings;
            summary.decoded += more.decoded;
            summary.memory += more.memory;
            summary.needs = summary.needs.and(more.needs);
            for (count, kept) in found.0 {
                findings.add_all(count, &kept);
            }
        }
        Ok((summary, findings))
    })
}
