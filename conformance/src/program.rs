//! The back end that asks a program, by a [`Mapping`].

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value as Json, json};

use crate::blob::{Blob, Content as Bytes, measure};
use crate::manifest::{Case, Operation, Place, Refusal};
use crate::mapping::{self, Mapping, Paths};
use crate::run::{Answer, Backend};

/// How much of what a program says on stderr is kept.
const SAID: u64 = 4096;

/// A program that is asked by its mapping.
#[derive(Clone, Debug)]
pub struct Program {
    mapping: Mapping,
    /// Where inputs and outputs lie for a moment.
    scratch: PathBuf,
    /// How long one case may take.
    limit: Duration,
}

/// A folder for one case, which is removed with its content.
struct Scratch(PathBuf);

impl Scratch {
    fn new(parent: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("case-{}-{number}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn path(&self, name: &str) -> io::Result<String> {
        utf8(&self.0.join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is left in a folder for scratch.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What came of a process.
struct Ended {
    /// Its exit code; `None` when a signal ended it.
    code: Option<i32>,
    /// Size and SHA-256 of stdout.
    stdout: (u64, String),
    /// The start of stderr.
    stderr: String,
}

impl Program {
    /// A program, with a folder for scratch and a limit of time for each case.
    #[must_use]
    pub const fn new(mapping: Mapping, scratch: PathBuf, limit: Duration) -> Self {
        Self {
            mapping,
            scratch,
            limit,
        }
    }

    /// The first line of what the program says of its version; `None` when it cannot be run.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let (program, arguments) = self.mapping.version.split_first()?;
        let said = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = [said.stdout, said.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        text.lines().next().map(str::to_owned)
    }

    /// Whether its version can be asked, or it has none to ask for.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.mapping.version.is_empty() || self.version().is_some()
    }

    fn execute(&self, arguments: &[String]) -> io::Result<Result<Ended, String>> {
        let Some((program, arguments)) = arguments.split_first() else {
            return Err(io::Error::other("the command is empty"));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("a process without pipes"));
        };
        let output = thread::spawn(move || measure(stdout));
        let errors = thread::spawn(move || start(stderr));
        let Some(code) = wait(&mut child, self.limit)? else {
            return Ok(Err(format!(
                "took more than {} seconds",
                self.limit.as_secs()
            )));
        };
        let join = |_| io::Error::other("a thread that reads a pipe has failed");
        Ok(Ok(Ended {
            code,
            stdout: output.join().map_err(join)??,
            stderr: errors.join().map_err(join)??,
        }))
    }
}

impl Backend for Program {
    fn name(&self) -> String {
        self.mapping.name.clone()
    }

    fn repeat(&self, case: &Case, folder: &Path) -> Option<String> {
        let input = match input_of(&case.operation)? {
            Input::Blob(blob) => match &blob.content {
                Bytes::File(file) => folder.join(file),
                Bytes::Parts(_) => return None,
            },
            Input::Folder(path) => folder.join(path),
        };
        let paths = Paths {
            input: input.to_str()?,
            output: "OUTPUT",
            report: "REPORT",
        };
        let (_, arguments) = self.mapping.command(case, paths).ok()?;
        Some(shell(&arguments))
    }

    fn run(&self, case: &Case, folder: &Path) -> io::Result<Answer> {
        let scratch = Scratch::new(&self.scratch)?;
        let Some(input) = input_of(&case.operation) else {
            return Ok(Answer::Unable("it has no such operation".into()));
        };
        // Asked before the input is written, which may take long.
        let (output, report) = (scratch.path("output")?, scratch.path("report")?);
        let paths = |input| Paths {
            input,
            output: &output,
            report: &report,
        };
        if let Err(reason) = self.mapping.command(case, paths("")) {
            return Ok(Answer::Unable(reason));
        }
        let input = match input {
            Input::Blob(blob) => file_of(blob, folder, &scratch)?,
            Input::Folder(path) => utf8(&folder.join(path))?,
        };
        let (command, arguments) = match self.mapping.command(case, paths(&input)) {
            Ok(found) => found,
            Err(reason) => return Ok(Answer::Unable(reason)),
        };
        let ended = match self.execute(&arguments)? {
            Ok(ended) => ended,
            Err(reason) => return Err(io::Error::other(reason)),
        };
        let Some(code) = ended.code else {
            return Err(io::Error::other("was ended by a signal"));
        };
        if command.valid.contains(&code) {
            let image = if command.stdout.is_some() {
                Some(ended.stdout)
            } else if command.output.is_some() {
                Some(measure(File::open(&output)?)?)
            } else {
                None
            };
            Ok(Answer::Passed(image.map(image_outputs).unwrap_or_default()))
        } else if command.invalid.contains(&code) {
            let error = error_of(command, Path::new(&report))?;
            Ok(Answer::Refused(error, ended.stderr))
        } else {
            Err(io::Error::other(format!(
                "exit code {code}: {}",
                ended.stderr
            )))
        }
    }
}

/// What a case is about.
enum Input<'a> {
    Blob(&'a Blob),
    Folder(&'a str),
}

const fn input_of(operation: &Operation) -> Option<Input<'_>> {
    match operation {
        Operation::Unpack(input) => Some(Input::Blob(&input.blob)),
        Operation::Check(input) => Some(Input::Blob(&input.image)),
        Operation::Layout(input) => Some(Input::Folder(input.folder.as_str())),
        _ => None,
    }
}

/// The path of a file with these bytes.
fn file_of(blob: &Blob, folder: &Path, scratch: &Scratch) -> io::Result<String> {
    if let Bytes::File(file) = &blob.content {
        return utf8(&folder.join(file));
    }
    let path = scratch.path("input")?;
    let mut file = File::create(&path)?;
    io::copy(&mut blob.open(folder)?, &mut file)?;
    Ok(path)
}

fn utf8(path: &Path) -> io::Result<String> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other(format!("{}: is no UTF-8", path.display())))
}

