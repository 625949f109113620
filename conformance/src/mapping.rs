//! How a program is asked about a case, as data: which command runs which operation, and what its
//! exit code and its output say. `conformance/mappings/` has those that come with the suite.

use serde::Deserialize;
use serde_json::Value as Json;

use crate::manifest::{Case, Operation};

/// The mappings that come with the suite, by name.
pub const READY: [(&str, &str); 4] = [
    (
        "erofs-unpack",
        include_str!("../mappings/erofs-unpack.json"),
    ),
    ("fsck.erofs", include_str!("../mappings/fsck.erofs.json")),
    ("gzip", include_str!("../mappings/gzip.json")),
    ("zstd", include_str!("../mappings/zstd.json")),
];

/// A program, and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// What it is called in tables.
    pub name: String,
    /// What it is, in a few words.
    pub about: String,
    /// A command whose first line of output has the version.
    #[serde(default)]
    pub version: Vec<String>,
    /// The commands; a case is run by the first one that fits it.
    pub commands: Vec<Command>,
}

/// The command for the cases of one operation.
///
/// In its arguments `{input}` is the path of the file or folder, `{output}` one that does not exist
/// yet, `{report}` that of a file for a JSON report. Any other name in braces is a field of the
/// case's input, such as `{diffId}` or `{limits.frames}`. An argument with a field that the case
/// does not state is left out, unless the name goes on with a default, `{limits.frames|1000}`; one
/// whose field is a list comes once for each member.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The operation, by its name in the manifest.
    pub operation: String,
    /// Only cases of these groups: those that are about what the program does.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Only cases with this flag.
    #[serde(default)]
    pub flag: Option<String>,
    /// Only layers whose stated media type has this compression: `none`, `gzip`, `zstd`.
    #[serde(default)]
    pub compression: Option<String>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Fields of the input that the program may leave out of account. A case that states any
    /// other field which no argument has is not for this program.
    #[serde(default)]
    pub ignored: Vec<String>,
    /// `image`: stdout is the decoded image. Without it stdout is not looked at.
    #[serde(default)]
    pub stdout: Option<Content>,
    /// `image`: the file `{output}` is the decoded image.
    #[serde(default)]
    pub output: Option<Content>,
    /// Exit codes that say that the input is valid.
    pub valid: Vec<i32>,
    /// Exit codes that say that it is not. All others are failures of the program.
    pub invalid: Vec<i32>,
    /// Where the report has the error, with members `id`, `kind` and `at`: JSON pointers, of which
    /// the first that leads somewhere counts. Without it only the verdict is compared.
    #[serde(default)]
    pub error: Vec<String>,
}

/// What a program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// The decoded image.
    Image,
}

/// Paths that a command is given.
#[derive(Clone, Copy, Debug)]
pub struct Paths<'a> {
    /// Of the input.
    pub input: &'a str,
    /// Of what it may write.
    pub output: &'a str,
    /// Of its report.
    pub report: &'a str,
}

impl Mapping {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// One that runs a program for every blob or image, by a command in which words are separated
    /// by spaces. It is held to the verdict alone: exit code 0 is valid, 1 invalid.
    #[must_use]
    pub fn of_template(template: &str, operation: &str) -> Self {
        let ignored = ["mediaType", "level", "policy", "diffId", "annotations"];
        Self {
            name: template.split(' ').next().unwrap_or(template).to_owned(),
            about: template.to_owned(),
            version: Vec::new(),
            commands: vec![Command {
                operation: operation.to_owned(),
                groups: Vec::new(),
                flag: None,
                compression: None,
                command: template.split_whitespace().map(str::to_owned).collect(),
                ignored: ignored.map(str::to_owned).to_vec(),
                stdout: None,
                output: None,
                valid: vec![0],
                invalid: vec![1],
                error: Vec::new(),
            }],
        }
    }

