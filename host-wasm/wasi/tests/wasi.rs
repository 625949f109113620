//! The WASI program in wasmtime and in Node: the vectors, and what it does with files.
#![allow(clippy::std_instead_of_core, reason = "this is a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use erofs_unpack_conformance::manifest::{Case, Operation};
use erofs_unpack_conformance::mapping::{Mapping, READY};
use erofs_unpack_conformance::program::Program;
use erofs_unpack_conformance::run::{Outcome, Vectors};
use erofs_unpack_conformance::suite::{self, Column};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program, built when it is first asked for.
fn module() -> String {
    static BUILT: OnceLock<String> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let built = Command::new(root().join("host-wasm/build"))
            .arg("wasi")
            .output();
        let built = built.unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}");
        let module = root().join("target/wasm/wasi/erofs_unpack.wasm");
        module.canonicalize().unwrap().to_str().unwrap().to_owned()
    });
    built.clone()
}

/// What runs the program: a command, and its script.
const RUNTIMES: [(&str, &str); 2] = [
    ("python3-wasmtime", "run_in_wasmtime.py"),
    ("node", "run_in_node.js"),
];

/// The words that run the program in a runtime, where that is there.
fn words((command, script): (&str, &str)) -> Option<Vec<String>> {
    if Command::new(command).arg("--version").output().is_err() {
        println!("skipped: needs {command}");
        assert!(
            std::env::var_os("EROFS_UNPACK_REQUIRE_TOOLS").is_none(),
            "{command} must be there"
        );
        return None;
    }
    let script = format!("{}/{script}", env!("CARGO_MANIFEST_DIR"));
    Some(vec![command.to_owned(), script, module()])
}

/// A folder for one test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("erofs-unpack-wasi-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the vectors, as the mapping of the Linux program asks them.
fn vectors(runtime: (&str, &str), chosen: impl Fn(usize, &Case) -> bool) -> Option<usize> {
    let words = words(runtime)?;
    let (_, mapping) = READY
        .iter()
        .find(|(name, _)| *name == "erofs-unpack")
        .unwrap();
    // The words that run the program take the place of its name.
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    let mapping = mapping
        .replace(
            "\"erofs-unpack\", \"unpack\"",
            &format!("{}, \"unpack\"", quoted.join(", ")),
        )
        .replace(
            "\"erofs-unpack\", \"check\"",
            &format!("{}, \"check\"", quoted.join(", ")),
        );
    let mapping = Mapping::parse(&mapping).unwrap();
    let scratch = Scratch::new(runtime.0);
    let program = Program::new(mapping, scratch.0.clone(), Duration::from_secs(120));
    let column = Column::One(Box::new(program), String::new(), runtime.0.to_owned());
    let vectors = Vectors::open(root().join("vectors").canonicalize().unwrap()).unwrap();
    let cases = vectors.manifest.cases.iter();
    let cases: Vec<&Case> = cases
        .filter(|case| matches!(case.operation, Operation::Unpack(_) | Operation::Check(_)))
        .enumerate()
        .filter(|(place, case)| chosen(*place, case))
        .map(|(_, case)| case)
        .collect();
    let outcomes = suite::outcomes(&column, &cases, &vectors.folder, 2);
    let mut failures = Vec::new();
    let mut passed = 0;
    for (case, outcome) in cases.iter().zip(outcomes) {
        match outcome {
            Outcome::Passed => passed += 1,
            // What the mapping has no flag for.
            Outcome::Skipped(_) => {}
            other => failures.push(format!("{}: {other:?}", case.id)),
        }
    }
    assert!(failures.is_empty(), "{}: {failures:#?}", runtime.0);
    Some(passed)
}

/// Every 12th case, none that is large: a process and a runtime are started for each.
#[test]
fn a_sample_of_the_vectors_gets_the_same_verdicts_and_errors() {
    for (number, runtime) in RUNTIMES.into_iter().enumerate() {
        let chosen = |place: usize, case: &Case| place % 12 == number && !case.has_flag("large");
        if let Some(passed) = vectors(runtime, chosen) {
            assert!(passed > 50, "only {passed} cases");
        }
    }
}

#[test]
#[ignore = "takes minutes: all cases in both runtimes"]
fn all_vectors_get_the_same_verdicts_and_errors() {
    for runtime in RUNTIMES {
        if let Some(passed) = vectors(runtime, |_, _| true) {
            assert!(passed > 700, "only {passed} cases");
        }
    }
}

