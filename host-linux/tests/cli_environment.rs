//! What the program does when the system fails it, and when it is killed.

mod common;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use common::*;

/// Whether this process may do everything.
fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn a_full_disk_leaves_nothing() {
    let Some(disk) = Mounted::tmpfs("1m") else {
        println!("skipped: needs the right to mount a tmpfs");
        return;
    };
    let dir = Dir::new();
    let full = &disk.0;
    let layers = [
        Layer::new(EROFS, &image(1, 2)),
        Layer::new(EROFS_ZSTD, &image(2, 600)),
    ];
    let layout = Layout::of(dir.path("layout"), &layers);
    let blob = dir.write("blob", &layers[1].blob);
    let end = ": cannot write: No space left on device";
    for (arguments, place) in [
        (args![layout.path, "-o", full.path("out")], "layer 2: "),
        (args![layout.path, "-o", full.0], "layer 2: "),
        (args![blob, "-o", full.path("out.erofs")], "out.erofs"),
    ] {
        let run = run([args!["unpack"], arguments].concat());
        let line = run.line(3);
        assert!(line.ends_with(end) && line.contains(place), "{line}");
        assert_eq!(full.names().len(), 0);
    }
    // What waits for stdout, and an archive that comes through a pipe, wait in TMPDIR.
    let mut command = program();
    command.env("TMPDIR", &full.0);
    let run = run_with(command.args(args!["unpack", blob, "-o", "-"]), b"");
    assert_eq!(run.line(3), format!("{}{end}", full.0.display()));
    let archive = [layout.archive(true), vec![0; 2 << 20]].concat();
    let mut command = program();
    command.env("TMPDIR", &full.0);
    let run = run_with(
        command.args(args!["unpack", "-", "-o", dir.path("out")]),
        &archive,
    );
    let end = ": cannot write a temporary file: No space left on device";
    assert_eq!(run.line(3), format!("{}{end}", full.0.display()));
    assert_eq!(full.names().len(), 0);
    assert_eq!(dir.names(), ["blob", "layout"]);
}

#[test]
fn a_file_system_that_shares_blocks() {
    let dir = Dir::new();
    let disk = dir.path("btrfs.img");
    File::create(&disk).unwrap().set_len(256 << 20).unwrap();
    let made = Command::new("mkfs.btrfs")
        .env("PATH", path_with_sbin())
        .arg("-q")
        .arg(&disk)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let mounted = made
        .is_ok_and(|status| status.success())
        .then(|| Mounted::new(["-o".as_ref(), "loop".as_ref(), disk.as_os_str()]))
        .flatten();
    let Some(mounted) = mounted else {
        println!("skipped: needs mkfs.btrfs and the right to mount");
        return;
    };
    let image = image(1, 700);
    let (blob, out) = (mounted.0.write("blob", &image), mounted.0.path("out"));
    let free = || {
        let synced = Command::new("sync").arg("-f").arg(&blob).status();
        assert!(synced.unwrap().success());
        let found = rustix::fs::statvfs(&blob).unwrap();
        found.f_bavail * found.f_frsize
    };
    let before = free();
    run(args!["unpack", "-q", blob, "-o", out]).done();
    assert!(content(&out) == image);
    let taken = before.saturating_sub(free());
    assert!(
        taken < 1 << 20,
        "{taken} bytes were taken for a copy of 2.7 MiB"
    );
    // What is shared is verified all the same.
    for bad in [
        args!["--digest", sha256(b"")],
        args!["--diff-id", sha256(b"")],
    ] {
        let run = run([args!["unpack", blob, "-o", mounted.0.path("bad")], bad].concat());
        run.line(1);
    }
    assert_eq!(mounted.0.names(), ["blob", "out"]);
}

