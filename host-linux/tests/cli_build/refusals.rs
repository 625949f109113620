//! Bad archives: one clear line, exit 1, and nothing is left.

use std::process::Command;

use crate::args;
use crate::common::{Dir, content, gzip, noise, program, run, run_with, zstd};
use crate::tar::{Head, Holes, Tar};

/// Tries a bad archive from a file and from a pipe, into a file, over one with `--force`, and to
/// stdout; each must say the same. Gives the line without its source.
fn refuse(tar: &[u8]) -> String {
    let dir = Dir::new();
    let source = dir.write("source", tar);
    let old = dir.write("old", "precious");
    let outputs = [
        args!["-o", dir.path("new")],
        args!["-o", old, "--force"],
        args!["-o", "-"],
    ];
    let mut lines = Vec::new();
    for output in outputs {
        for from_pipe in [false, true] {
            let mut command = program();
            command.arg("build").args(&output);
            let (run, place) = if from_pipe {
                (run_with(command.arg("-"), tar), "-".to_owned())
            } else {
                let place = source.display().to_string();
                (run_with(command.arg(&source), b""), place)
            };
            let line = run.line(1);
            let rest = line.strip_prefix(&format!("{place}: "));
            lines.push(rest.unwrap_or_else(|| panic!("{line}")).to_owned());
        }
    }
    let run = run(args!["build", source, "-o", dir.path("new"), "--json"]);
    assert_eq!(run.code(), 1);
    let report = run.json();
    assert_eq!(report["command"], "build");
    assert_eq!(report["outcome"], "refused");
    assert_eq!(report["exitCode"], 1);
    assert!(report["error"]["id"].is_string(), "{report}");
    assert!(
        report.get("image").is_none() && report.get("file").is_none(),
        "{report}"
    );
    assert_eq!(dir.names(), ["old", "source"]);
    assert_eq!(content(&old), b"precious");
    lines.dedup();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.remove(0)
}

/// An archive of these members, each without content.
fn of(heads: &[Head]) -> Vec<u8> {
    let mut tar = Tar::default();
    for head in heads {
        tar.add(head, b"");
    }
    tar.ended()
}

#[test]
fn archives_that_are_none() {
    let mut good = Tar::default();
    good.add(&Head::folder("./"), b"");
    good.add(&Head::file("file"), &noise(1, 9000));
    let good = good.ended();
    let mut flipped = good.clone();
    flipped[512 + 3] ^= 1;
    let packed = zstd(&good);
    let mut damaged = packed.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for (name, bytes, said) in [
        ("nothing", vec![], "tar archive: ends"),
        ("text", b"hello\n".to_vec(), "tar archive: ends"),
        (
            "noise",
            noise(2, 9000),
            "tar header: does not have the checksum",
        ),
        // It begins with zeros, as an archive without members does.
        ("an image", crate::common::image(1, 2), "tar archive: ends"),
        (
            "an image, gzip",
            gzip(&crate::common::image(1, 2)),
            "tar archive: ends",
        ),
        (
            "half of it",
            good[..3000].to_vec(),
            "tar archive: ends inside a member",
        ),
        (
            "half a header",
            good[..800].to_vec(),
            "tar archive: ends inside a member",
        ),
        ("a bit", flipped, "tar header: does not have the checksum"),
        (
            "half a frame",
            packed[..packed.len() / 2].to_vec(),
            "zstd frame: ",
        ),
        (
            "a frame's bit",
            damaged,
            "zstd frame: the content does not have the stated checksum",
        ),
        (
            "half a gzip member",
            gzip(&good)[..4000].to_vec(),
            "gzip member: ",
        ),
    ] {
        let line = refuse(&bytes);
        assert!(line.starts_with(said), "{name}: {line}");
        if said.starts_with("tar") {
            assert!(line.contains(" of the archive"), "{name}: {line}");
        }
    }
}

#[test]
fn members_that_lead_out_or_nowhere() {
    let long = "n".repeat(256);
    for (heads, said, at) in [
        (vec![Head::file("a/../../etc/passwd")], "leads upwards", 0),
        (vec![Head::file("..")], "leads upwards", 0),
        (
            vec![Head::folder("a"), Head::hard_link("a/b", "../x")],
            "leads upwards",
            512,
        ),
        (
            vec![
                Head::symlink("a", "b"),
                Head::symlink("b", "a"),
                Head::file("a/x"),
            ],
            "lead in a circle",
            1024,
        ),
        (
            vec![
                Head::symlink("a", "."),
                Head::symlink("b", "b/b"),
                Head::file("b/x"),
            ],
            "lead in a circle",
            1024,
        ),
        (
            vec![Head::file("f"), Head::file("f/x")],
            "below something that is not a directory",
            512,
        ),
        (
            vec![Head::hard_link("a", "nothing")],
            "hard link to nothing",
            0,
        ),
        (
            vec![Head::hard_link("a", "b"), Head::hard_link("b", "a")],
            "hard link to nothing, to a directory or to itself",
            0,
        ),
        (
            vec![Head::folder("d"), Head::hard_link("a", "d")],
            "to a directory",
            512,
        ),
        (vec![Head::file("d/.wh.")], "whiteout without a name", 0),
        (vec![Head::file("d/.wh...")], "whiteout without a name", 0),
        (
            vec![Head::new("c", b'3').device(4096, 0)],
            "device whose number",
            0,
        ),
        // Behind its extended header and that one's content.
        (vec![Head::file(&long)], "name that is longer", 1024),
        (
            vec![Head::new("x", b'Z')],
            "of a type that readers understand differently",
            156,
        ),
        (
            vec![Head::new("v", b'D')],
            "of a type that readers understand differently",
            156,
        ),
    ] {
        let line = refuse(&of(&heads));
        assert!(line.contains(said), "{said}: {line}");
        let place = format!("at byte {at} of the archive");
        assert!(line.contains(&place), "{said}: {line}");
    }
}