fn run(words: &[String], arguments: &[&str], input: Option<&Path>) -> Output {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(arguments);
    command.env_remove("TMPDIR");
    if let Some(input) = input {
        command.stdin(Stdio::from(fs::File::open(input).unwrap()));
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn files_are_published_whole_or_not_at_all() {
    for runtime in RUNTIMES {
        let Some(words) = words(runtime) else {
            continue;
        };
        let scratch = Scratch::new(&format!("files-{}", runtime.0));
        let bases = root().join("vectors/bases").canonicalize().unwrap();
        let image = fs::read(bases.join("small.erofs")).unwrap();
        let blob = bases.join("small.erofs.zst");
        let blob = blob.to_str().unwrap();
        let out = scratch.0.join("out.erofs");
        let to = out.to_str().unwrap();

        let done = run(&words, &["unpack", "-q", blob, "-o", to], None);
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        assert!(fs::read(&out).unwrap() == image);

        // It stays, and so does a link.
        let taken = run(&words, &["unpack", "-q", blob, "-o", to], None);
        assert_eq!(taken.status.code(), Some(3));
        assert!(
            text(&taken.stderr).contains("exists already"),
            "{}",
            text(&taken.stderr)
        );
        let link = scratch.0.join("link");
        std::os::unix::fs::symlink(&out, &link).unwrap();
        let through = run(
            &words,
            &["unpack", "-q", blob, "-o", link.to_str().unwrap()],
            None,
        );
        assert_eq!(through.status.code(), Some(3));
        assert!(text(&through.stderr).contains("is a symbolic link"));
        let forced = run(&words, &["unpack", "-q", "--force", blob, "-o", to], None);
        assert_eq!(forced.status.code(), Some(0), "{}", text(&forced.stderr));

        // What is refused leaves nothing, on stdout neither.
        let wrong = format!("--diff-id=sha256:{:064}", 0);
        let other = scratch.0.join("other");
        let refused = run(
            &words,
            &["unpack", blob, "-o", other.to_str().unwrap(), &wrong],
            None,
        );
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains("does not have the stated diffID"));
        let refused = run(&words, &["unpack", blob, "-o", "-", &wrong], None);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(1), 0));
        let mut names: Vec<_> = fs::read_dir(&scratch.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["link", "out.erofs"]);

        // From stdin to stdout.
        let piped = run(
            &words,
            &["unpack", "-q", "-", "-o", "-"],
            Some(Path::new(blob)),
        );
        assert_eq!(piped.status.code(), Some(0), "{}", text(&piped.stderr));
        assert!(piped.stdout == image);
    }
}

#[test]
fn what_wasi_cannot_serve_is_wrong_usage_and_says_so() {
    for runtime in RUNTIMES {
        let Some(words) = words(runtime) else {
            continue;
        };
        let bases = root().join("vectors/bases").canonicalize().unwrap();
        let image = bases.join("small.erofs");
        let image = image.to_str().unwrap();
        for (flag, why) in [
            ("--jobs=2", "there are no threads in WASI"),
            ("--ref=x", "takes one layer or image, no layout"),
        ] {
            let refused = run(&words, &["unpack", "--verify-only", flag, image], None);
            assert_eq!(refused.status.code(), Some(2), "{flag}");
            let said = text(&refused.stderr);
            assert!(said.contains(why), "{flag}: {said}");
        }
        let folder = run(&words, &["check", bases.to_str().unwrap()], None);
        assert_eq!(folder.status.code(), Some(2), "{}", text(&folder.stderr));
        let absent = run(&words, &["check", "/no/such/file"], None);
        assert_eq!(absent.status.code(), Some(3));
        assert_eq!(
            text(&absent.stderr),
            "erofs-unpack: /no/such/file: cannot open for reading: No such file or directory\n"
        );

        let passed = run(&words, &["check", image], None);
        assert_eq!(passed.status.code(), Some(0), "{}", text(&passed.stderr));
        let passes = "passed: 4 inodes, 0 errors, 0 warnings (policy containerd, level metadata)";
        assert_eq!(text(&passed.stdout), format!("{image}: {passes}\n"));

        let found = run(&words, &["inspect", "--json", image], None);
        assert_eq!(found.status.code(), Some(0), "{}", text(&found.stderr));
        assert!(text(&found.stdout).contains("\"content\": \"erofs\""));
    }
}
