//! Many images, by a list: each by itself, so that what is wrong with one keeps no other from being converted.

use core::str::FromStr;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use erofs_unpack_core::oci::Digest;
use serde::Serialize;

use super::report::{ImageReport, PassedOver, Report};
use super::{Options, convert_chosen};
use crate::done::{Conclude, Done, Failure};
use crate::error::HostError;
use crate::image::Image;
use crate::observer::Observer;
use crate::report::{ErrorReport, VERSION, outcome_name, shown};

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number in the list, from 1.
    pub line: usize,
    /// The layout or archive.
    pub source: PathBuf,
    /// Which image in it is meant, by name.
    pub reference: Option<String>,
}

/// A part of a list: of every `of` images the one at place `number`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    /// `K/N`, with K from 1 to N.
    fn from_str(text: &str) -> Result<Self, String> {
        text.split_once('/')
            .and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)))
            .filter(|(number, of)| (1..=*of).contains(number))
            .map(|(number, of)| Self { number, of })
            .ok_or_else(|| "expected K/N, such as 1/4: K from 1 to N".to_owned())
    }
}

/// Reads a list: a line for each image, `SOURCE` or `SOURCE NAME`, between them blanks, or a tab where the
/// source has blanks in it. Empty lines, and those that start with `#`, are passed over; they do not count for
/// shards. `place` is what to call the list.
///
/// # Errors
///
/// [`HostError::Usage`] for a line that is neither, and for the standard input as a source.
pub fn read_list(text: &str, place: &Path, shard: Option<Shard>) -> Result<Vec<Listed>, HostError> {
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#'));
    let mut list = Vec::new();
    for (number, (line, text)) in lines.enumerate() {
        let (source, name) = text
            .split_once('\t')
            .or_else(|| text.split_once(char::is_whitespace))
            .map_or((text, None), |(source, name)| {
                (source.trim(), Some(name.trim()))
            });
        let is_name =
            name.is_none_or(|name| !name.is_empty() && !name.contains(char::is_whitespace));
        if source == "-" || !is_name {
            return Err(HostError::Usage(format!(
                "{}:{line}: expected the path of a layout or archive, and after it at most the name of an image",
                shown(place)
            )));
        }
        if shard.is_none_or(|shard| number % shard.of == shard.number - 1) {
            list.push(Listed {
                line,
                source: source.into(),
                reference: name.map(str::to_owned),
            });
        }
    }
    Ok(list)
}

/// What came of a list: what `--json` prints.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListReport {
    /// [`VERSION`].
    pub version: u32,
    /// `convert`.
    pub command: &'static str,
    /// `done`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The exit code of a program that ends so.
    pub exit_code: u8,
    /// The layout that the images are in.
    pub destination: String,
    /// The lines, in their order.
    pub lines: Vec<ListedReport>,
    /// The error that the exit code stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

/// What came of a line.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedReport {
    /// Its number in the list, from 1.
    pub line: usize,
    /// The source, escaped.
    pub source: String,
    /// The name that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// `converted`; `passed-over` where all that is meant had been converted before; `refused` or `failed`.
    pub status: &'static str,
    /// The images that were converted.
    pub images: Vec<ImageReport>,
    /// Those that had been converted before.
    pub passed_over: Vec<PassedOver>,
    /// What did not stop it and is to be known all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why it was not converted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorReport>,
}

impl ListReport {
    /// Nothing was done yet.
    #[must_use]
    pub fn new(destination: &Path) -> Self {
        Self {
            version: VERSION,
            command: "convert",
            outcome: outcome_name(0),
            exit_code: 0,
            destination: shown(destination),
            lines: Vec::new(),
            error: None,
        }
    }
}

impl Conclude for ListReport {
    fn conclude(&mut self, error: Option<&HostError>) {
        self.exit_code = error.map_or(0, HostError::exit_code);
        self.outcome = outcome_name(self.exit_code);
        self.error = error.map(ErrorReport::of);
    }
}

/// Who is told of each line when it is done with, and of what went wrong.
pub type Told<'a> = dyn FnMut(&ListedReport, Option<&HostError>) -> Result<(), HostError> + 'a;