    /// The command for a case, and its arguments; or why there is none.
    ///
    /// # Errors
    ///
    /// One sentence for people.
    pub fn command(
        &self,
        case: &Case,
        paths: Paths<'_>,
    ) -> Result<(&Command, Vec<String>), String> {
        let (operation, input) = stated(&case.operation);
        let command = self
            .commands
            .iter()
            .find(|command| command.operation == operation && command.takes(case, &input))
            .ok_or_else(|| format!("it has no command for {}", what(case, &operation, &input)))?;
        if let Some(field) = command.misses(&input) {
            return Err(format!("it cannot be told {field}"));
        }
        let arguments = command
            .command
            .iter()
            .flat_map(|argument| expand(argument, &input, paths))
            .collect();
        Ok((command, arguments))
    }
}

impl Command {
    fn takes(&self, case: &Case, input: &Json) -> bool {
        let group = self.groups.is_empty() || self.groups.iter().any(|name| name == case.group());
        let compression = self
            .compression
            .as_ref()
            .is_none_or(|wanted| wanted == compression(input));
        let flag = self.flag.as_ref().is_none_or(|name| case.has_flag(name));
        group && compression && flag
    }

    /// A field that the case states, and that this command has no place for.
    fn misses(&self, input: &Json) -> Option<String> {
        let named = |field: &str| {
            let open = format!("{{{field}");
            self.command.iter().any(|argument| {
                argument
                    .split_once(open.as_str())
                    .is_some_and(|(_, rest)| rest.starts_with(['}', '|']))
            })
        };
        let members = input.as_object()?;
        for (field, value) in members {
            if self.ignored.contains(field) || ["blob", "image", "folder"].contains(&&**field) {
                continue;
            }
            match value {
                Json::Object(inner) if field == "limits" => {
                    for name in inner.keys() {
                        let field = format!("{field}.{name}");
                        if !named(&field) {
                            return Some(field);
                        }
                    }
                }
                _ if named(field) => {}
                _ => return Some(field.clone()),
            }
        }
        None
    }
}

/// The name of an operation, and its input.
fn stated(operation: &Operation) -> (String, Json) {
    let mut value = serde_json::to_value(operation).unwrap_or_default();
    let name = value["operation"].as_str().unwrap_or_default().to_owned();
    (name, value["input"].take())
}

/// The compression that the media type of a layer states.
fn compression(input: &Json) -> &str {
    let media_type = input["mediaType"].as_str().unwrap_or_default();
    let name = media_type.split(';').next().unwrap_or_default().trim_end();
    match name.rsplit_once('+') {
        Some((_, suffix @ ("gzip" | "zstd"))) => suffix,
        _ => "none",
    }
}

fn what(case: &Case, operation: &str, input: &Json) -> String {
    match operation {
        "unpack" => format!("{} with compression {}", case.group(), compression(input)),
        _ => operation.to_owned(),
    }
}

/// An argument with its names replaced: none, one or several.
fn expand(argument: &str, input: &Json, paths: Paths<'_>) -> Vec<String> {
    let Some((before, rest)) = argument.split_once('{') else {
        return vec![argument.to_owned()];
    };
    let Some((name, after)) = rest.split_once('}') else {
        return vec![argument.to_owned()];
    };
    let (name, default) = match name.split_once('|') {
        Some((name, default)) => (name, Some(default)),
        None => (name, None),
    };
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') {
        // Braces of something else, such as a script.
        return vec![argument.to_owned()];
    }
    let values = match name {
        "input" => vec![paths.input.to_owned()],
        "output" => vec![paths.output.to_owned()],
        "report" => vec![paths.report.to_owned()],
        _ => field(input, name),
    };
    let values = match default {
        Some(default) if values.is_empty() => vec![default.to_owned()],
        _ => values,
    };
    values
        .iter()
        .map(|value| format!("{before}{value}{after}"))
        .collect()
}

