//! The same archive in other forms, the same image; and its UUID.

use crate::args;
use crate::common::{Dir, content, gzip, program, run, run_with, sha256, zstd};
use crate::pair::Pair;
use crate::support::{build, build_stdin, build_tar, has, tool};
use crate::tar::{Head, Tar};

#[test]
fn however_an_archive_comes_its_image_is_the_same() {
    let dir = Dir::new();
    let tar = Pair::everything().ours.ended();
    let (image, first) = build_tar(&dir, &tar, &[]);
    let expected = content(&image);
    assert_eq!(first["tarDiffId"], sha256(&tar));
    assert_eq!(first["tarSize"], tar.len());
    assert_eq!(first["sparse"], true);
    for (name, bytes) in [
        ("made.tar", tar.clone()),
        ("made.tar.gz", gzip(&tar)),
        ("made.tar.zst", zstd(&tar)),
    ] {
        let source = dir.write(name, &bytes);
        let other = dir.path("other.erofs");
        let report = build::<&str>(&source, &other, &[]);
        assert!(content(&other) == expected, "{name}");
        assert_eq!(report["tarDigest"], sha256(&bytes), "{name}");
        assert_eq!(report["tarDiffId"], first["tarDiffId"], "{name}");
        let run = build_stdin(&bytes, &other, &["--json"]);
        run.done();
        assert!(content(&other) == expected, "{name} on stdin");
        assert_eq!(run.json()["source"], "-");
        let run = run_with(program().args(["build", "-", "-o", "-"]), &bytes);
        assert_eq!(run.code(), 0, "{}", run.stderr);
        assert!(run.stdout == expected, "{name} from stdin to stdout");
    }
}

#[test]
fn the_end_of_an_archive_makes_no_difference_to_the_tree() {
    let dir = Dir::new();
    let mut tar = Tar::default();
    tar.add(&Head::folder("./"), b"")
        .add(&Head::file("a"), b"1");
    let options = crate::support::UUID;
    let (image, _) = build_tar(&dir, &tar.ended(), &options);
    let expected = content(&image);
    let mut long = tar.ended();
    long.resize(10_240, 0);
    long.extend_from_slice(b"what is behind the end is not looked at");
    for other in [tar.0.clone(), long] {
        let (image, report) = build_tar(&dir, &other, &options);
        assert!(content(&image) == expected);
        assert_eq!(report["tarDiffId"], sha256(&other));
    }
}

#[test]
fn the_uuid_follows_from_the_content_or_is_told() {
    let dir = Dir::new();
    let mut tar = Tar::default();
    tar.add(&Head::folder("./"), b"")
        .add(&Head::file("a"), b"1");
    let tar = tar.ended();
    let (image, report) = build_tar(&dir, &tar, &[]);
    // The diffID, marked as a UUID of version 8.
    let digest = sha256(&tar).split_off("sha256:".len());
    let uuid = report["uuid"].as_str().unwrap().to_owned();
    assert_eq!(uuid.get(..8), digest.get(..8));
    assert_eq!(uuid.get(9..13), digest.get(8..12));
    assert_eq!(uuid.get(14..15), Some("8"));
    assert!(["8", "9", "a", "b"].contains(&&uuid[19..20]), "{uuid}");
    let bytes = content(&image);
    let hex: String = bytes[1024 + 48..][..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, uuid.replace('-', ""));

    let told = "00112233-4455-4677-8899-aabbccddeeff";
    for text in [told, &told.replace('-', "")] {
        let (_, report) = build_tar(&dir, &tar, &["--uuid", text]);
        assert_eq!(report["uuid"], told);
    }
}

#[test]
fn containerds_uuid_is_that_of_the_blob() {
    let dir = Dir::new();
    // Of bytes that are always the same; the answer is that of Python's uuid5.
    let mut tar = Tar::default();
    tar.add(&Head::folder("./"), b"");
    let tar = tar.ended();
    assert_eq!(sha256(&tar), DIGEST);
    let (_, report) = build_tar(&dir, &tar, &["--uuid", "containerd"]);
    assert_eq!(report["uuid"], CONTAINERD);
    if !has("python3") {
        return;
    }
    let mut seen = Vec::new();
    for bytes in [tar.clone(), gzip(&tar), zstd(&tar)] {
        let (_, report) = build_tar(&dir, &bytes, &["--uuid", "containerd"]);
        let name = format!("erofs:blobs/{}", sha256(&bytes));
        let output = tool("python3")
            .args([
                "-c",
                "import sys, uuid; print(uuid.uuid5(uuid.NAMESPACE_URL, sys.argv[1]))",
            ])
            .arg(&name)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let expected = String::from_utf8(output.stdout).unwrap();
        assert_eq!(report["uuid"], expected.trim());
        seen.push(expected);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

/// Of an archive with nothing but its root.
const DIGEST: &str = "sha256:afe5c1fb31752ba60b4e2a717a24d04f73897e3be98748b1de151cb2c5900b82";
/// Version 5, URL namespace, `erofs:blobs/` and that digest.
const CONTAINERD: &str = "ec267e22-cfa1-59ef-890d-3fd48c907c4a";

#[test]
fn an_image_on_stdout_leaves_no_room_for_a_report() {
    let line = run(args!["build", "-", "-o", "-", "--json"]);
    assert!(line.line(2).contains("give --json=FILE"), "{}", line.stderr);
    let dir = Dir::new();
    let mut tar = Tar::default();
    tar.add(&Head::folder("./"), b"");
    let report = dir.path("report");
    let json = format!("--json={}", report.display());
    let run = run_with(
        program().args(["build", "-", "-o", "-", &json]),
        &tar.ended(),
    );
    assert_eq!(run.code(), 0, "{}", run.stderr);
    let report: serde_json::Value = serde_json::from_slice(&content(&report)).unwrap();
    assert_eq!(report["image"]["size"], run.stdout.len());
    assert!(report.get("file").is_none());
}