fn image_outputs((size, digest): (u64, String)) -> Map<String, Json> {
    let mut outputs = Map::new();
    outputs.insert("imageSize".into(), json!(size));
    outputs.insert("diffId".into(), json!(format!("sha256:{digest}")));
    outputs
}

/// The error that a report states.
fn error_of(command: &mapping::Command, report: &Path) -> io::Result<Option<Refusal>> {
    if command.error.is_empty() {
        return Ok(None);
    }
    let text = fs::read(report)?;
    let report: Json = serde_json::from_slice(&text)?;
    let error = command
        .error
        .iter()
        .find_map(|pointer| report.pointer(pointer).filter(|error| error.is_object()));
    let Some(error) = error else {
        return Ok(None);
    };
    let member = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
    Ok(Some(Refusal {
        id: member("id"),
        kind: member("kind"),
        at: place(&error["at"]),
    }))
}

/// A place as a report states it: the name of its kind, and its numbers.
fn place(at: &Json) -> Option<Place> {
    let number = |index: usize| at[index].as_u64();
    match (at[0].as_str()?, number(1)?) {
        ("blob", offset) => Some(Place::Blob(offset)),
        ("image", offset) => Some(Place::Image(offset)),
        ("text", offset) => Some(Place::Text(offset)),
        ("json", offset) => Some(Place::Json(offset)),
        ("nid", nid) => Some(Place::Nid(nid)),
        ("file", nid) => Some(Place::File(nid, number(2)?)),
        ("layer", layer) => Some(Place::Layer(layer)),
        _ => None,
    }
}

/// Waits for a process, or kills it; `None` when it had to be killed.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<Option<i32>>> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.code()));
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// The start of a text, all of which is read.
fn start(mut text: impl Read) -> io::Result<String> {
    let mut kept = Vec::new();
    text.by_ref().take(SAID).read_to_end(&mut kept)?;
    io::copy(&mut text, &mut io::sink())?;
    Ok(String::from_utf8_lossy(&kept).trim_end().to_owned())
}

/// A command as a shell takes it.
fn shell(arguments: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:+,@%".contains(c);
    let quoted: Vec<String> = arguments
        .iter()
        .map(|word| {
            if !word.is_empty() && word.chars().all(plain) {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect();
    quoted.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(script: &str, error: &[&str]) -> Program {
        let mapping = json!({
            "name": "sh", "about": "", "commands": [{
                "operation": "unpack", "command": ["sh", "-c", script, "sh", "{input}", "{report}"],
                "ignored": ["mediaType"], "stdout": "image",
                "valid": [0], "invalid": [1], "error": error,
            }]
        });
        let mapping = Mapping::parse(&mapping.to_string()).unwrap();
        Program::new(mapping, std::env::temp_dir(), Duration::from_secs(2))
    }

    fn case() -> Case {
        serde_json::from_value(json!({
            "id": "a/b", "description": "", "origin": "", "demands": [], "operation": "unpack",
            "input": {"blob": {"parts": [{"hex": "6162"}], "size": 2, "sha256": ""},
                "mediaType": "a/b"},
            "expected": {"result": "valid"},
        }))
        .unwrap()
    }

    #[test]
    fn a_program_answers_by_its_exit_code() {
        let ask = |script| program(script, &[]).run(&case(), Path::new("/"));
        let Answer::Passed(outputs) = ask("cat \"$1\"").unwrap() else {
            panic!();
        };
        assert_eq!(outputs["imageSize"], 2);
        let digest = format!("sha256:{}", crate::blob::sha256(b"ab"));
        assert_eq!(outputs["diffId"], digest);
        let refused = ask("echo why >&2; exit 1").unwrap();
        assert_eq!(refused, Answer::Refused(None, "why".into()));
    }

    #[test]
    fn what_is_no_answer_is_a_failure() {
        for (script, why) in [
            ("exit 3", "exit code 3"),
            ("kill -9 $$", "signal"),
            ("exec sleep 60", "more than 2 seconds"),
        ] {
            let error = program(script, &[]).run(&case(), Path::new("/"));
            let text = error.unwrap_err().to_string();
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn a_report_names_the_error() {
        let script =
            r#"printf '{"error":{"id":"x","kind":"limit","at":["file",5,7]}}' > "$2"; exit 1"#;
        let answer = program(script, &["/none", "/error"]).run(&case(), Path::new("/"));
        let Answer::Refused(Some(error), _) = answer.unwrap() else {
            panic!();
        };
        assert_eq!((error.id.as_str(), error.kind.as_str()), ("x", "limit"));
        assert_eq!(error.at, Some(Place::File(5, 7)));
    }

    #[test]
    fn a_command_can_be_pasted() {
        let words = ["a", "b c", "it's", ""].map(str::to_owned);
        assert_eq!(shell(&words), r"a 'b c' 'it'\''s' ''");
    }
}
