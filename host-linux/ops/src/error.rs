//! What can go wrong on this side, told in one line.

mod cache;
mod choice;
mod extract;
mod source;
mod target;

use core::fmt;
use std::io;
use std::path::{Path, PathBuf};

use erofs_unpack_core::oci::{Choice, Platform};
use erofs_unpack_core::{At, Code, Error, Kind, Value};

use crate::checked::Checked;
use crate::escape::Escaped;
use crate::hint::hint;
use crate::limit_flag::{advice, limit_flag};

pub use cache::CacheFault;
pub use choice::ChoiceFault;
pub use extract::ExtractFault;
pub use source::SourceFault;
pub use target::TargetFault;

/// An error of this host.
///
/// Its `Display` is one line of the form `where: what: what was expected`, without control
/// characters, whatever names it holds.
#[derive(Debug)]
#[non_exhaustive]
pub enum HostError {
    /// The content of a source was refused by the core.
    Refused {
        /// The file, or the archive with the member after a colon.
        place: PathBuf,
        /// What the core said.
        error: Error,
        /// What is to be said besides: what is in the input, or what can be done.
        note: Option<Box<str>>,
    },
    /// The check refused an image.
    Check {
        /// The image, and after a colon the path in it.
        place: PathBuf,
        /// The first error that it found.
        error: Error,
        /// All that it found.
        checked: Box<Checked>,
    },
    /// A file was refused by the core for what it starts with, and an image starts further on.
    Elsewhere {
        /// The file.
        place: PathBuf,
        /// What the core said.
        error: Error,
        /// The byte of the file where an image starts.
        offset: u64,
    },
    /// A layout or an archive was refused before its documents were looked at.
    Source {
        /// The file, or the archive with the member after a colon.
        place: PathBuf,
        /// Why.
        fault: SourceFault,
        /// The byte of the archive where it was found, if that is one place.
        at: Option<u64>,
        /// What was expected: for a limit, the limit.
        expected: Value,
    },
    /// No image is for the platform that is wanted.
    Platform {
        /// The document that says so.
        place: PathBuf,
        /// The platform that is wanted.
        wanted: String,
        /// The platforms that there are.
        offered: Vec<String>,
        /// The features of the operating system that an image for the platform needs, and that
        /// nobody knows.
        needs: Vec<String>,
    },
    /// Which image of a layout is meant is not clear.
    Choice {
        /// The layout.
        place: PathBuf,
        /// Why.
        fault: ChoiceFault,
        /// What there is, or the first of it.
        choices: Vec<Choice>,
        /// How many there are.
        count: usize,
    },
    /// A layout holds no image.
    NoImage {
        /// The layout.
        place: PathBuf,
        /// The types of the artifacts that it holds.
        artifacts: Vec<String>,
    },
    /// The manifest or the config of the image that is meant is not in the layout.
    Absent {
        /// Where it would be.
        place: PathBuf,
        /// Where else its descriptor says that it is.
        urls: Vec<String>,
        /// The platform that it is for, where that is known.
        platform: Option<String>,
        /// The platforms to choose from instead, whose manifests are there.
        there: Vec<String>,
    },
    /// The files of an image cannot be extracted.
    Extract {
        /// The image, with the path in it after a colon.
        place: PathBuf,
        /// Why.
        fault: ExtractFault,
        /// What was expected: for a limit, the limit.
        expected: Value,
    },
    /// An entry of a cache cannot be used.
    Cache {
        /// Its file.
        place: PathBuf,
        /// Why not.
        fault: CacheFault,
    },
    /// An output cannot have the name that was asked for.
    Target {
        /// The name.
        place: PathBuf,
        /// Why not.
        fault: TargetFault,
    },
    /// The system did not do what was asked of it.
    Environment {
        /// The file that it was about.
        place: PathBuf,
        /// What was being done, as a verb phrase: "write", "open for reading".
        doing: &'static str,
        /// What the system answered.
        error: io::Error,
    },
    /// The work was stopped, because of an error elsewhere that is told there.
    Cancelled,
    /// The program was called in a way that it cannot be.
    Usage(String),
}

impl HostError {
    /// A refusal of the core, about this place.
    pub fn refused(place: impl Into<PathBuf>, error: Error) -> Self {
        Self::Refused {
            place: place.into(),
            error,
            note: None,
        }
    }

    /// A refusal of the core, about this place, with something to say besides.
    pub fn refused_with(place: impl Into<PathBuf>, error: Error, note: String) -> Self {
        Self::Refused {
            place: place.into(),
            error,
            note: Some(note.into()),
        }
    }

    /// A refusal of a source as a whole.
    pub fn source_fault(place: impl Into<PathBuf>, fault: SourceFault) -> Self {
        Self::Source {
            place: place.into(),
            fault,
            at: None,
            expected: Value::None,
        }
    }

