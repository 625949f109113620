//! Runs cases on a back end and compares what it says with what must be said.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::manifest::{Case, Expected, Manifest, Refusal};

/// What a back end said of a case.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// It passed, with all that can be said of it.
    Valid(Map<String, Json>),
    /// It was refused, with all that can be said besides.
    Invalid(Refusal, Map<String, Json>),
    /// It passed, by a back end that says no more of it than this.
    Passed(Map<String, Json>),
    /// It was refused, by a back end that says no more than which error it was, if that. The
    /// text is for people.
    Refused(Option<Refusal>, String),
    /// The back end has no way to run it, for this reason.
    Unable(String),
}

/// Something that can be held against the vectors.
pub trait Backend {
    /// Its name, with its settings.
    fn name(&self) -> String;

    /// Whether nothing else may run beside it.
    fn alone(&self) -> bool {
        false
    }

    /// A command that asks the back end the same again, where there is one.
    fn repeat(&self, _case: &Case, _folder: &Path) -> Option<String> {
        None
    }

    /// Runs a case, whose inputs lie in `folder`.
    ///
    /// # Errors
    ///
    /// When an input cannot be read, or is not what the manifest says.
    fn run(&self, case: &Case, folder: &Path) -> io::Result<Answer>;
}

/// A folder with vectors.
#[derive(Clone, Debug)]
pub struct Vectors {
    /// The folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
}

impl Vectors {
    /// Reads the manifest in a folder.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or has another version.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        let path = folder.join("manifest.json");
        let wrong = |text: String| {
            let text = format!("{}: {text}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let text = std::fs::read(&path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if manifest.version != crate::manifest::VERSION {
            return Err(wrong(format!("version {}", manifest.version)));
        }
        Ok(Self { folder, manifest })
    }

    /// The cases whose ids begin with `prefix`.
    pub fn cases(&self, prefix: &str) -> impl Iterator<Item = &Case> {
        self.manifest
            .cases
            .iter()
            .filter(move |case| case.id.starts_with(prefix))
    }
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The answer is the expected one.
    Passed,
    /// The back end gave no answer, or the verdict is right and what it says of it is not.
    Failed(String),
    /// The verdict is the other one.
    Disagreed(String),
    /// The back end has no way to run it, for this reason.
    Skipped(String),
}

/// Runs a case and compares.
#[must_use]
pub fn run(backend: &dyn Backend, case: &Case, folder: &Path) -> Outcome {
    match backend.run(case, folder) {
        Err(error) => Outcome::Failed(error.to_string()),
        Ok(Answer::Unable(reason)) => Outcome::Skipped(reason),
        Ok(answer) => match compare(&case.expected, &answer) {
            Ok(()) => Outcome::Passed,
            Err(text) if same_verdict(&case.expected, &answer) => Outcome::Failed(text),
            Err(text) => Outcome::Disagreed(text),
        },
    }
}

const fn same_verdict(expected: &Expected, answer: &Answer) -> bool {
    matches!(expected, Expected::Valid { .. })
        == matches!(answer, Answer::Valid(_) | Answer::Passed(_))
}

/// Holds an answer against the expected one.
fn compare(expected: &Expected, answer: &Answer) -> Result<(), String> {
    match (expected, answer) {
        (Expected::Invalid { error, outputs }, Answer::Invalid(found, said)) if error == found => {
            stated(outputs, said)
        }
        (Expected::Valid { outputs }, Answer::Valid(said)) => stated(outputs, said),
        (Expected::Valid { outputs }, Answer::Passed(said)) => {
            let said_too = outputs
                .iter()
                .filter(|(name, _)| said.contains_key(*name))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            stated(&said_too, said)
        }
        (Expected::Invalid { error, .. }, Answer::Refused(found, _))
            if found.as_ref().is_none_or(|found| found == error) =>
        {
            Ok(())
        }
        _ => Err(format!(
            "expected {}, got {}",
            shown(expected),
            describe(answer)
        )),
    }
}

/// Holds the outputs that are stated against those that were said.
fn stated(outputs: &Map<String, Json>, said: &Map<String, Json>) -> Result<(), String> {
    for (name, value) in outputs {
        let found = said.get(name).unwrap_or(&Json::Null);
        if found != value {
            return Err(format!("{name}: expected {value}, got {found}"));
        }
    }
    Ok(())
}

