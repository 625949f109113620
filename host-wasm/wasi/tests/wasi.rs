//! The WASI program in wasmtime and in Node: the vectors, what it does with files, and that it
//! says and writes what the Linux program does, which here is the same crate built for Linux.
#![allow(
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "this is a test"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use erofs_unpack_conformance::manifest::{Case, LayoutInput, Operation, Policy};
use erofs_unpack_conformance::mapping::{Mapping, READY};
use erofs_unpack_conformance::program::Program;
use erofs_unpack_conformance::run::{Outcome, Vectors};
use erofs_unpack_conformance::suite::{self, Column};
use erofs_unpack_core::oci::Algorithm;

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
    let (ours, theirs) = ("\"erofs-unpack\", \"", format!("{}, \"", quoted.join(", ")));
    let mapping = mapping.replace(ours, &theirs);
    let mapping = Mapping::parse(&mapping).unwrap();
    let scratch = Scratch::new(runtime.0);
    let program = Program::new(mapping, scratch.0.clone(), Duration::from_secs(120));
    let column = Column::One(Box::new(program), String::new(), runtime.0.to_owned());
    let vectors = Vectors::open(root().join("vectors").canonicalize().unwrap()).unwrap();
    let cases = vectors.manifest.cases.iter();
    let cases: Vec<&Case> = cases
        .filter(|case| {
            matches!(
                case.operation,
                Operation::Unpack(_) | Operation::Check(_) | Operation::Layout(_)
            )
        })
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

/// Exit code, stdout, stderr, and the files that it left, reports among them.
type Said = (Option<i32>, String, String, BTreeMap<String, String>);

/// What a program says and leaves in an empty folder that it is told as OUT.
fn said(words: &[String], arguments: &[String], out: &Path) -> Said {
    fs::create_dir_all(out).unwrap();
    let arguments: Vec<String> = arguments
        .iter()
        .map(|word| word.replace("OUT", out.to_str().unwrap()))
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = run(words, &arguments, None);
    let mut files = BTreeMap::new();
    let mut folders = vec![out.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files.insert(path.display().to_string(), text(&fs::read(&path).unwrap()));
        }
    }
    // What a check keeps is less where addresses are of 32 bits.
    // WASI has no confinement to speak of.
    let is_same = |line: &&str| {
        !line.contains("\"memory\":")
            && !line.ends_with(" kept meanwhile")
            && !line.starts_with("erofs-unpack: confinement: ")
    };
    let same = |text: &str| text.lines().filter(is_same).collect::<Vec<_>>().join("\n");
    for content in files.values_mut() {
        *content = same(content);
    }
    fs::remove_dir_all(out).unwrap();
    (
        output.status.code(),
        same(&text(&output.stdout)),
        same(&text(&output.stderr)),
        files,
    )
}

/// Holds what the WASI program says and leaves against the Linux program.
fn agree(name: &str, commands: &[Vec<String>]) -> Vec<Said> {
    let linux = [env!("CARGO_BIN_EXE_erofs-unpack-wasi").to_owned()];
    let scratch = Scratch::new(name);
    let out = scratch.0.join("out");
    let all: Vec<Said> = commands
        .iter()
        .map(|command| said(&linux, command, &out))
        .collect();
    for runtime in RUNTIMES {
        let Some(words) = words(runtime) else {
            continue;
        };
        for (command, expected) in commands.iter().zip(&all) {
            let found = said(&words, command, &out);
            let name = format!("{}: {command:?}", runtime.0);
            assert_eq!(found.0, expected.0, "{name}: {}", found.2);
            assert_eq!((&found.1, &found.2), (&expected.1, &expected.2), "{name}");
            assert!(found.3.keys().eq(expected.3.keys()), "{name}: names");
            assert!(found.3 == expected.3, "{name}: files");
        }
    }
    all
}

fn vectors_folder() -> PathBuf {
    root().join("vectors").canonicalize().unwrap()
}

/// The flags of a case that is a layout.
fn layout_flags(input: &LayoutInput) -> Vec<String> {
    let mut flags = vec![match input.policy {
        Policy::Any => "--policy=any".to_owned(),
        Policy::Strict => "--policy=strict".to_owned(),
        _ => "--policy=containerd".to_owned(),
    }];
    // Without one it is the host's, and WASI has none.
    let platform = input.platform.as_deref();
    flags.extend(platform.map(|platform| format!("--platform={platform}")));
    flags.extend(
        input
            .digest
            .iter()
            .map(|digest| format!("--digest={digest}")),
    );
    let limits = &input.limits;
    let mut flag = |name: &str, value: Option<u64>| {
        flags.extend(value.map(|value| format!("--max-{name}={value}")));
    };
    flag("json-size", limits.json_size);
    flag("json-depth", limits.json_depth.map(u64::from));
    flag("json-members", limits.json_members.map(u64::from));
    flag("index-depth", limits.index_depth.map(u64::from));
    flag("layers", limits.layers.map(u64::from));
    flags
}

