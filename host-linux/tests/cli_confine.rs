//! What the program gives up before it reads, and that it can still do all that it is asked to.

mod common;

use core::time::Duration;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::*;

/// A line of a status file of `/proc`.
fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_default().trim().to_owned()
}

/// Runs the program up to where it waits for its input. What it says of confinement, and the status
/// of each of its threads then.
fn waiting(arguments: &[&str]) -> (String, Vec<String>) {
    let mut child = program()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    let threads = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let status = threads
        .map(|thread| fs::read_to_string(thread.unwrap().path().join("status")).unwrap())
        .collect();
    drop(child.stdin.take());
    child.wait_with_output().unwrap();
    (one_line(&said).to_owned(), status)
}

/// The commands that wait for their standard input and say what is in force.
const COMMANDS: [&[&str]; 3] = [
    &["unpack", "-v", "-", "-o", "-"],
    &["check", "-v", "-"],
    &["stream", "-v"],
];

#[test]
fn every_thread_is_behind_the_wall_before_anything_is_read() {
    let own = fs::read_to_string("/proc/self/status").unwrap();
    for command in COMMANDS {
        for sandbox in [None, cfg!(feature = "sandbox").then_some("--sandbox")] {
            let arguments: Vec<&str> = command.iter().copied().chain(sandbox).collect();
            let (said, threads) = waiting(&arguments);
            assert!(said.starts_with("confinement: Landlock "), "{said}");
            if !said.contains("seccomp in force") {
                println!("skipped: needs seccomp: {said}");
                continue;
            }
            assert!(!threads.is_empty());
            for thread in threads {
                assert_eq!(field(&thread, "NoNewPrivs:"), "1", "{arguments:?}");
                assert_eq!(field(&thread, "Seccomp:"), "2", "{arguments:?}");
                // Not only the filter of a container around it.
                let filters = |status: &str| field(status, "Seccomp_filters:").parse::<u32>().ok();
                if let (Some(all), Some(before)) = (filters(&thread), filters(&own)) {
                    assert_eq!(all, before + 1, "{arguments:?}");
                }
            }
        }
    }
}

#[test]
fn the_commands_that_say_nothing_of_it_have_it_too() {
    let (said, _) = waiting(COMMANDS[1]);
    if !said.contains("seccomp in force") {
        println!("skipped: needs seccomp: {said}");
        return;
    }
    let dir = Dir::new();
    let target = dir.path("target");
    for arguments in [
        args!["inspect", "-"],
        args!["ls", "-"],
        args!["tree", "-"],
        args!["stat", "-", "/"],
        args!["cat", "-", "/file"],
        args!["dump", "-"],
        args!["extract", "--tar", "-"],
        args!["extract", "-C", target, "-"],
    ] {
        let mut child = program()
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        // It waits for its input until then, and for as long as this test likes.
        let begun = Instant::now();
        loop {
            let status = fs::read_to_string(&status).unwrap();
            if field(&status, "Seccomp:") == "2" && field(&status, "NoNewPrivs:") == "1" {
                break;
            }
            let waited = begun.elapsed();
            assert!(waited < Duration::from_secs(60), "{arguments:?}: {status}");
            std::thread::sleep(Duration::from_millis(2));
        }
        drop(child.stdin.take());
        child.wait_with_output().unwrap();
    }
}

#[test]
fn switched_off_there_is_none() {
    let own = fs::read_to_string("/proc/self/status").unwrap();
    for command in COMMANDS {
        let arguments: Vec<&str> = command.iter().copied().chain(["--no-confine"]).collect();
        let (said, threads) = waiting(&arguments);
        assert_eq!(
            said,
            "confinement: Landlock not in force: switched off; seccomp not in force: switched off"
        );
        for thread in threads {
            for name in ["NoNewPrivs:", "Seccomp:", "Seccomp_filters:"] {
                assert_eq!(field(&thread, name), field(&own, name), "{arguments:?}");
            }
        }
    }
}