fn shown(expected: &Expected) -> String {
    match expected {
        Expected::Valid { .. } => "valid".into(),
        Expected::Invalid { error, .. } => refusal(error),
    }
}

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Valid(outputs) if outputs.contains_key("warnings") => {
            format!("valid, {}", Json::Object(outputs.clone()))
        }
        Answer::Valid(_) | Answer::Passed(_) => "valid".into(),
        Answer::Refused(Some(error), _) => refusal(error),
        Answer::Refused(None, text) => format!("refused: {text}"),
        Answer::Invalid(error, outputs) if outputs.is_empty() => refusal(error),
        Answer::Invalid(error, outputs) => {
            format!("{}, {}", refusal(error), Json::Object(outputs.clone()))
        }
        Answer::Unable(reason) => reason.clone(),
    }
}

fn refusal(error: &Refusal) -> String {
    match error.at {
        Some(place) => format!("{} ({}) at {place:?}", error.id, error.kind),
        None => format!("{} ({})", error.id, error.kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Place;
    use serde_json::json;

    fn invalid(id: &str, kind: &str, at: Option<Place>) -> Refusal {
        Refusal {
            id: id.into(),
            kind: kind.into(),
            at,
        }
    }

    fn outputs(value: &Json) -> Map<String, Json> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn an_error_must_be_the_same_in_id_kind_and_place() {
        let error = invalid("zstd-magic", "malformed", Some(Place::Blob(4)));
        let expected = Expected::Invalid {
            error: error.clone(),
            outputs: Map::new(),
        };
        let refused = |error| Answer::Invalid(error, Map::new());
        assert_eq!(compare(&expected, &refused(error)), Ok(()));
        for other in [
            invalid("gzip-magic", "malformed", Some(Place::Blob(4))),
            invalid("zstd-magic", "truncated", Some(Place::Blob(4))),
            invalid("zstd-magic", "malformed", Some(Place::Blob(5))),
            invalid("zstd-magic", "malformed", Some(Place::Image(4))),
            invalid("zstd-magic", "malformed", None),
        ] {
            assert!(compare(&expected, &refused(other)).is_err());
        }
        assert!(compare(&expected, &Answer::Valid(Map::new())).is_err());
    }

    #[test]
    fn who_says_less_is_held_to_what_was_said() {
        let error = invalid("zstd-magic", "malformed", None);
        let refused = Expected::Invalid {
            error: error.clone(),
            outputs: outputs(&json!({"errors": ["zstd-magic"]})),
        };
        let other = invalid("zstd-block", "malformed", None);
        for (found, passes) in [(None, true), (Some(error), true), (Some(other), false)] {
            let answer = Answer::Refused(found, String::new());
            assert_eq!(compare(&refused, &answer).is_ok(), passes);
            assert!(same_verdict(&refused, &answer));
        }
        let valid = Expected::Valid {
            outputs: outputs(&json!({"imageSize": 4096, "diffId": "x"})),
        };
        for (said, passes) in [
            (json!({}), true),
            (json!({"imageSize": 4096}), true),
            (json!({"imageSize": 1}), false),
        ] {
            let answer = Answer::Passed(outputs(&said));
            assert_eq!(compare(&valid, &answer).is_ok(), passes);
            assert!(same_verdict(&valid, &answer));
            assert!(!same_verdict(&refused, &answer));
        }
    }

    #[test]
    fn every_stated_output_must_be_there() {
        let expected = Expected::Valid {
            outputs: outputs(&json!({"imageSize": 4096})),
        };
        for (answer, passes) in [
            (json!({"imageSize": 4096, "more": 1}), true),
            (json!({"imageSize": 4097}), false),
            (json!({}), false),
        ] {
            let answer = Answer::Valid(outputs(&answer));
            assert_eq!(compare(&expected, &answer).is_ok(), passes);
        }
        let error = invalid("zstd-magic", "malformed", None);
        let refused = Answer::Invalid(error.clone(), outputs(&json!({"errors": ["a", "b"]})));
        assert!(compare(&expected, &refused).is_err());
        for (stated, passes) in [
            (json!({"errors": ["a", "b"]}), true),
            (json!({"errors": ["a"]}), false),
            (json!({"warnings": []}), false),
            (json!({}), true),
        ] {
            let expected = Expected::Invalid {
                error: error.clone(),
                outputs: outputs(&stated),
            };
            assert_eq!(compare(&expected, &refused).is_ok(), passes, "{stated}");
        }
    }
}
