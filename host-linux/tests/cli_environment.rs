//! What the program does when the system fails it, and when it is killed.
#![allow(clippy::disallowed_methods, reason = "a test may panic")]

mod common;

use core::time::Duration;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::*;
use serde_json::Value;

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

/// A copy of the program in a folder that anyone may enter, for a user without rights.
fn program_for_all(dir: &Dir) -> std::path::PathBuf {
    let path = dir.path("erofs-unpack");
    fs::copy(env!("CARGO_BIN_EXE_erofs-unpack"), &path).unwrap();
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

/// What must hold in a folder of layers, whatever happened: every file is complete, and
/// `image.json` only stands beside all of them. Gives the number of files.
fn check_folder(out: &Path, layers: &[Layer]) -> usize {
    let found = names(out);
    for name in &found {
        if name == "image.json" {
            let document: Value = serde_json::from_slice(&content(&out.join(name))).unwrap();
            assert_eq!(document["outcome"], "done");
            assert_eq!(found.len(), layers.len() + 1, "{found:?}");
            continue;
        }
        let digest = sha256(&content(&out.join(name)));
        let layer = (1..)
            .zip(layers)
            .find(|(number, layer)| layer.file(*number) == *name);
        let (_, layer) = layer.unwrap_or_else(|| panic!("{name} is left"));
        assert_eq!(digest, layer.diff_id, "{name}");
    }
    found.len()
}

#[test]
fn killed_at_any_moment_it_leaves_complete_files_only() {
    let dir = Dir::new();
    let layers = [
        Layer::new(EROFS, &image(1, 700)),
        Layer::new(EROFS_ZSTD, &image(2, 700)),
        Layer::new(EROFS_GZIP, &image(3, 700)),
    ];
    let layout = Layout::of(dir.path("layout"), &layers);
    let blob = layout.blob_path(&sha256(&layers[1].blob));
    let whole = dir.path("whole");
    let started = Instant::now();
    run(args!["unpack", layout.path, "-o", whole]).done();
    let length = started.elapsed();
    fs::remove_dir_all(whole).unwrap();

    let (mut nothing, mut some, mut all) = (0, 0, 0);
    for (number, moment) in noise(7, 100).chunks(2).enumerate() {
        let out = dir.path("out");
        let file = dir.path("file");
        let arguments = match number % 5 {
            0 => args!["unpack", blob, "-o", file],
            _ => args![
                "unpack",
                layout.path,
                "-o",
                out,
                "-j",
                (number % 3 + 1).to_string()
            ],
        };
        let mut child = program()
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moment = u32::from(u16::from_le_bytes([moment[0], moment[1]]));
        std::thread::sleep(length.mul_f64(f64::from(moment) / 50_000.0));
        child.kill().unwrap();
        child.wait().unwrap();
        match check_folder(&out, &layers) {
            0 => nothing += 1,
            4 => all += 1,
            _ => some += 1,
        }
        if file.exists() {
            assert_eq!(sha256(&content(&file)), layers[1].diff_id);
            fs::remove_file(file).unwrap();
        }
        let expected: &[&str] = if out.exists() {
            &["layout", "out"]
        } else {
            &["layout"]
        };
        assert_eq!(dir.names(), expected);
        // Whatever is there, the next run makes it whole, without --force.
        if out.exists() {
            run(args!["unpack", layout.path, "-o", out]).done();
            assert_eq!(check_folder(&out, &layers), 4);
            fs::remove_dir_all(&out).unwrap();
        }
    }
    println!("of 50 killed: {nothing} left nothing, {some} some layers, {all} all of them");
    assert!(nothing > 0 && nothing < 50, "killed at one moment only");
}

#[test]
fn a_signal_ends_it_as_that_signal_does() {
    let dir = Dir::new();
    let file = dir.path("out");
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        // It waits for its stdin, with all its threads and its file. Who runs the tests may have
        // told them to ignore a signal, as nohup does, and programs inherit that.
        let mut child = Command::new("env")
            .arg("--default-signal=TERM,INT,HUP")
            .arg(env!("CARGO_BIN_EXE_erofs-unpack"))
            .args(args!["unpack", "-", "--media-type", EROFS, "-o", file])
            .env_remove("TMPDIR")
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        std::thread::sleep(Duration::from_millis(100));
        let sent = Command::new("sh")
            .args([
                "-c",
                "kill -s \"$1\" \"$2\"",
                "sh",
                name,
                &child.id().to_string(),
            ])
            .status();
        assert!(sent.unwrap().success());
        assert_eq!(child.wait().unwrap().signal(), Some(number));
        drop(stdin);
        assert_eq!(dir.names().len(), 0);
    }
}

