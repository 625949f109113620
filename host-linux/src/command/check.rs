//! `erofs-unpack check`: whether the kernel may be handed an image.

use std::path::Path;
use std::thread;

use erofs_unpack_core::check::{self, Finding, Level, Options, Rule, Severity, Summary};
use erofs_unpack_core::erofs::{Image, ReadError};
use serde::Serialize;

use super::write_json;
use crate::cli::Check;
use crate::error::HostError;
use crate::examine::found_at;
use crate::image_file::{FileAt, ImageFile};
use crate::report::{ErrorReport, VERSION, shown};
use crate::say;

/// Most places of a rule that are told.
const PLACES: usize = 10;

/// Runs the command and gives its exit code.
#[must_use]
pub fn run(args: &Check) -> u8 {
    let (report, error) = match check(args) {
        Ok(report) => (report, None),
        Err(error) => (Report::failed(args, &error), Some(error)),
    };
    let told = match &args.json {
        Some(path) => write_json(&report, path),
        None if error.is_none() => say::print(&text(&report, args)),
        None => Ok(()),
    };
    for error in error.iter().chain(told.as_ref().err()) {
        say::complain(error);
    }
    told.err().map_or(report.exit_code, |told| {
        told.exit_code().max(report.exit_code)
    })
}

/// What `--json` prints.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: u32,
    command: &'static str,
    outcome: &'static str,
    exit_code: u8,
    source: String,
    level: &'static str,
    policy: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<String>,
    inodes: u64,
    directories: u64,
    errors: u64,
    warnings: u64,
    /// Bytes that were decoded.
    decoded: u64,
    /// Most bytes that were kept.
    memory: u64,
    findings: Vec<Group>,
    /// Why the check did not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport>,
}

/// All breaches of one rule.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    rule: &'static str,
    severity: &'static str,
    /// What the rule demands; absent where an error of reading has no rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    demand: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    count: u64,
    /// The first places.
    places: Vec<ErrorReport>,
}

/// What is kept of the findings while the check runs.
#[derive(Default)]
struct Findings {
    /// Of each code: how many, and the first.
    rules: Vec<(u64, Vec<Finding>)>,
}

impl Findings {
    fn add(&mut self, finding: &Finding) {
        let same = |kept: &Vec<Finding>| {
            kept.first()
                .is_some_and(|kept| kept.error.code() == finding.error.code())
        };
        match self.rules.iter_mut().find(|(_, kept)| same(kept)) {
            Some((count, kept)) => {
                *count += 1;
                if kept.len() < PLACES {
                    kept.push(*finding);
                }
            }
            None => self.rules.push((1, vec![*finding])),
        }
    }
}

fn check(args: &Check) -> Result<Report, HostError> {
    let file = args.image.open()?;
    let mut options = args.check.options(args.policy.into())?;
    options.devices = args.known_devices;
    let image = match file.image() {
        Ok(image) => image,
        Err(HostError::Refused { place, error }) if options.severity(&error).is_some() => {
            // A superblock that cannot be read is a finding like others.
            let mut findings = Findings::default();
            findings.add(&Finding {
                error,
                severity: Severity::Error,
                entry: None,
            });
            let mut summary = Summary::default();
            summary.errors = 1;
            return Ok(Report::new(args, &summary, findings, |_| place.clone()));
        }
        Err(error) => return Err(error),
    };
    let (summary, findings) = run_shares(args, &file, &image, &options)?;
    Ok(Report::new(args, &summary, findings, |finding| {
        found_at(&image, file.place(), finding)
    }))
}

/// Runs the check, at the full level on several threads.
fn run_shares(
    args: &Check,
    file: &ImageFile,
    image: &Image<FileAt>,
    options: &Options,
) -> Result<(Summary, Findings), HostError> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let jobs = match options.level {
        Level::Full => args.jobs.map_or(processors, usize::from),
        _ => 1,
    };
    let jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
    let share = |number| {
        let mut options = *options;
        options.share = (number, jobs);
        options
    };
    let run = |image: &Image<FileAt>, options: &Options| {
        let mut findings = Findings::default();
        let summary = check::check_image(image, options, &mut |finding| findings.add(finding))?;
        Ok::<_, ReadError<std::io::Error>>((summary, findings))
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..jobs)
            .map(|number| {
                scope.spawn(move || {
                    let image = file.image()?;
                    run(&image, &share(number)).map_err(|error| file.failed(error))
                })
            })
            .collect();
        let own = run(image, &share(0)).map_err(|error| file.failed(error));
        let mut all = own;
        for other in others {
            let other = other
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all = match (all, other) {
                (Ok((mut summary, mut findings)), Ok((more, others))) => {
                    summary.errors += more.errors;
                    summary.warnings += more.warnings;
                    summary.decoded += more.decoded;
                    summary.memory += more.memory;
                    for (count, kept) in others.rules {
                        let told = kept.len() as u64;
                        kept.iter().for_each(|finding| findings.add(finding));
                        if let Some(first) = kept.first()
                            && let Some((total, _)) = findings.rules.iter_mut().find(|(_, kept)| {
                                kept.first()
                                    .is_some_and(|kept| kept.error.code() == first.error.code())
                            })
                        {
                            *total += count - told;
                        }
                    }
                    Ok((summary, findings))
                }
                (Err(error), _) | (_, Err(error)) => Err(error),
            };
        }
        all
    })
}