/// The values of a field: those of a list, one, or none.
fn field(input: &Json, name: &str) -> Vec<String> {
    let mut value = input;
    for part in name.split('.') {
        value = &value[part];
    }
    match value {
        Json::Null | Json::Object(_) => Vec::new(),
        Json::Array(members) => members.iter().map(text).collect(),
        value => vec![text(value)],
    }
}

fn text(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PATHS: Paths<'_> = Paths {
        input: "in put",
        output: "out",
        report: "report",
    };

    fn case(operation: &str, input: &Json) -> Case {
        serde_json::from_value(json!({
            "id": "zstd/b", "description": "", "origin": "", "demands": [],
            "operation": operation, "input": input, "expected": {"result": "valid"},
        }))
        .unwrap()
    }

    fn blob() -> Json {
        json!({"file": "f", "size": 0, "sha256": ""})
    }

    #[test]
    fn the_ready_ones_can_be_read() {
        for (name, text) in READY {
            assert_eq!(Mapping::parse(text).unwrap().name, name);
        }
        assert!(Mapping::parse("{}").is_err());
        let unknown = READY[0].1.replacen("\"about\"", "\"abuot\"", 1);
        assert!(Mapping::parse(&unknown).is_err());
    }

    #[test]
    fn what_a_case_states_becomes_arguments() {
        let mapping = Mapping::parse(READY[0].1).unwrap();
        let input = json!({"image": blob(), "policy": "any", "allow": ["a", "b"],
            "limits": {"inodes": 3}});
        let (_, arguments) = mapping.command(&case("check", &input), PATHS).unwrap();
        assert_eq!(
            arguments,
            [
                "erofs-unpack",
                "check",
                "--quiet",
                "--json=report",
                "--policy=any",
                "--allow=a",
                "--allow=b",
                "--max-inodes=3",
                "in put"
            ]
        );
        let input = json!({"blob": blob(), "mediaType": "a/b"});
        let (_, arguments) = mapping.command(&case("unpack", &input), PATHS).unwrap();
        assert!(arguments.contains(&"--max-window=8388608".to_owned()));
    }

    #[test]
    fn what_a_program_cannot_be_told_is_said() {
        let zstd = Mapping::parse(READY[3].1).unwrap();
        for (input, why) in [
            (
                json!({"blob": blob(), "mediaType": "a/b+gzip"}),
                "it has no command for zstd with compression gzip",
            ),
            (
                json!({"blob": blob(), "mediaType": "a/b+zstd; x=1", "size": 5}),
                "it cannot be told size",
            ),
            (
                json!({"blob": blob(), "mediaType": "a/b+zstd", "limits": {"frames": 5}}),
                "it cannot be told limits.frames",
            ),
        ] {
            let said = zstd.command(&case("unpack", &input), PATHS).unwrap_err();
            assert_eq!(said, why);
        }
        let input = json!({"blob": blob(), "mediaType": "a/b+zstd"});
        assert!(zstd.command(&case("unpack", &input), PATHS).is_ok());
    }

    #[test]
    fn a_flag_chooses_the_command() {
        let mapping = Mapping::parse(READY[0].1).unwrap();
        let input = json!({"blob": blob(), "mediaType": "a/b"});
        let mut case = case("unpack", &input);
        for (flags, program) in [(vec![], "erofs-unpack"), (vec!["size-unknown"], "sh")] {
            case.flags = flags.into_iter().map(str::to_owned).collect();
            let (_, arguments) = mapping.command(&case, PATHS).unwrap();
            assert_eq!(arguments[0], program);
        }
    }

    #[test]
    fn a_template_is_split_at_spaces() {
        let mapping = Mapping::of_template("prog  -x {input}", "check");
        let input = json!({"image": blob(), "policy": "any", "level": "full"});
        let (_, arguments) = mapping.command(&case("check", &input), PATHS).unwrap();
        assert_eq!(arguments, ["prog", "-x", "in put"]);
        let input = json!({"image": blob(), "allow": ["x"]});
        assert!(mapping.command(&case("check", &input), PATHS).is_err());
    }
}