#[test]
fn what_the_command_line_names_is_reached_wherever_it_lies() {
    let dir = Dir::new();
    let content = image(1, 4);
    let blob = dir.write("a/blob", zstd(&content));
    for name in ["links", "out", "reports", "tmp"] {
        fs::create_dir(dir.path(name)).unwrap();
    }
    let link = dir.path("links/blob");
    symlink(&blob, &link).unwrap();
    let old = dir.write("b/report", "old, and longer than what comes");
    let linked = dir.path("links/report");
    symlink(&old, &linked).unwrap();
    let new = dir.path("reports/new");
    let tmp = dir.path("tmp");
    for report in [&new, &old, &linked] {
        let json = format!("--json={}", report.display());
        // Through a link, to a file, by way of TMPDIR, and nowhere.
        for output in [
            vec![
                "-o".into(),
                dir.path("out/file").into_os_string(),
                "--force".into(),
            ],
            args!["-o", "-"],
            args!["--verify-only"],
        ] {
            let mut command = program();
            command.env("TMPDIR", &tmp).arg("unpack").arg(&link);
            let run = run_with(command.args(&output).arg(&json), b"");
            run_is_done(&run, &output);
            let report: serde_json::Value =
                serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
            assert_eq!(report["outcome"], "done");
        }
        assert!(fs::read(dir.path("out/file")).unwrap() == content);
    }
    assert_eq!(names(&tmp).len(), 0);
    // Names that lead to a pipe, and back to what is open already.
    let mut command = program();
    command.args(["unpack", "/dev/stdin", "-q", "-o", "/dev/stdout"]);
    let refused = run_with(&mut command, &fs::read(&blob).unwrap());
    assert_eq!(refused.code(), 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("/dev/stdout"), "{}", refused.stderr);
    let mut command = program();
    command.args([
        "unpack",
        "/dev/stdin",
        "-q",
        "--verify-only",
        "--json=/dev/stderr",
    ]);
    let run = run_with(&mut command, &fs::read(&blob).unwrap());
    assert_eq!(run.code(), 0, "{}", run.stderr);
    assert!(
        run.stderr.contains("\"outcome\": \"done\""),
        "{}",
        run.stderr
    );
    // Names without a folder.
    let mut command = program();
    command.current_dir(dir.path("out"));
    command.args([
        "unpack",
        "../a/blob",
        "-q",
        "-o",
        "bare",
        "--json=bare.json",
    ]);
    assert_eq!(run_with(&mut command, b"").code(), 0);
    assert_eq!(names(&dir.path("out")), ["bare", "bare.json", "file"]);
}

fn run_is_done(run: &Run, output: &[std::ffi::OsString]) {
    assert_eq!(run.code(), 0, "{output:?}: {}", run.stderr);
}

/// What `check -v` comes to where the kernel answers these calls so.
fn checked_with(answers: &[&str]) -> (i32, String) {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null"]);
    command.args(["-e", "trace=/^landlock_|^seccomp$"]);
    for answer in answers {
        command.args(["-e", &format!("inject={answer}")]);
    }
    command.arg(env!("CARGO_BIN_EXE_erofs-unpack"));
    command.args(["check", "-v", "-"]);
    let run = run_with(&mut command, &image(1, 4));
    let first = run.stderr.lines().next().unwrap_or_default().to_owned();
    (run.code(), first)
}

#[test]
fn a_kernel_without_it_is_no_error_and_a_failure_is_one() {
    if !has("strace") {
        println!("skipped: needs strace");
        return;
    }
    let (code, line) = checked_with(&[]);
    assert_eq!(code, 0, "{line}");
    if !(line.contains("Landlock in force") && line.ends_with("seccomp in force")) {
        println!("skipped: needs Landlock and seccomp: {line}");
        return;
    }
    for (answers, said) in [
        (
            [
                "landlock_create_ruleset:error=ENOSYS",
                "seccomp:error=EINVAL",
            ]
            .as_slice(),
            "Landlock not in force: the kernel does not offer it; \
             seccomp not in force: the system does not offer it",
        ),
        (
            &["landlock_create_ruleset:error=EOPNOTSUPP"],
            "Landlock not in force: the kernel has it switched off; seccomp in force",
        ),
        // Linux 5.13 to 5.18.
        (
            &["landlock_create_ruleset:retval=1"],
            "Landlock not in force: the kernel's is too old; seccomp in force",
        ),
        // A filter around it.
        (
            &["landlock_create_ruleset:error=EPERM", "seccomp:error=EPERM"],
            "Landlock not in force: the kernel does not offer it; \
             seccomp not in force: the system does not offer it",
        ),
    ] {
        let (code, line) = checked_with(answers);
        assert_eq!(line, format!("erofs-unpack: confinement: {said}"));
        assert_eq!(code, 0);
    }
    for failure in [
        "landlock_add_rule:error=ENOMEM",
        "landlock_restrict_self:error=E2BIG",
        "seccomp:error=ENOMEM",
    ] {
        let (code, line) = checked_with(&[failure]);
        assert_eq!(code, 3, "{failure}: {line}");
        let start = "erofs-unpack: confinement: cannot give up what is not needed: ";
        assert!(line.starts_with(start), "{line}");
        assert!(line.ends_with("(--no-confine goes without)"), "{line}");
    }
}