#[test]
fn layouts_get_the_words_and_files_of_the_linux_program() {
    let vectors = Vectors::open(vectors_folder()).unwrap();
    let mut commands = Vec::new();
    for case in &vectors.manifest.cases {
        let Operation::Layout(input) = &case.operation else {
            continue;
        };
        let folder = vectors.folder.join(&input.folder).display().to_string();
        for command in [
            "unpack -o OUT/image --json=OUT/report",
            "check --json=OUT/report",
        ] {
            let words = command.split(' ').map(str::to_owned);
            let mut words: Vec<String> = words.chain(layout_flags(input)).collect();
            words.push(folder.clone());
            commands.push(words);
        }
    }
    assert!(commands.len() >= 30, "only {} commands", commands.len());
    let all = agree("layouts", &commands);
    // Some were unpacked: a layer, image.json and the report.
    let unpacked = all.iter().filter(|said| said.3.len() == 3).count();
    assert!(unpacked > 0);
}

#[test]
fn layers_archives_and_devices_are_served_as_on_linux() {
    let scratch = Scratch::new("served");
    let vectors = vectors_folder();
    let layout = vectors.join("layouts/small");
    let archive = scratch.0.join("small.tar");
    let tar = Command::new("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(&layout)
        .arg(".")
        .status();
    assert!(tar.unwrap().success());
    let bases = vectors.join("bases");
    // What leads out of a layout, and what lies in it and is none of its files.
    let odd = scratch.0.join("odd");
    fs::create_dir_all(odd.join("folder/index.json")).unwrap();
    fs::create_dir_all(odd.join("out")).unwrap();
    fs::create_dir_all(odd.join("in")).unwrap();
    for folder in ["folder", "out", "in"] {
        fs::copy(
            layout.join("oci-layout"),
            odd.join(folder).join("oci-layout"),
        )
        .unwrap();
    }
    let link = |target: &Path, name: &str| {
        std::os::unix::fs::symlink(target, odd.join(name)).unwrap();
    };
    link(&layout.join("index.json"), "out/index.json");
    fs::copy(layout.join("index.json"), odd.join("in/other.json")).unwrap();
    link(Path::new("other.json"), "in/index.json");
    link(Path::new("index.json"), "folder/blobs");
    let chunks = vectors.join("cases/check-clean/chunks.erofs");
    let chunks = chunks.display();
    let device = scratch.0.join("device");
    let file = fs::File::create(&device).unwrap();
    file.set_len(1 << 20).unwrap();
    let device = device.display();
    let commands: Vec<Vec<String>> = [
        format!(
            "check {0} {0} {0} {0} {chunks}",
            format_args!("--device={device}")
        ),
        format!("unpack -v {} -o OUT/image", archive.display()),
        format!("check -v {}", archive.display()),
        format!("inspect --json {}", layout.display()),
        format!("inspect {}", archive.display()),
        format!("unpack --layer 1 {} -o OUT/one.erofs", layout.display()),
        format!("unpack --layer 7 {} -o OUT/one.erofs", layout.display()),
        format!("unpack --ref none {} -o OUT/image", layout.display()),
        format!("unpack --keep-going {} -o OUT/image", layout.display()),
        format!("unpack {} -o -", layout.display()),
        format!("unpack {}/small.erofs.zst -o OUT/image/", bases.display()),
        format!("unpack {}/small.erofs.zst -o OUT/a/b/c", bases.display()),
        format!(
            "check --device {0}/small.erofs {0}/small.erofs",
            bases.display()
        ),
        format!("check --device {0}/none {0}/small.erofs", bases.display()),
        format!("check -v {chunks}"),
        format!("check --device {device} {chunks}"),
        format!("check {}", bases.display()),
        format!("check {}", odd.join("folder").display()),
        format!("check {}", odd.join("out").display()),
        format!("check {}", odd.join("in").display()),
        "check /no/such/file".to_owned(),
        "unpack --allow none x -o OUT/x".to_owned(),
    ]
    .iter()
    .map(|command| command.split(' ').map(str::to_owned).collect())
    .collect();
    let all = agree("served", &commands);
    let codes: Vec<Option<i32>> = all.iter().map(|said| said.0).collect();
    assert_eq!(codes[..6], [Some(0); 6], "{all:?}");
}

/// A layout of one layer that is wrapped and has its index in it, as the vectors have both.
fn indexed_layout(folder: &Path, digests: bool) {
    let blob = vectors_folder().join("cases/chunk-index/embedded.erofs.zst");
    let blob = fs::read(blob).unwrap();
    let digest = |bytes: &[u8]| Algorithm::Sha256.digest(bytes);
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = digest(bytes);
        let name = digest.to_string();
        fs::write(blobs.join(&name["sha256:".len()..]), bytes).unwrap();
        format!("\"digest\": \"{digest}\", \"size\": {}", bytes.len())
    };
    let image = fs::read(vectors_folder().join("bases/small.erofs")).unwrap();
    let pin = if digests {
        let index = digest(&blob[456..]);
        format!(", \"org.erofs.chunk-index.digest\": \"{index}\"")
    } else {
        String::new()
    };
    let config = put(br#"{"architecture": "amd64", "os": "linux"}"#);
    let manifest = put(
        format!(
            r#"{{"schemaVersion": 2, "config": {{"mediaType": "application/vnd.oci.image.config.v1+json", {config}}},
            "layers": [{{"mediaType": "application/vnd.erofs+zstd", {}, "annotations": {{
            "org.erofs.uncompressed-digest": "{}", "org.erofs.chunk-index.range": "448"{pin}}}}}]}}"#,
            put(&blob),
            digest(&image),
        )
        .as_bytes(),
    );
    let index = format!(
        r#"{{"schemaVersion": 2, "manifests":
        [{{"mediaType": "application/vnd.oci.image.manifest.v1+json", {manifest}}}]}}"#
    );
    fs::write(folder.join("index.json"), index).unwrap();
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion": "1.0.0"}"#,
    )
    .unwrap();
}