impl Report {
    fn new(
        args: &Check,
        summary: &Summary,
        findings: Findings,
        place: impl Fn(&Finding) -> std::path::PathBuf,
    ) -> Self {
        let mut groups: Vec<Group> = findings
            .rules
            .into_iter()
            .filter_map(|(count, kept)| {
                let first = kept.first()?;
                let rule = Rule::of(first.error.code());
                Some(Group {
                    rule: first.error.id(),
                    severity: first.severity.name(),
                    demand: rule.map(|rule| rule.demand),
                    reason: rule.map(|rule| rule.reason.name()),
                    count,
                    places: kept
                        .iter()
                        .map(|finding| {
                            ErrorReport::of(&HostError::refused(place(finding), finding.error))
                        })
                        .collect(),
                })
            })
            .collect();
        groups.sort_by_key(|group| group.severity == Severity::Warning.name());
        Self {
            outcome: if summary.passed() { "done" } else { "refused" },
            exit_code: u8::from(!summary.passed()),
            inodes: summary.inodes,
            directories: summary.directories,
            errors: summary.errors,
            warnings: summary.warnings,
            decoded: summary.decoded,
            memory: summary.memory,
            findings: groups,
            ..Self::of(args)
        }
    }

    fn failed(args: &Check, error: &HostError) -> Self {
        Self {
            outcome: match error.exit_code() {
                1 => "refused",
                _ => "failed",
            },
            exit_code: error.exit_code(),
            error: Some(ErrorReport::of(error)),
            ..Self::of(args)
        }
    }

    /// What was asked for.
    fn of(args: &Check) -> Self {
        Self {
            version: VERSION,
            command: "check",
            outcome: "done",
            exit_code: 0,
            source: shown(&args.image.image),
            level: args.check.level.name(),
            policy: args.policy.name(),
            allowed: args.check.allow.clone(),
            inodes: 0,
            directories: 0,
            errors: 0,
            warnings: 0,
            decoded: 0,
            memory: 0,
            findings: Vec::new(),
            error: None,
        }
    }
}

/// What people read: the findings by their rules, and the verdict.
fn text(report: &Report, args: &Check) -> String {
    let mut text = String::new();
    let place = format!("{}: ", shown(Path::new(&args.image.image)));
    let place = place.trim_end_matches(": ");
    for group in &report.findings {
        if args.talk.quiet && group.severity == Severity::Warning.name() {
            continue;
        }
        let times = if group.count == 1 {
            String::new()
        } else {
            format!(" ({} times)", group.count)
        };
        text.push_str(&format!(
            "{} {}{times}: {}\n",
            group.severity,
            group.rule,
            group.demand.unwrap_or("The image can be read")
        ));
        for found in &group.places {
            let message = found.message.as_str();
            let message = message.strip_prefix(place).unwrap_or(message);
            let message = message.trim_start_matches(':').trim_start();
            text.push_str(&format!("  {message}\n"));
        }
        let more = group.count.saturating_sub(group.places.len() as u64);
        if more > 0 {
            text.push_str(&format!("  and {more} more\n"));
        }
    }
    if args.talk.quiet && report.exit_code == 0 {
        return text;
    }
    let verdict = if report.exit_code == 0 {
        "passed"
    } else {
        "refused"
    };
    let plural = |count: u64, one: &str| {
        let s = if count == 1 { "" } else { "s" };
        format!("{count} {one}{s}")
    };
    text.push_str(&format!(
        "{place}: {verdict}: {}, {}, {} (policy {}, level {})\n",
        plural(report.inodes, "inode"),
        plural(report.errors, "error"),
        plural(report.warnings, "warning"),
        report.policy,
        report.level
    ));
    text
}