    /// An answer of the system, while doing something with this place.
    pub fn environment(
        place: impl Into<PathBuf>,
        doing: &'static str,
        error: impl Into<io::Error>,
    ) -> Self {
        Self::Environment {
            place: place.into(),
            doing,
            error: error.into(),
        }
    }

    /// None of these platforms is the one that is wanted.
    pub fn platform(place: impl Into<PathBuf>, wanted: &Platform, offered: &[Platform]) -> Self {
        Self::Platform {
            place: place.into(),
            wanted: wanted.full().to_string(),
            offered: platforms(offered),
            needs: Vec::new(),
        }
    }

    /// A name that an output cannot have.
    pub fn target(place: impl Into<PathBuf>, fault: TargetFault) -> Self {
        Self::Target {
            place: place.into(),
            fault,
        }
    }

    /// What is wrong with an entry of a cache.
    pub fn cache(place: impl Into<PathBuf>, fault: CacheFault) -> Self {
        Self::Cache {
            place: place.into(),
            fault,
        }
    }

    /// The stable id, as `--json` uses it: the core's for a refusal, else one of this crate.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Refused { error, .. }
            | Self::Elsewhere { error, .. }
            | Self::Check { error, .. } => error.id(),
            Self::Source { fault, .. } => fault.id(),
            Self::Platform { .. } | Self::NoImage { .. } => Code::PlatformNone.id(),
            Self::Choice { fault, .. } => fault.id(),
            Self::Extract { fault, .. } => fault.id(),
            Self::Cache { fault, .. } => fault.id(),
            Self::Target { fault, .. } => fault.id(),
            Self::Environment { .. } | Self::Absent { .. } => "environment",
            Self::Cancelled => "cancelled",
            Self::Usage(_) => "usage",
        }
    }

    /// What sort of refusal it is, where the content is refused by a rule of the core.
    #[must_use]
    pub const fn kind(&self) -> Option<Kind> {
        match self {
            Self::Refused { error, .. }
            | Self::Elsewhere { error, .. }
            | Self::Check { error, .. } => Some(error.kind()),
            Self::Platform { .. } | Self::NoImage { .. } => Some(Code::PlatformNone.kind()),
            Self::Choice {
                fault: ChoiceFault::NoSuchName(_),
                ..
            } => None,
            Self::Choice { .. } => Some(Code::ImageAmbiguous.kind()),
            _ => None,
        }
    }

    /// The exit code of a program that stops for this error: 1 for refused content, 2 for
    /// wrong usage, 3 when the environment failed.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { error, .. } => match error.kind() {
                Kind::Memory => 3,
                Kind::Usage => 2,
                _ => 1,
            },
            Self::Elsewhere { .. }
            | Self::Check { .. }
            | Self::Source { .. }
            | Self::Platform { .. }
            | Self::NoImage { .. }
            | Self::Extract { .. }
            | Self::Cache { .. } => 1,
            Self::Target { .. }
            | Self::Absent { .. }
            | Self::Environment { .. }
            | Self::Cancelled => 3,
            Self::Choice { .. } | Self::Usage(_) => 2,
        }
    }

    /// Where it was, if it was about one place.
    #[must_use]
    pub fn place(&self) -> Option<&Path> {
        match self {
            Self::Refused { place, .. }
            | Self::Elsewhere { place, .. }
            | Self::Check { place, .. }
            | Self::Source { place, .. }
            | Self::Platform { place, .. }
            | Self::Choice { place, .. }
            | Self::NoImage { place, .. }
            | Self::Absent { place, .. }
            | Self::Extract { place, .. }
            | Self::Cache { place, .. }
            | Self::Target { place, .. }
            | Self::Environment { place, .. } => Some(place),
            Self::Cancelled | Self::Usage(_) => None,
        }
    }

    /// The error as it is told on a terminal: where it is not clear which image is meant, what
    /// there is stands below it, a line each. Everything else is one line, as displayed.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Choice {
                place,
                fault,
                choices,
                count,
            } => {
                let place = Escaped::name(place.as_os_str().as_encoded_bytes());
                format!("{place}: {}", fault.told(choices, *count))
            }
            error => error.to_string(),
        }
    }

    /// The flag that raises the limit which was hit, if one was.
    #[must_use]
    pub const fn flag(&self) -> Option<&'static str> {
        match self {
            Self::Refused { error, .. } => limit_flag(error.code()),
            Self::Source { fault, .. } => fault.flag(),
            Self::Extract { fault, .. } => fault.flag(),
            Self::Elsewhere { .. }
            | Self::Check { .. }
            | Self::Platform { .. }
            | Self::Choice { .. }
            | Self::NoImage { .. }
            | Self::Absent { .. }
            | Self::Cache { .. }
            | Self::Target { .. }
            | Self::Environment { .. }
            | Self::Cancelled
            | Self::Usage(_) => None,
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place() {
            write!(
                f,
                "{}: ",
                Escaped::name(place.as_os_str().as_encoded_bytes())
            )?;
        }
        match self {
            Self::Refused { error, note, .. } => {
                write!(f, "{error}")?;
                if let Some(note) = note {
                    write!(f, ": {}", Escaped::text(note))?;
                }
            }
            Self::Elsewhere { error, offset, .. } => write!(
                f,
                "{error} (an EROFS image starts at byte {offset}: read it with --offset {offset})"
            )?,
            Self::Check { error, checked, .. } => {
                write!(f, "{error} (rule {}", error.id())?;
                match checked.summary.errors {
                    0 | 1 => {}
                    2 => write!(f, ", and 1 more error")?,
                    errors => write!(f, ", and {} more errors", errors.saturating_sub(1))?,
                }
                f.write_str(")")?;
            }
            Self::Source {
                fault,
                at,
                expected,
                ..
            } => {
                f.write_str(fault.text())?;
                if let Some(at) = at {
                    write!(f, ", at byte {at} of the archive")?;
                }
                if *expected != Value::None {
                    write!(f, ": expected {expected}")?;
                }
            }
            Self::Platform {
                wanted,
                offered,
                needs,
                ..
            } => write_platform(f, wanted, offered, needs)?,
            Self::Choice {
                fault,
                choices,
                count,
                ..
            } => f.write_str(&fault.line(choices, *count))?,
            Self::NoImage { artifacts, .. } => write_no_image(f, artifacts)?,
            Self::Absent {
                urls,
                platform,
                there,
                ..
            } => {
                let answer = match urls.as_slice() {
                    [] => "No such file or directory".to_owned(),
                    urls => addresses(urls),
                };
                write!(f, "cannot open the blob: {}", Escaped::text(&answer))?;
                if let Some(platform) = platform {
                    let platform = Escaped::text(platform);
                    write!(f, ": the image for {platform} is not in the layout")?;
                }
                if !there.is_empty() {
                    let there = listed(there);
                    let there = Escaped::text(&there);
                    write!(f, ": choose one that is with --platform: {there}")?;
                }
            }
            Self::Extract {
                fault, expected, ..
            } => {
                f.write_str(fault.text())?;
                if *expected != Value::None {
                    write!(f, ": expected {expected}")?;
                }
            }
            Self::Cache { fault, .. } => f.write_str(fault.text())?,
            Self::Target { fault, .. } => f.write_str(fault.text())?,
            Self::Environment { doing, error, .. } => {
                write!(f, "cannot {doing}: {}", Escaped::text(&answer(error)))?;
            }
            Self::Cancelled => f.write_str("stopped, because of an error elsewhere")?,
            Self::Usage(text) => write!(f, "{}", Escaped::text(text))?,
        }
        if let Self::Refused { error, .. } | Self::Check { error, .. } = self
            && let Some(hint) = hint(error)
        {
            write!(f, " ({hint})")?;
        }
        let advice = match self {
            Self::Refused { error, .. } => advice(error),
            _ => self.flag().map(str::to_owned),
        };
        match advice {
            Some(advice) => write!(f, " (raise it with {advice})"),
            None => Ok(()),
        }
    }
}