#[test]
fn temporary_names_of_killed_runs_are_swept() {
    let dir = Dir::new();
    let blob = dir.write("blob", image(1, 2));
    let out = dir.path("files");
    fs::create_dir(&out).unwrap();
    let stale = [
        ".a.erofs.0123456789abcdef.partial",
        ".b.erofs.0123456789abcdef.partial",
        ".a.erofs.0123456789abcdeX.partial",
        ".a.erofs.b.0123456789abcdef.partial",
    ];
    for name in stale {
        fs::write(out.join(name), "half").unwrap();
    }
    // A run of one file sweeps its own name only: the folder is not its own.
    run(args!["unpack", "-q", blob, "-o", out.join("a.erofs")]).done();
    let mut left = vec![stale[2], stale[3], stale[1], "a.erofs"];
    left.sort_unstable();
    assert_eq!(names(&out), left);
    let layout = Layout::of(dir.path("layout"), &three_layers());
    run(args!["unpack", layout.path, "-o", out]).done();
    let found = names(&out);
    assert_eq!(found.len(), 2 + 4, "{found:?}");
    assert_eq!(found[0], stale[2]);
}

/// Runs the program under strace, which writes what the filter selects to a file.
fn strace(log: &Path, filter: &[String], arguments: &[std::ffi::OsString]) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o"])
        .arg(log)
        .args(filter)
        .arg(env!("CARGO_BIN_EXE_erofs-unpack"))
        .args(arguments)
        .env_remove("TMPDIR");
    command
}

/// The place of the call that makes an unnamed file, among those that are told of a folder.
fn unnamed_call(log: &Path) -> usize {
    let calls = content(log);
    let calls = str::from_utf8(&calls).unwrap();
    let places: Vec<_> = calls
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains("O_TMPFILE"))
        .map(|(place, _)| place + 1)
        .collect();
    assert_eq!(places.len(), 1, "{calls}");
    places[0]
}

#[test]
fn without_unnamed_files_it_does_the_same() {
    if !has("strace") {
        println!("skipped: needs strace");
        return;
    }
    let dir = Dir::new();
    let image = image(1, 30);
    let blob = dir.write("blob", zstd(&image));
    let out = dir.path("out");
    fs::create_dir(&out).unwrap();
    let log = dir.path("log");
    let target = out.join("a.erofs");
    let filter = |more: &[&str]| -> Vec<String> {
        let mut filter: Vec<String> = ["-e", "trace=openat", "-P", out.to_str().unwrap()]
            .map(String::from)
            .into();
        filter.extend(more.iter().copied().map(String::from));
        filter
    };
    // To a file, and to stdout by way of TMPDIR.
    for output in [target.to_str().unwrap(), "-"] {
        let arguments = args!["unpack", "-q", blob, "-o", output];
        let unpack = |filter: &[String], umask: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", "umask \"$1\" && shift && exec \"$@\"", "sh", umask]);
            let traced = strace(&log, filter, &arguments);
            command.arg(traced.get_program()).args(traced.get_args());
            let run = run_with(command.env("TMPDIR", &out), b"");
            assert_eq!((run.code(), run.stderr.as_str()), (0, ""));
            if output == "-" {
                assert!(run.stdout == image);
                assert_eq!(names(&out).len(), 0);
                return 0;
            }
            assert!(content(&target) == image);
            let mode = fs::metadata(&target).unwrap().mode();
            assert_eq!(names(&out), ["a.erofs"]);
            fs::remove_file(&target).unwrap();
            mode & 0o7777
        };
        unpack(&filter(&[]), "022");
        let place = unnamed_call(&log);
        if output == "-" {
            // What nobody may name cannot be linked either.
            let calls = String::from_utf8(content(&log)).unwrap();
            assert!(calls.contains("O_EXCL"), "{calls}");
        }
        for answer in ["EOPNOTSUPP", "EISDIR", "EINVAL", "ENOENT"] {
            let inject = format!("inject=openat:error={answer}:when={place}");
            for (umask, mode) in [("022", 0o644), ("077", 0o600), ("000", 0o644)] {
                let found = unpack(&filter(&["-e", &inject]), umask);
                assert_eq!(found, if output == "-" { 0 } else { mode });
            }
            let calls = String::from_utf8(content(&log)).unwrap();
            assert!(calls.contains(".partial"), "{calls}");
            // Nobody else may ever open the file that the content goes to.
            let last = calls.lines().rfind(|line| line.contains(".partial"));
            assert!(last.unwrap().contains(", 0600)"), "{calls}");
        }
    }
}

#[test]
fn what_waits_for_stdout_is_in_nobodys_way() {
    let dir = Dir::new();
    let image = image(1, 3);
    let blob = dir.write("blob", &image);
    let temporary = dir.path("tmp");
    // Names in the folder for temporary files are other people's.
    fs::create_dir_all(temporary.join("erofs-unpack")).unwrap();
    let mut command = program();
    command
        .env("TMPDIR", &temporary)
        .args(args!["unpack", "-q", blob, "-o", "-"]);
    let run = run_with(&mut command, b"");
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert!(run.stdout == image);
    assert_eq!(names(&temporary), ["erofs-unpack"]);

    let run = run_with(command.env("TMPDIR", "/nonexistent"), b"");
    assert_eq!(
        run.line(3),
        "/nonexistent: cannot open the directory for output: No such file or directory"
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
                assert!(
                    line.ends_with(
                        ": cannot start a thread for it: Resource temporarily unavailable"
                    ),
                    "{line}"
                );
            }
        }
    }
    assert!(done > 0 && done < 11, "{done}");
}
