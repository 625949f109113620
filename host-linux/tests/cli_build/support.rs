//! Runs of `build` and of the tools that its images are held against.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::args;
use crate::common::{Dir, Mounted, Run, has as is_there, path_with_sbin, program, run, run_with};

/// Options that give an image a UUID which does not depend on its source.
pub(crate) const UUID: [&str; 2] = ["-U", "00112233-4455-4677-8899-aabbccddeeff"];

/// Whether a tool is there; says so otherwise, and fails where it has to be.
pub(crate) fn has(tool: &str) -> bool {
    if is_there(tool) {
        return true;
    }
    assert!(
        std::env::var_os("EROFS_UNPACK_REQUIRE_TOOLS").is_none(),
        "{tool} must be there"
    );
    println!("skipped: needs {tool}");
    false
}

/// Whether this is root; says so otherwise.
pub(crate) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("skipped: needs root");
    }
    is_root
}

/// Builds an image, which must come about and pass all checks, and gives the report.
#[track_caller]
pub(crate) fn build<A: AsRef<OsStr>>(source: &Path, image: &Path, options: &[A]) -> Value {
    let mut arguments = args!["build", source, "-o", image, "--force", "--json"];
    arguments.extend(options.iter().map(OsString::from));
    let run = run(arguments);
    run.done();
    assert_eq!(run.stderr, "");
    passes(image);
    let report = run.json();
    assert_eq!(report["outcome"], "done");
    assert_eq!(report["image"]["size"], fs::metadata(image).unwrap().len());
    report["image"].clone()
}

/// Builds an image of an archive in memory, beside which the image lies, and gives the two.
#[track_caller]
pub(crate) fn build_tar(dir: &Dir, tar: &[u8], options: &[&str]) -> (PathBuf, Value) {
    let source = dir.write("made.tar", tar);
    let image = dir.path("made.erofs");
    let report = build(&source, &image, options);
    (image, report)
}

/// Builds an image of what comes on the standard input.
pub(crate) fn build_stdin(tar: &[u8], image: &Path, options: &[&str]) -> Run {
    let mut command = program();
    command.args(["build", "-", "--force", "-o"]).arg(image);
    run_with(command.args(options), tar)
}

/// The strictest check, and `fsck.erofs` where it is there, have nothing to say of an image.
#[track_caller]
pub(crate) fn passes(image: &Path) {
    let arguments = args!["check", "--policy", "strict", "--level", "full", image];
    let checked = run(arguments);
    checked.done();
    assert_eq!(checked.stderr, "");
    if has("fsck.erofs") {
        let output = tool("fsck.erofs").arg(image).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// A tool, found among those of the administrator too.
pub(crate) fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", path_with_sbin());
    command
}

/// Mounts an image; `None` after saying why the test is skipped.
pub(crate) fn mounted(image: &Path) -> Option<Mounted> {
    let arguments = [
        OsStr::new("-t"),
        OsStr::new("erofs"),
        OsStr::new("-o"),
        OsStr::new("ro,loop"),
        image.as_os_str(),
    ];
    let mounted = Mounted::new(arguments);
    if mounted.is_none() {
        println!("skipped: needs the right to mount an EROFS image");
    }
    mounted
}

/// What `mkfs.erofs` makes of an archive in the form that is ours by default.
pub(crate) fn mkfs(dir: &Dir, tar: &[u8]) -> PathBuf {
    let source = dir.write("theirs.tar", tar);
    let image = dir.path("theirs.erofs");
    let _ = fs::remove_file(&image);
    let output = tool("mkfs.erofs")
        .args(["--tar=f", "--aufs", "--quiet", "-Enoinline_data", "-b4096"])
        .args([&image, &source])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    image
}
