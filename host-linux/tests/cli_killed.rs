//! What the program leaves when it is killed, and where the file system has no unnamed files.

mod common;

use core::time::Duration;
use std::fs::{self};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::*;
use serde_json::Value;

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