#[test]
fn a_closed_pipe_is_an_error_of_the_environment() {
    let dir = Dir::new();
    let image = image(1, 300);
    let blob = dir.write("blob", &image);
    let mut child = program()
        .args(args!["unpack", "-q", blob, "-o", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    let mut stdout = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut stdout, &mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(one_line(&said), "stdout: cannot write: Broken pipe");

    // Lines for people too, for all commands; what was published stays.
    let layout = Layout::of(dir.path("layout"), &three_layers());
    let out = dir.path("out");
    for arguments in [
        args!["unpack", layout.path, "-o", out],
        args!["unpack", layout.path, "--verify-only", "--json"],
        args!["inspect", layout.path],
        args!["inspect", layout.path, "--json"],
        args!["completions", "bash"],
    ] {
        let output = program()
            .args(&arguments)
            .stdout(File::create("/dev/full").unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            one_line(&said),
            "stdout: cannot write: No space left on device"
        );
    }
    assert_eq!(names(&out).len(), 4);

    // Nobody listens to errors: the exit code is the same.
    let status = program()
        .args(args!["unpack", "/nonexistent", "--verify-only"])
        .stderr(File::create("/dev/full").unwrap())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn sources_that_cannot_be_read() {
    let dir = Dir::new();
    let out = dir.path("out");
    for (source, end) in [
        (
            "/nonexistent",
            "cannot open for reading: No such file or directory",
        ),
        // A file that has no end.
        ("/proc/self/mem", "cannot read: Invalid argument"),
    ] {
        let run = run(args!["unpack", source, "-o", out]);
        let line = run.line(3);
        assert!(line.starts_with(source) && line.ends_with(end), "{line}");
        let shown = common::run(args!["inspect", source]);
        assert_eq!(shown.line(3), line);
    }
    let stdin = program()
        .args(args!["unpack", "-", "-o", out])
        .stdin(File::open(&dir.0).unwrap())
        .output()
        .unwrap();
    assert_eq!(stdin.status.code(), Some(3));
    let said = String::from_utf8(stdin.stderr).unwrap();
    assert!(one_line(&said).starts_with("-: cannot read: "), "{said}");
    assert!(!out.exists());
}

#[test]
fn a_source_that_fails_in_the_middle() {
    if !has("strace") {
        println!("skipped: needs strace");
        return;
    }
    let dir = Dir::new();
    let image = image(1, 700);
    let (plain, packed) = (
        dir.write("plain", &image),
        dir.write("packed", zstd(&image)),
    );
    let log = dir.path("log");
    for blob in [plain, packed] {
        for output in [args!["-o", dir.path("out")], args!["-o", "-"]] {
            let filter = ["-e", "inject=pread64:error=EIO:when=4", "-P"].map(String::from);
            let mut filter = filter.to_vec();
            filter.push(blob.to_str().unwrap().to_owned());
            let arguments = [args!["unpack", blob], output].concat();
            let run = run_with(&mut strace(&log, &filter, &arguments), b"");
            let line = format!("{}: cannot read: Input/output error", blob.display());
            assert_eq!(run.line(3), line);
        }
    }
    assert_eq!(dir.names(), ["log", "packed", "plain"]);
}

/// A copy of the program in a folder that anyone may enter, for a user without rights. Another
/// process makes it, so that no child of another test can inherit the open file ("text file busy").
fn program_for_all(dir: &Dir) -> std::path::PathBuf {
    let path = dir.path("erofs-unpack");
    let copied = Command::new("cp")
        .args([env!("CARGO_BIN_EXE_erofs-unpack").as_ref(), path.as_path()])
        .status();
    assert!(copied.unwrap().success());
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    fs::set_permissions(&dir.0, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[test]
fn without_permission() {
    if !is_root() {
        println!("skipped: needs the right to become another user");
        return;
    }
    // The test's own folder may lie where others cannot enter.
    let shared = std::env::temp_dir().join(format!("without-permission-{}", std::process::id()));
    fs::create_dir(&shared).unwrap();
    let dir = Dir(shared);
    let program = program_for_all(&dir);
    let blob = dir.write("blob", image(1, 2));
    let secret = dir.write("secret", image(1, 2));
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    let open = dir.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).unwrap();
    let layout = Layout::of(dir.path("layout"), &three_layers());
    let locked = layout.blob_path(&sha256(&three_layers()[1].blob));
    fs::set_permissions(&locked, PermissionsExt::from_mode(0o600)).unwrap();
    let unpack = |arguments| {
        let mut command = Command::new(&program);
        command
            .uid(64_001)
            .gid(64_001)
            .current_dir("/")
            .arg("unpack");
        run_with(command.args::<_, std::ffi::OsString>(arguments), b"")
    };
    unpack(args![blob, "-q", "-o", open.join("a")]).done();
    for (arguments, end) in [
        (
            args![secret, "-o", open.join("b")],
            "secret: cannot open for reading: Permission denied",
        ),
        (
            args![blob, "-o", dir.path("b")],
            "b: cannot make a file for it: Permission denied",
        ),
        (
            args![layout.path, "-j1", "-o", open.join("c")],
            ": cannot open for reading: Permission denied",
        ),
        (
            args![layout.path, "-o", dir.path("c")],
            ": cannot make a file for it: Permission denied",
        ),
    ] {
        let run = unpack(arguments);
        let line = run.line(3);
        assert!(line.ends_with(end), "{line}");
    }
    assert_eq!(names(&open), ["a"]);
}

#[test]
fn targets_that_cannot_be() {
    let dir = Dir::new();
    let blob = dir.write("blob", image(1, 2));
    let layout = Layout::of(dir.path("layout"), &three_layers());
    fs::create_dir(dir.path("folder")).unwrap();
    let victim = dir.write("victim", "precious");
    symlink("victim", dir.path("link")).unwrap();
    symlink("nowhere", dir.path("dangling")).unwrap();
    let made = Command::new("mkfifo")
        .arg(dir.path("fifo"))
        .status()
        .unwrap();
    assert!(made.success());
    let link = "is a symbolic link, which is never followed: expected a free name, or --force to \
                replace the link itself";
    let special = "is a device, a pipe or a socket, which is never replaced: expected a free name";
    let cases = [
        (
            args![blob, "-o", dir.path("folder")],
            "is a directory: expected the name of a file",
        ),
        (
            args![blob, "--force", "-o", dir.path("folder")],
            "is a directory: expected the name of a file",
        ),
        (args![blob, "-o", dir.path("link")], link),
        (args![blob, "-o", dir.path("dangling")], link),
        (args![layout.path, "-o", dir.path("dangling")], link),
        (args![blob, "-o", dir.path("fifo")], special),
        (args![blob, "--force", "-o", dir.path("fifo")], special),
        (args![blob, "--force", "-o", "/dev/null"], special),
        (
            args![blob, "-o", victim],
            "exists already: expected a free name, or --force to replace it",
        ),
        (
            args![blob, "-o", dir.path("no/such")],
            "cannot open the directory for output: No such file or directory",
        ),
        (
            args![blob, "-o", dir.path("victim/x")],
            "cannot open the directory for output: Not a directory",
        ),
        (
            args![layout.path, "-o", victim],
            "cannot open the directory for output: Not a directory",
        ),
        (
            args![layout.path, "-o", dir.path("no/such")],
            "cannot open the directory for output: No such file or directory",
        ),
    ];
    let before = dir.names();
    for (arguments, end) in cases {
        let run = run([args!["unpack"], arguments].concat());
        let line = run.line(3);
        assert!(line.ends_with(end), "{line}");
        assert_eq!(dir.names(), before);
    }
    assert!(
        run(args!["unpack", blob, "-o", "/proc/x"])
            .line(3)
            .starts_with("/proc/x: cannot ")
    );
    assert_eq!(content(&victim), b"precious");

    // With --force the link itself goes.
    for name in ["link", "dangling"] {
        run(args!["unpack", blob, "-o", dir.path(name), "--force"]).done();
        assert!(fs::symlink_metadata(dir.path(name)).unwrap().is_file());
    }
    assert_eq!(content(&victim), b"precious");
    assert!(!dir.path("nowhere").exists());

    // In a folder of layers.
    let out = dir.path("out");
    fs::create_dir(&out).unwrap();
    let second = out.join(three_layers()[1].file(2));
    symlink(&victim, &second).unwrap();
    let refused = run(args!["unpack", layout.path, "-o", out]);
    assert!(refused.line(3).ends_with(link));
    assert_eq!(names(&out).len(), 1);
    run(args!["unpack", layout.path, "-o", out, "--force"]).done();
    assert_eq!(content(&victim), b"precious");
    fs::remove_file(out.join("image.json")).unwrap();
    fs::create_dir(out.join("image.json")).unwrap();
    let refused = run(args!["unpack", layout.path, "-o", out]);
    assert!(
        refused
            .line(3)
            .ends_with("image.json: is a directory: expected the name of a file")
    );
}

#[test]
fn without_threads_it_fails_in_one_line() {
    if !is_root() {
        println!("skipped: needs the right to become another user");
        return;
    }
    let shared = std::env::temp_dir().join(format!("without-threads-{}", std::process::id()));
    fs::create_dir(&shared).unwrap();
    let dir = Dir(shared);
    let program = program_for_all(&dir);
    let layout = Layout::of(dir.path("layout"), &three_layers());
    let mut done = 0;
    for most in 1..12 {
        let mut command = Command::new("prlimit");
        command
            .uid(64_002)
            .gid(64_002)
            .current_dir("/")
            .arg(format!("--nproc={most}"))
            .arg(&program)
            .args(args!["unpack", layout.path, "--verify-only", "-j2"]);
        let run = run_with(&mut command, b"");
        match run.code() {
            0 => done += 1,
            _ => {
                let line = run.line(3);
                // A layer's, or the sandbox's.
                let of_layer = ": cannot start a thread for it: Resource temporarily unavailable";
                let of_sandbox = "cannot start the sandbox's clock: Resource temporarily unavailable (os error 11)";
                assert!(
                    line.ends_with(of_layer) || line.ends_with(of_sandbox),
                    "{line}"
                );
            }
        }
    }
    assert!(done > 0 && done < 11, "{done}");
}