#[test]
fn sizes_that_lie() {
    let mut beyond = Tar::default();
    beyond.add(&Head::file("a"), b"");
    // 8 GiB less a byte.
    beyond.0[124..135].fill(b'7');
    let mut block: [u8; 512] = beyond.0[..512].try_into().unwrap();
    crate::tar::seal(&mut block);
    let line = refuse(&[&block[..], &[0; 4096]].concat());
    assert!(
        line.starts_with("tar archive: ends inside a member"),
        "{line}"
    );

    let mut apart = Tar::default();
    let pieces = [(4096, noise(1, 100)), (0, noise(2, 100))];
    apart.sparse(&Head::file("a"), 9000, &pieces, Holes::Pax01);
    let line = refuse(&apart.ended());
    assert!(line.starts_with("map of a sparse file: "), "{line}");
    let mut outside = Tar::default();
    outside.sparse(&Head::file("a"), 50, &[(0, noise(1, 100))], Holes::Old);
    let line = refuse(&outside.ended());
    assert!(line.starts_with("map of a sparse file: "), "{line}");
}

#[test]
fn limits_hold() {
    let dir = Dir::new();
    let mut tar = Tar::default();
    for number in 0..20 {
        tar.add(&Head::file(format!("d/{number}")), &noise(number, 5000));
    }
    let source = dir.write("source", tar.ended());
    let image = dir.path("image");
    for (flag, value) in [("--max-image-size", "20000"), ("--max-inodes", "10")] {
        let run = run(args!["build", source, "-o", image, flag, value]);
        assert!(run.line(1).contains("limit"), "{flag}: {}", run.stderr);
        assert_eq!(dir.names(), ["source"]);
    }
}

#[test]
fn what_is_there_stays() {
    let dir = Dir::new();
    let source = dir.write("source", of(&[Head::folder("./")]));
    let taken = dir.write("taken", "precious");
    let run_ = run(args!["build", source, "-o", taken]);
    assert!(run_.line(3).contains("exists already"), "{}", run_.stderr);
    assert_eq!(content(&taken), b"precious");
    // A link is replaced itself, never followed.
    std::os::unix::fs::symlink("taken", dir.path("link")).unwrap();
    let link = dir.path("link");
    assert_eq!(run(args!["build", source, "-o", link]).code(), 3);
    run(args!["build", source, "-o", link, "--force"]).done();
    assert_eq!(content(&taken), b"precious");
    assert!(!link.is_symlink());
    run(args!["build", source, "-o", taken, "--force"]).done();
    assert!(content(&taken) == content(&link));
    assert_eq!(dir.names(), ["link", "source", "taken"]);
}

#[test]
fn wrong_usage_and_what_is_missing() {
    let dir = Dir::new();
    let source = dir.write("source", of(&[Head::folder("./")]));
    let image = dir.path("image");
    for options in [
        &["-L", "seventeen bytes !"][..],
        &["-U", "none"],
        &["-U", "0011"],
        &["--uid-map", "1:2"],
        &["--gid-map", "1:2:3:4"],
        &["--gid-map", "-1:2:3"],
        &["--exclude", "["],
        &["--all-root", "--uid-map", "1:2:3"],
        &["-T", "yesterday"],
    ] {
        let mut arguments = args!["build", source, "-o", image];
        arguments.extend(options.iter().map(Into::into));
        let run = run(arguments);
        assert_eq!(run.code(), 2, "{options:?}: {}", run.stderr);
    }
    assert_eq!(run(args!["build", source]).code(), 2);
    let run_ = run(args!["build", dir.path("missing"), "-o", image]);
    assert!(
        run_.line(3).contains("missing: cannot open"),
        "{}",
        run_.stderr
    );
    let run_ = run(args!["build", source, "-o", dir.path("no/folder")]);
    run_.line(3);
    assert_eq!(dir.names(), ["source"]);
}

#[test]
fn a_killed_build_leaves_nothing_under_the_name() {
    let dir = Dir::new();
    let image = dir.path("image");
    let mut tar = Tar::default();
    tar.add(&Head::file("a"), &noise(1, 1 << 20));
    let mut command: Command = program();
    let mut child = command
        .args(args!["build", "-", "-o", image])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, &tar.0).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!image.exists(), "{:?}", dir.names());
}