/// Converts the images of a list into one layout, one after the other, as [`super::convert`] does. Each is in the
/// layout before the next begins. One that fails does not keep the others from being converted; of all failures
/// the report names the one that counts.
///
/// A name is one image's: a line whose image has the name of another line's is wrong usage, and fails.
///
/// `told` is called with each line when it is done with, and with what went wrong; an error of its own ends the
/// work.
pub fn convert_list(
    list: &[Listed],
    destination: &Path,
    options: &Options,
    observer: &dyn Observer,
    told: &mut Told<'_>,
) -> Done<ListReport> {
    let mut names = Names::default();
    Done::run(ListReport::new(destination), |done| {
        for listed in list {
            let mut options = options.clone();
            if listed.reference.is_some() {
                options.select.image.reference.clone_from(&listed.reference);
            }
            let one = Done::run(Report::new(&listed.source), |done| {
                let report = &mut done.report;
                let choose = |images: &[Image]| names.claim(images, listed);
                convert_chosen(
                    &listed.source,
                    destination,
                    &options,
                    observer,
                    report,
                    choose,
                )
            });
            let line = ListedReport::new(listed, &one);
            let error = one.failure().map(|failure| &failure.error);
            let going_on = told(&line, error);
            done.report.lines.push(line);
            done.failures
                .extend(one.failures.into_iter().map(|failure| Failure {
                    layer: None,
                    error: failure.error,
                }));
            going_on?;
        }
        Ok(())
    })
}

impl ListedReport {
    fn new(listed: &Listed, done: &Done<Report>) -> Self {
        let report = &done.report;
        let status = match report.outcome {
            "done" if report.images.is_empty() => "passed-over",
            "done" => "converted",
            other => other,
        };
        Self {
            line: listed.line,
            source: report.source.clone(),
            reference: listed.reference.clone(),
            status,
            images: report.images.clone(),
            passed_over: report.passed_over.clone(),
            notes: report.notes.clone(),
            error: report.error.clone(),
        }
    }
}

/// Which line a name belongs to, and the manifests that have it there.
#[derive(Default)]
struct Names(BTreeMap<String, (usize, Vec<Digest>)>);

impl Names {
    /// Gives the names of these images to a line. An image may be on several lines.
    fn claim(&mut self, images: &[Image], listed: &Listed) -> Result<(), HostError> {
        for image in images {
            let Some(name) = image.names.first() else {
                continue;
            };
            let digest = image.descriptor.digest;
            let (line, digests) = self
                .0
                .entry(name.clone())
                .or_insert_with(|| (listed.line, Vec::new()));
            if *line == listed.line {
                digests.push(digest);
            } else if !digests.contains(&digest) {
                return Err(HostError::Usage(format!(
                    "{}: its image {} has the name of the image in line {line}, which would be replaced: expected a \
                     name of its own, or another folder",
                    shown(&listed.source),
                    crate::Escaped::text(name),
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, shard: &str) -> Vec<(usize, String, Option<String>)> {
        let shard = (!shard.is_empty()).then(|| shard.parse().unwrap());
        let list = read_list(text, Path::new("list"), shard).unwrap();
        let lines = list.into_iter();
        lines
            .map(|listed| (listed.line, shown(&listed.source), listed.reference))
            .collect()
    }

    #[test]
    fn lists_are_read() {
        let text = "# images\n\na\n  b   v1 \n/with blank\tv2\r\n #c\nd.tar";
        let all = [
            (3, "a".to_owned(), None),
            (4, "b".to_owned(), Some("v1".to_owned())),
            (5, "/with blank".to_owned(), Some("v2".to_owned())),
            (7, "d.tar".to_owned(), None),
        ];
        assert_eq!(lines(text, ""), all);
        assert_eq!(lines(text, "1/1"), all);
        assert_eq!(lines(text, "1/3"), [all[0].clone(), all[3].clone()]);
        assert_eq!(lines(text, "2/3"), [all[1].clone()]);
        assert_eq!(lines(text, "3/3"), [all[2].clone()]);
        assert_eq!(lines(text, "5/5"), []);
        for wrong in ["-", "a b c", "a\tb c"] {
            assert!(
                read_list(wrong, Path::new("list"), None).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn shards_are_read() {
        assert_eq!("2/3".parse(), Ok(Shard { number: 2, of: 3 }));
        for wrong in ["", "1", "0/1", "2/1", "1/0", "a/b", "1/2/3", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
