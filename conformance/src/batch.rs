//! Cases as one batch, for what cannot be started for each of them, such as a board: all requests
//! in one file, all answers in another.
//!
//! Requests are lines of words. A word that is a text or bytes is in hex, so that a reader needs no
//! more than a buffer; `-` stands for none of either. Only operations that need no allocation are
//! asked:
//!
//! | line | what |
//! |---|---|
//! | `case ID` | what follows is this case |
//! | `media-type TEXT`, `device-type TEXT` | read it as that of a layer, or of one with the role `device` |
//! | `digest TEXT` | read it |
//! | `annotation KEY VALUE` | take it in |
//! | `annotations` | say what the annotations came to |
//! | `layer MEDIA-TYPE`, `layer-digest TEXT`, `layer-diff-id TEXT`, `layer-size NUMBER`, `layer-devices NUMBER`, `limit NAME NUMBER` | what is stated of a layer |
//! | `blob` | the bytes of its blob follow |
//! | `part TIMES BYTES` | some of them, so many times |
//! | `unpack` | say what the layer came to |
//!
//! Answers are lines of JSON: `id`, and `result`: `valid` with `outputs`, `invalid` with `error` as
//! the manifest states them, or `unable` with a `reason`. The last line is `{"end":true}`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::blob::{Blob, Content, hex};
use crate::manifest::{Case, Operation, Refusal, UnpackInput};
use crate::run::{Answer, Backend};

/// The requests for those of the cases that need no allocation.
///
/// # Errors
///
/// When an input cannot be read.
pub fn requests(cases: &[&Case], folder: &Path) -> io::Result<String> {
    let mut text = String::new();
    for case in cases {
        let lines = match &case.operation {
            Operation::MediaType(input) if input.device => word("device-type", &input.text),
            Operation::MediaType(input) => word("media-type", &input.text),
            Operation::Digest(input) => word("digest", &input.text),
            Operation::Annotations(input) => annotations(&input.annotations) + "annotations\n",
            Operation::Unpack(input) => layer(input, folder)?,
            _ => continue,
        };
        let _ = write!(text, "case {}\n{lines}", case.id);
    }
    Ok(text)
}

fn encoded(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        "-".into()
    } else {
        hex(bytes)
    }
}

fn word(name: &str, text: &str) -> String {
    format!("{name} {}\n", encoded(text.as_bytes()))
}

fn annotations(annotations: &BTreeMap<String, String>) -> String {
    annotations
        .iter()
        .map(|(key, value)| {
            let (key, value) = (encoded(key.as_bytes()), encoded(value.as_bytes()));
            format!("annotation {key} {value}\n")
        })
        .collect()
}

fn layer(input: &UnpackInput, folder: &Path) -> io::Result<String> {
    let mut lines = annotations(&input.annotations) + &word("layer", &input.media_type);
    if let Some(digest) = &input.digest {
        lines += &word("layer-digest", digest);
    }
    if let Some(digest) = &input.diff_id {
        lines += &word("layer-diff-id", digest);
    }
    if let Some(size) = input.size {
        let _ = writeln!(lines, "layer-size {size}");
    }
    if let Some(devices) = input.devices {
        let _ = writeln!(lines, "layer-devices {devices}");
    }
    if let Json::Object(limits) = serde_json::to_value(input.limits)? {
        for (name, value) in limits {
            let _ = writeln!(lines, "limit {name} {value}");
        }
    }
    lines += "blob\n";
    lines += &parts(&input.blob, folder)?;
    lines += "unpack\n";
    Ok(lines)
}

fn parts(blob: &Blob, folder: &Path) -> io::Result<String> {
    Ok(match &blob.content {
        Content::Parts(parts) => parts
            .iter()
            .map(|part| format!("part {} {}\n", part.times, part.hex))
            .collect(),
        Content::File(_) => format!("part 1 {}\n", encoded(&blob.read(folder)?)),
    })
}

/// The answers to a batch of requests.
#[derive(Clone, Debug)]
pub struct Answers {
    name: String,
    answers: BTreeMap<String, Answer>,
}