#[test]
fn images_are_looked_into_as_on_linux_and_wrapped_layers_at_random() {
    let scratch = Scratch::new("read");
    let vectors = vectors_folder();
    let pinned = scratch.0.join("pinned");
    let unpinned = scratch.0.join("unpinned");
    indexed_layout(&pinned, true);
    indexed_layout(&unpinned, false);
    let (pinned, unpinned) = (pinned.display(), unpinned.display());
    let image = vectors.join("bases/demo-1.erofs");
    let image = image.display();
    let blob = vectors.join("bases/small.erofs.zst");
    let blob = blob.display();
    let far = vectors.join("cases/check-xattr/metacopy.erofs");
    let far = far.display();
    let commands: Vec<Vec<String>> = [
        format!("ls -lR {pinned}"),
        format!("ls -v --json {pinned}"),
        format!("tree {pinned}"),
        format!("stat -v --json {pinned} /"),
        format!("dump {pinned} --path /"),
        format!("check -v --level metadata {pinned} --json=OUT/report"),
        format!("check --level full {pinned} --json=OUT/report"),
        format!("ls -v --allow-unpinned-index {unpinned}"),
        format!("ls -v {unpinned}"),
        format!("check --level metadata {unpinned} --json=OUT/report"),
        format!("ls -R {image}"),
        format!("cat {image} /etc/greeting"),
        format!("stat {image} /etc"),
        format!("tree --json {image}"),
        format!("dump {image}"),
        format!("ls -v {blob}"),
        format!("ls --layer 7 {pinned}"),
        format!("ls --diff-id sha256:{:064} {pinned}", 0),
        format!("cat {image} /no/such"),
        format!("cat {image} /etc"),
        format!("cat --basedir {} {far} /far", scratch.0.display()),
        "ls /no/such/file".to_owned(),
    ]
    .iter()
    .map(|command| command.split(' ').map(str::to_owned).collect())
    .collect();
    let all = agree("looked-into", &commands);
    let codes: Vec<Option<i32>> = all.iter().map(|said| said.0).collect();
    assert_eq!(codes[..16], [Some(0); 16], "{all:?}");
    assert_eq!(all[11].1, "hello from layer 1");
    // Only chunks of what is pinned were read.
    let reads = |said: &Said| said.2.contains("of 632 bytes: ");
    for place in [1, 3, 7] {
        assert!(reads(&all[place]), "{}", all[place].2);
    }
    assert!(all[1].1.contains("\"ofBytes\": 632") || all[1].1.contains("\"ofBytes\":632"));
    let whole = "all of it was unpacked first: ";
    assert!(all[8].2.contains(whole), "{}", all[8].2);
    assert!(!reads(&all[8]));
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
            ("--sandbox", "built without the sandbox"),
        ] {
            let refused = run(&words, &["unpack", "--verify-only", flag, image], None);
            assert_eq!(refused.status.code(), Some(2), "{flag}");
            let said = text(&refused.stderr);
            assert!(said.contains(why), "{flag}: {said}");
        }
        let other = run(&words, &["extract", image, "-o", "x"], None);
        assert_eq!(other.status.code(), Some(2));
        // Nobody knows on what it runs.
        let layout = vectors_folder().join("layouts/indexes");
        let layout = layout.to_str().unwrap();
        let several = run(&words, &["check", layout], None);
        assert_eq!(several.status.code(), Some(2));
        let said = text(&several.stderr);
        assert!(said.contains("choose one with --platform: "), "{said}");
        let absent = run(&words, &["check", "/no/such/file"], None);
        assert_eq!(absent.status.code(), Some(3));
        assert_eq!(
            text(&absent.stderr),
            "erofs-unpack: /no/such/file: cannot open for reading: No such file or directory\n"
        );

        let passed = run(&words, &["check", image], None);
        assert_eq!(passed.status.code(), Some(0), "{}", text(&passed.stderr));
        let passes = "passed: 4 inodes, 0 errors, 0 warnings (policy containerd, level metadata)";
        let kernel = "  kernel: Linux 5.4 and newer\n";
        assert_eq!(text(&passed.stdout), format!("{image}: {passes}\n{kernel}"));

        let found = run(&words, &["inspect", "--json", image], None);
        assert_eq!(found.status.code(), Some(0), "{}", text(&found.stderr));
        assert!(text(&found.stdout).contains("\"content\": \"erofs\""));
    }
}