/// The names of platforms, with their features where not all are known.
pub(crate) fn platforms(platforms: &[Platform]) -> Vec<String> {
    let known = Platform::default();
    let mut names: Vec<String> = Vec::new();
    for platform in platforms {
        let name = if known.lacks(platform).next().is_some() {
            platform.full().to_string()
        } else {
            platform.to_string()
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What is said of a blob that is not there and has addresses: the first of them, shortened.
pub(crate) fn addresses(urls: &[String]) -> String {
    const MOST: usize = 3;
    const LONGEST: usize = 200;
    let short = |url: &String| url.chars().take(LONGEST).collect::<String>();
    let told: Vec<_> = urls.iter().take(MOST).map(short).collect();
    let mut text = "it is not there, and its descriptor names ".to_owned();
    text.push_str(&told.join(", "));
    if urls.len() > MOST {
        text.push_str(&format!(" and {} more", urls.len() - MOST));
    }
    text
}

/// Names in one line, the first of them if there are many.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let more = names.len().saturating_sub(MOST);
    let mut list: Vec<&str> = names.iter().take(MOST).map(String::as_str).collect();
    let more = format!("and {more} more");
    if names.len() > MOST {
        list.push(&more);
    }
    list.join(", ")
}

/// What of a layout's platforms does not fit, and what to do.
fn write_platform(
    f: &mut fmt::Formatter<'_>,
    wanted: &str,
    offered: &[String],
    needs: &[String],
) -> fmt::Result {
    let offered = match offered {
        [] => "none".to_owned(),
        offered => listed(offered),
    };
    let error = Error::new(Code::PlatformNone, At::Whole);
    write!(f, "{error}: found {}", Escaped::text(&offered))?;
    if !needs.is_empty() {
        let needs = listed(needs);
        let (what, it) = if needs.contains(", ") {
            ("features", "them")
        } else {
            ("feature", "it")
        };
        write!(
            f,
            " (it needs the unknown {what} {} of the operating system: name {it} in --platform, \
             as in the list, if {it} can be done without)",
            Escaped::text(&needs)
        )?;
    }
    write!(f, ", expected {}", Escaped::text(wanted))
}

/// What a layout holds instead of an image.
fn write_no_image(f: &mut fmt::Formatter<'_>, artifacts: &[String]) -> fmt::Result {
    f.write_str("holds no image")?;
    let mut types: Vec<String> = Vec::new();
    for artifact in artifacts {
        if !types.contains(artifact) {
            types.push(artifact.clone());
        }
    }
    if !types.is_empty() {
        let types = listed(&types);
        write!(
            f,
            ", only artifacts of type {}: one is taken for an image with --digest",
            Escaped::text(&types)
        )?;
    }
    Ok(())
}

/// What the system answered, without the number that Rust puts behind it.
fn answer(error: &io::Error) -> String {
    let text = error.to_string();
    let number = error
        .raw_os_error()
        .map(|number| format!(" (os error {number})"));
    match number.and_then(|number| text.strip_suffix(&number)) {
        Some(words) => words.to_owned(),
        None => text,
    }
}

impl core::error::Error for HostError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Refused { error, .. }
            | Self::Elsewhere { error, .. }
            | Self::Check { error, .. } => Some(error),
            Self::Environment { error, .. } => Some(error),
            Self::Source { .. }
            | Self::Platform { .. }
            | Self::Choice { .. }
            | Self::NoImage { .. }
            | Self::Absent { .. }
            | Self::Extract { .. }
            | Self::Cache { .. }
            | Self::Target { .. }
            | Self::Cancelled
            | Self::Usage(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_names_its_flag() {
        for code in Code::ALL {
            // The program has no sandbox.
            let sandbox = code.structure() == "sandbox";
            assert_eq!(
                limit_flag(*code).is_some(),
                code.kind() == Kind::Limit && !sandbox,
                "{}",
                code.id()
            );
        }
    }

    #[test]
    fn one_line_with_place_and_flag() {
        let error = Error::new(Code::ZstdWindow, At::Blob(6))
            .found(Value::Number(9))
            .expected(Value::AtMost(8));
        let error = HostError::refused("a\nb", error);
        assert_eq!(
            error.to_string(),
            "a\\nb: zstd frame: needs a larger window than the limit, at byte 6 of the blob: \
             found 9, expected at most 8 (raise it with --max-window)"
        );
        assert_eq!((error.id(), error.exit_code()), ("zstd-window", 1));
    }

    #[test]
    fn a_window_that_cannot_be_decoded_comes_without_advice() {
        let said = |window: u64, limit: u64| {
            let error = Error::new(Code::ZstdWindow, At::Blob(0))
                .found(Value::Number(window))
                .expected(Value::AtMost(limit));
            HostError::refused("x", error).to_string()
        };
        let default = 128 << 20;
        assert!(said(1 << 30, default).ends_with("(raise it with --max-window)"));
        assert!(said(1 << 31, default).ends_with("(raise it with --max-window)"));
        assert!(said(1 << 32, default).ends_with("expected at most 134217728"));
    }

    #[test]
    fn exit_codes_by_kind() {
        let of = |code| HostError::refused("x", Error::new(code, At::Whole)).exit_code();
        assert_eq!(of(Code::BlobDigest), 1);
        assert_eq!(of(Code::ZstdMemory), 3);
        assert_eq!(of(Code::Finished), 2);
        assert_eq!(HostError::target("x", TargetFault::Exists).exit_code(), 3);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(HostError::environment("x", "write", full).exit_code(), 3);
        let absent = HostError::environment("x", "read", rustix::io::Errno::NOENT);
        assert_eq!(
            absent.to_string(),
            "x: cannot read: No such file or directory"
        );
        let usage = HostError::Usage("no\x1b".into());
        assert_eq!(
            (usage.exit_code(), usage.to_string()),
            (2, "no\\x1b".into())
        );
    }
}
