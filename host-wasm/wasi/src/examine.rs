//! The check of an image, what is kept of it, and how it is told: as the Linux program does.

use std::path::{Path, PathBuf};

use erofs_unpack_core::check::{self, Finding, Options, Paths, Rule, Severity, Summary};
use erofs_unpack_core::erofs::{Image, ReadError};
use erofs_unpack_core::{Error, Limits};

use crate::cli::Talk;
use crate::content::Content;
use crate::error::HostError;
use crate::escape::Escaped;

/// Most places of a rule that are kept.
const PLACES: usize = 10;
/// Most directory entries that are looked at to find the paths of all places.
const PATH_ENTRIES: u64 = 1 << 22;

/// What a check said of an image.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) place: PathBuf,
    pub(crate) summary: Summary,
    /// What was found, errors first, in the order in which the rules were first broken.
    pub(crate) breaches: Vec<Breach>,
}

/// All findings of one rule.
#[derive(Debug)]
pub(crate) struct Breach {
    pub(crate) severity: Severity,
    pub(crate) count: u64,
    pub(crate) first: Place,
    pub(crate) next: Vec<Place>,
}

/// One finding.
#[derive(Debug)]
pub(crate) struct Place {
    /// The path in the image, without a leading slash, where it is known.
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) error: Error,
}

impl Place {
    /// What to call it in messages.
    pub(crate) fn place_in(&self, image: &Path) -> PathBuf {
        let Some(path) = &self.path else {
            return image.to_owned();
        };
        let mut place = image.as_os_str().to_owned();
        place.push(":/");
        // A name that is not UTF-8 is no path in WASI; for a message it does.
        let path = path.strip_prefix(b"/").unwrap_or(path);
        place.push(String::from_utf8_lossy(path).as_ref());
        place.into()
    }
}

impl Breach {
    fn rule(&self) -> Option<&'static Rule> {
        Rule::of(self.first.error.code())
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = &Place> {
        core::iter::once(&self.first).chain(&self.next)
    }

    /// What is printed of it.
    pub(crate) fn describe(&self, talk: &Talk) -> String {
        let times = match self.count {
            0 | 1 => String::new(),
            count => format!(" ({count} times)"),
        };
        let demand = self
            .rule()
            .map_or("The image can be read", |rule| rule.demand);
        let (severity, rule) = (self.severity.name(), self.first.error.id());
        let mut text = format!("{severity} {rule}{times}: {demand}\n");
        for place in self.places() {
            text.push_str(&match &place.path {
                Some(path) => format!("  /{}: {}\n", Escaped::name(path), place.error),
                None => format!("  {}\n", place.error),
            });
        }
        let more = self.count.saturating_sub(self.places().count() as u64);
        if more > 0 {
            text.push_str(&format!("  and {more} more\n"));
        }
        if let (true, Some(rule)) = (talk.verbose, self.rule()) {
            let why = rule.reason.name();
            text.push_str(&format!("  why: {why} ({})\n", rule.source));
        }
        text
    }
}

impl Examined {
    /// An image that did not pass is refused.
    pub(crate) fn verdict(self) -> Result<Self, HostError> {
        let error = |breach: &&Breach| breach.severity == Severity::Error;
        match self.breaches.first().filter(error) {
            None => Ok(self),
            Some(breach) => Err(HostError::Check {
                place: breach.first.place_in(&self.place),
                error: breach.first.error,
                examined: Box::new(self),
            }),
        }
    }

    /// The findings, each rule with its places below it.
    pub(crate) fn describe(&self, talk: &Talk) -> String {
        let told = |breach: &&Breach| !(talk.quiet && breach.severity == Severity::Warning);
        let breaches = self.breaches.iter().filter(told);
        breaches.map(|breach| breach.describe(talk)).collect()
    }
}

/// Checks an image of `size` bytes.
pub(crate) fn examine(
    place: &Path,
    content: &Content,
    size: u64,
    limits: &Limits,
    options: &Options,
) -> Result<Examined, HostError> {
    let mut found: Vec<(u64, Vec<Finding>)> = Vec::new();
    let mut add = |finding: &Finding| {
        let code = finding.error.code();
        let same = |(_, kept): &&mut (u64, Vec<Finding>)| {
            kept.first().is_some_and(|first| first.error.code() == code)
        };
        match found.iter_mut().find(same) {
            Some((count, kept)) => {
                *count += 1;
                if kept.len() < PLACES {
                    kept.push(*finding);
                }
            }
            None => found.push((1, vec![*finding])),
        }
    };
    let image = match Image::open(content, size, limits) {
        Ok(image) => Some(image),
        Err(ReadError::Refused(error)) if Rule::of(error.code()).is_some() => {
            let Some(severity) = options.severity(&error) else {
                return Err(HostError::refused(place, error));
            };
            let entry = None;
            add(&Finding {
                error,
                severity,
                entry,
            });
            None
        }
        Err(error) => return Err(HostError::read(place, error)),
    };
    let summary = match &image {
        Some(image) => check::check_image(image, options, &mut add)
            .map_err(|error| HostError::read(place, error))?,
        None => {
            let mut summary = Summary::default();
            summary.errors = 1;
            summary
        }
    };
    let mut paths = image.as_ref().map(|image| Paths::new(image, PATH_ENTRIES));
    let mut placed = |finding: &Finding| Place {
        path: paths
            .as_mut()
            .and_then(|paths| paths.of(finding).unwrap_or_default()),
        error: finding.error,
    };
    let mut breaches: Vec<Breach> = found
        .iter()
        .filter_map(|(count, kept)| {
            let (first, next) = kept.split_first()?;
            Some(Breach {
                severity: first.severity,
                count: *count,
                first: placed(first),
                next: next.iter().map(&mut placed).collect(),
            })
        })
        .collect();
    breaches.sort_by_key(|breach| breach.severity == Severity::Warning);
    Ok(Examined {
        place: place.to_owned(),
        summary,
        breaches,
    })
}