/// One line of answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Answer {
        id: String,
        #[serde(flatten)]
        verdict: Verdict,
    },
    End {
        end: bool,
    },
}

#[derive(Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
enum Verdict {
    Valid {
        #[serde(default)]
        outputs: Map<String, Json>,
    },
    Invalid {
        error: Refusal,
    },
    Unable {
        reason: String,
    },
}

impl Answers {
    /// Reads them; they are called as the file is.
    ///
    /// # Errors
    ///
    /// When a line is none, or the last is not the end.
    pub fn read(path: &Path) -> io::Result<Self> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &std::fs::read_to_string(path)?)
    }

    fn parse(name: &str, text: &str) -> io::Result<Self> {
        let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
        let mut answers = BTreeMap::new();
        let mut ended = false;
        for line in text.lines() {
            let line: Line = serde_json::from_str(line)
                .map_err(|error| wrong(format!("{name}: {error}: {line}")))?;
            match line {
                Line::End { end } => ended = end,
                Line::Answer { id, verdict } => {
                    let answer = match verdict {
                        Verdict::Valid { outputs } => Answer::Valid(outputs),
                        Verdict::Invalid { error } => Answer::Invalid(error, Map::new()),
                        Verdict::Unable { reason } => Answer::Unable(reason),
                    };
                    answers.insert(id, answer);
                }
            }
        }
        if !ended {
            return Err(wrong(format!("{name}: the answers end too early")));
        }
        let name = name.to_owned();
        Ok(Self { name, answers })
    }
}

impl Backend for Answers {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn run(&self, case: &Case, _folder: &Path) -> io::Result<Answer> {
        let unable = || Answer::Unable("it was not asked".into());
        Ok(self.answers.get(&case.id).cloned().unwrap_or_else(unable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Place;
    use serde_json::json;

    #[test]
    fn what_is_asked() {
        let case = |operation: &str, input: &Json| -> Case {
            serde_json::from_value(json!({
                "id": "a/b", "description": "", "origin": "", "demands": [],
                "operation": operation, "input": input, "expected": {"result": "valid"},
            }))
            .unwrap()
        };
        let cases = [
            case("media-type", &json!({"text": "a/b", "device": true})),
            case("digest", &json!({"text": ""})),
            case("platform", &json!({"text": "a/b"})),
            case("annotations", &json!({"annotations": {"a": "", "b": "c"}})),
            case(
                "unpack",
                &json!({"blob": {"parts": [{"hex": "00", "times": 9}], "size": 9, "sha256": ""},
                    "mediaType": "a", "size": 7, "limits": {"frames": 3}}),
            ),
        ];
        let cases: Vec<&Case> = cases.iter().collect();
        assert_eq!(
            requests(&cases, Path::new("/")).unwrap(),
            "case a/b\ndevice-type 612f62\n\
             case a/b\ndigest -\n\
             case a/b\nannotation 61 -\nannotation 62 63\nannotations\n\
             case a/b\nlayer 61\nlayer-size 7\nlimit frames 3\nblob\npart 9 00\nunpack\n"
        );
    }

    #[test]
    fn what_is_answered() {
        let lines = concat!(
            r#"{"id":"a","result":"valid","outputs":{"x":1}}"#,
            "\n",
            r#"{"id":"b","result":"invalid","error":{"id":"e","kind":"limit","at":{"blob":3}}}"#,
            "\n",
            r#"{"id":"c","result":"unable","reason":"r"}"#,
            "\n",
        );
        let error = Answers::parse("x", lines).unwrap_err();
        assert_eq!(error.to_string(), "x: the answers end too early");
        let answers = Answers::parse("x", &format!("{lines}{{\"end\":true}}\n")).unwrap();
        let Answer::Valid(outputs) = &answers.answers["a"] else {
            panic!();
        };
        assert_eq!(outputs["x"], 1);
        let Answer::Invalid(error, _) = &answers.answers["b"] else {
            panic!();
        };
        assert_eq!((error.id.as_str(), error.at), ("e", Some(Place::Blob(3))));
        assert_eq!(answers.answers["c"], Answer::Unable("r".into()));
        assert!(Answers::parse("x", "{}\n{\"end\":true}\n").is_err());
    }
}
